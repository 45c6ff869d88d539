package imaptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// talk sends commands one by one and returns all that came back.
func talk(t *testing.T, addr string, commands ...string) string {
	t.Helper()
	return talkOn(t, dial(t, addr), commands...)
}

func talkOn(t *testing.T, c net.Conn, commands ...string) string {
	t.Helper()
	in := bufio.NewReader(c)
	var all strings.Builder
	for i, command := range commands {
		fmt.Fprintf(c, "t%d %s\r\n", i, command)
		for {
			line, err := in.ReadString('\n')
			all.WriteString(line)
			if err == io.EOF || strings.HasPrefix(line, fmt.Sprintf("t%d ", i)) {
				break
			}
			if err != nil {
				fmt.Fprintf(&all, "(%v)", err)
				return all.String()
			}
		}
	}
	return all.String()
}

const login = "LOGIN alice alice-secret"

func wants(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		i := strings.Index(got, part)
		if i < 0 {
			t.Fatalf("no %q in\n%s", part, got)
		}
		got = got[i+len(part):]
	}
}

func TestScriptedServesAMailbox(t *testing.T) {
	s := NewScripted(t)
	box := s.Mailbox("INBOX")
	box.Add([]byte("Subject: one\r\n\r\nfirst\r\n"))
	box.Add([]byte("Subject: two\r\n\r\nsecond\r\n"))
	got := talk(t, s.Addr, login, `LIST "" "*"`, `STATUS INBOX (MESSAGES)`, `EXAMINE "INBOX"`,
		"UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)", "UID FETCH 2 (BODY.PEEK[]<16.3>)",
		"UID FETCH 1 BODY.PEEK[HEADER]", "LOGOUT")
	wants(t, got, "t0 OK", `* LIST () "/" "INBOX"`, "MESSAGES 2 UIDNEXT 3", "* 2 EXISTS", "[UIDVALIDITY 1000]",
		"* 1 FETCH (UID 1 FLAGS () INTERNALDATE", "RFC822.SIZE 23)", "* 2 FETCH (UID 2", "RFC822.SIZE 24)",
		"BODY[]<16> {3}\r\nsec)", "BODY[HEADER] {16}\r\nSubject: one\r\n\r\n)", "* BYE", "t7 OK")
	if got := s.Commands("UID FETCH"); len(got) != 3 {
		t.Errorf("commands noted: %q", got)
	}
}

func TestScriptedLiesWhereAsked(t *testing.T) {
	s := NewScripted(t)
	box := s.Mailbox("INBOX")
	for range 3 {
		box.Add([]byte("Subject: x\r\n\r\n"))
	}
	box.LieSize(1, -4)
	box.AnswerBody(2, "NIL")
	box.AnswerOther(3, 1)
	got := talk(t, s.Addr, login, "EXAMINE INBOX", "UID FETCH 1 RFC822.SIZE", "UID FETCH 2 BODY.PEEK[]", "UID FETCH 3 (UID)")
	wants(t, got, "RFC822.SIZE 10)", "BODY[] NIL)", "* 3 FETCH (UID 1)")
}

func TestScriptedKeepsASessionsView(t *testing.T) {
	for how, want := range map[Gone][]string{
		DovecotGone:   {"RFC822.SIZE 0", "BODY[] NIL", "* 1 EXPUNGE", "OK [EXPUNGEISSUED]", "t4 OK"},
		CourierGone:   {"BODY[] {129}\r\n", "t3 OK", "* 1 EXPUNGE", "t4 OK"},
		MailutilsGone: {"RFC822.SIZE 0", `BODY[] ""`, "t3 OK", "t4 OK"},
	} {
		s := NewScripted(t)
		box := s.Mailbox("INBOX")
		box.Add([]byte("Subject: one\r\n\r\n"))
		box.Add([]byte("Subject: two\r\n\r\n"))
		s.On("CHECK", func(c *Call) { box.Expunge(1, how); c.Done("OK") })
		got := talk(t, s.Addr, login, "EXAMINE INBOX", "CHECK", "UID FETCH 1 (RFC822.SIZE BODY.PEEK[])", "NOOP", "EXAMINE INBOX", "UID FETCH 1 (UID)")
		wants(t, got, append(want, "* 1 EXISTS", "t6 OK")...)
		if how == MailutilsGone && strings.Contains(got, "EXPUNGE\r\n") {
			t.Errorf("an EXPUNGE from mailutils:\n%s", got)
		}
	}
}

func TestScriptedCutsInTheMiddle(t *testing.T) {
	s := NewScripted(t)
	s.Mailbox("INBOX")
	s.On("LIST", func(c *Call) { c.Send(`* LIST () "/" INBOX`); c.Cut() })
	got := talk(t, s.Addr, login, `LIST "" "*"`)
	wants(t, got, "* LIST () \"/\" INBOX\r\n")
	if strings.Contains(got, "t1 ") {
		t.Errorf("an end after the cut: %s", got)
	}
	s.On("LIST", func(c *Call) { c.CutAfter(10); c.Default() })
	if got := talk(t, s.Addr, login, `LIST "" "*"`); !strings.HasSuffix(got, "\n* LIST () ") {
		t.Errorf("10 octets are %q", got)
	}
}

func TestScriptedTellsWhoIdles(t *testing.T) {
	s := NewScripted(t)
	box := s.Mailbox("INBOX")
	box.Add([]byte("Subject: one\r\n\r\n"))
	c := dial(t, s.Addr)
	talkOn(t, c, login, "EXAMINE INBOX")
	in := bufio.NewReader(c)
	io.WriteString(c, "a IDLE\r\n")
	in.ReadString('\n')
	box.Add([]byte("Subject: two\r\n\r\n"))
	if line, err := in.ReadString('\n'); line != "* 2 EXISTS\r\n" {
		t.Errorf("%q, %v", line, err)
	}
	box.Expunge(1, CourierGone)
	if line, err := in.ReadString('\n'); line != "* 1 EXPUNGE\r\n" {
		t.Errorf("%q, %v", line, err)
	}
}
