package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"imapfs/cache"
	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
	"imapfs/imapconn/imapwire"
)

func capsOf(names string) imapconn.Caps { return imapwire.NewCaps(strings.Fields(names)...) }

func TestTheTableOfCapabilities(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for i := range capabilities {
		c := &capabilities[i]
		if c.gives == "" || seen[c.name()] {
			t.Errorf("%s: is there twice, or gives nothing", c.name())
		}
		seen[c.name()] = true
		for name := range strings.FieldsSeq(c.names) {
			if strings.HasSuffix(name, "=") {
				name += "1"
			}
			if !c.offered(capsOf("IMAP4rev1 "+name)) || !isKnown(name) {
				t.Errorf("%s: %s is not known", c.name(), name)
			}
		}
		if c.offered(capsOf("IMAP4rev1")) || c.offered(capsOf("IMAP4rev2")) != c.rev2 {
			t.Errorf("%s: by which revision is it offered?", c.name())
		}
	}
	if all, unused := capabilitiesOf(capsOf("IMAP4rev1 MOVE AUTH=PLAIN SORT appendlimit=35882577")); len(all) != len(capabilities) || strings.Join(unused, " ") != "SORT" {
		t.Errorf("%d capabilities, and beyond the table %v", len(all), unused)
	}
}

func TestWhatIsSlowForWantOfWhat(t *testing.T) {
	t.Parallel()
	const all = "IMAP4rev1 UIDPLUS MOVE CONDSTORE QRESYNC NOTIFY IDLE LITERAL+ BINARY LIST-STATUS LIST-EXTENDED"
	for _, c := range []struct {
		caps        string
		connections int
		want        string // the beginnings of the lines, up to the first colon
	}{
		{all, 4, ""},
		{all, 2, "NOTIFY takes a connection of its own, from --connections 3 on"},
		{strings.Replace(all, "NOTIFY", "", 1), 4, "no NOTIFY"},
		{strings.Replace(all, "LITERAL+", "LITERAL-", 1), 4, "no LITERAL+"},
		{strings.Replace(all, "CONDSTORE", "", 1), 4, ""}, // QRESYNC has it
		{strings.Replace(all, "QRESYNC", "", 1), 4, "no QRESYNC"},
		{"IMAP4rev2", 4, "no NOTIFY|no LITERAL+|no CONDSTORE|no BINARY"},
		{"IMAP4", 4, "no IDLE and no NOTIFY|no LITERAL+|no UIDPLUS|no MOVE|no CONDSTORE|no BINARY|no LIST-STATUS|RFC 1730"},
	} {
		o := newOptions()
		o.Connections = c.connections
		var why []string
		for _, line := range slowness(capsOf(c.caps), o) {
			beginning, _, _ := strings.Cut(line, ":")
			why = append(why, beginning)
		}
		if got := strings.Join(why, "|"); got != c.want {
			t.Errorf("%s: %q, want %q", c.caps, got, c.want)
		}
	}
}

func TestWhatIsSaidOfRm(t *testing.T) {
	t.Parallel()
	trash := &cache.Surveyed{Name: "Papierkorb"}
	for _, c := range []struct {
		caps      string
		on        onDelete
		trash     *cache.Surveyed
		how, says string
	}{
		{"IMAP4rev1 UIDPLUS", onDeleteExpunge, trash, "expunge", "Papierkorb"},
		{"IMAP4rev1 UIDPLUS", onDeleteTrash, nil, "trash", "Deleted Messages, which is made"},
		{"IMAP4rev1 UIDPLUS X-GM-EXT-1", onDeleteExpunge, trash, "trash", "Gmail"},
		{"IMAP4rev1 MOVE", onDeleteExpunge, trash, "trash", "no UIDPLUS"},
		{"IMAP4rev1", onDeleteExpunge, trash, "mark", "imapfs expunge"},
	} {
		o := newOptions()
		o.OnDelete = c.on
		if r := removalOf(capsOf(c.caps), o, c.trash); r.How != c.how || !strings.Contains(r.Says, c.says) {
			t.Errorf("%s, %s: %+v", c.caps, c.on, r)
		}
	}
}

// checked is what check says of a scripted server.
func checked(t *testing.T, s *imaptest.Scripted, change func(*options)) (*checkReport, string) {
	t.Helper()
	o := newOptions()
	o.Account = accountURL{User: s.User, Host: "127.0.0.1"}
	fmt.Sscan(port(t, s.Addr), &o.Account.Port)
	o.TLS = tlsNone
	if change != nil {
		change(o)
	}
	r, err := check(t.Context(), o, newSecrets(o, s.Password))
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.text(false)
	if err != nil {
		t.Fatal(err)
	}
	return r, text
}

func TestMailboxesThatHoldWhatOthersHold(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1 SPECIAL-USE UIDPLUS X-GM-EXT-1")
	s.On("LIST", func(c *imaptest.Call) {
		for _, l := range []string{`() "/" INBOX`, `(\All) "/" "[Gmail]/All Mail"`, `(\Flagged) "/" "[Gmail]/Starr'd"`, `(\Trash) "/" "[Gmail]/Bin"`, `(\Important) "/" "!now"`} {
			c.Send("* LIST " + l)
		}
		c.Done("OK done")
	})
	s.On("STATUS", func(c *imaptest.Call) {
		name := c.Args[:strings.LastIndex(c.Args, " (")]
		if strings.Contains(name, "Bin") {
			c.Done("NO not for you")
			return
		}
		c.Send("* STATUS " + name + " (MESSAGES 5)")
		c.Done("OK done")
	})
	r, text := checked(t, s, nil)
	for _, want := range []string{
		`--exclude '[Gmail]/All Mail' leaves it out`, `--exclude '[Gmail]/Starr'\''d' `, `--exclude '%now' `, "--daily-limit 2500M",
		`rm          moves to the trash: [Gmail]/Bin (Gmail: `, "mailboxes   5, with 20 messages (their size is not told); 5 in !now; of 1 the server says nothing\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if len(r.Doubles) != 3 || r.Mailboxes.Octets != nil || r.Mailboxes.Refused != 1 {
		t.Errorf("%+v", r)
	}
	for _, op := range []string{"SELECT", "UID STORE", "CREATE", "APPEND", "UID EXPUNGE"} {
		if said := s.Commands(op); len(said) > 0 {
			t.Errorf("check said %q", said)
		}
	}
}

func TestThousandsOfMailboxesAreNotAllAsked(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1 STATUS=SIZE")
	s.On("LIST", func(c *imaptest.Call) {
		for i := range 3 * maxStatus {
			c.Send(fmt.Sprintf(`* LIST () "/" box%d`, i))
		}
		c.Done("OK done")
	})
	s.On("STATUS", func(c *imaptest.Call) {
		c.Send("* STATUS " + c.Args[:strings.LastIndex(c.Args, " (")] + " (MESSAGES 2 SIZE 1024)")
		c.Done("OK done")
	})
	r, text := checked(t, s, nil)
	if n := len(s.Commands("STATUS")); n != maxStatus || r.Mailboxes.Asked != maxStatus || *r.Mailboxes.Octets != 1024*maxStatus {
		t.Errorf("%d questions, %+v", n, r.Mailboxes)
	}
	if want := fmt.Sprintf("3000, with 2000 messages of 1.0M; 2 in box0; that is of %d that were asked: imapfs check asks for %[1]d at most\n", maxStatus); !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

func TestAServerThatDoesNotComeToTheEndOfItsNumbers(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1")
	s.Mailbox("INBOX")
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	s.On("STATUS", func(c *imaptest.Call) {
		for { // it is never silent for long
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				c.Send("* OK still counting")
			}
		}
	})
	r, text := checked(t, s, func(o *options) { o.Timeout = 2 * time.Second })
	if r.Mailboxes.Asked != 0 || !strings.Contains(text, "that is of 0 that were asked: no more within 2s (--timeout)") {
		t.Errorf("%+v\n%s", r.Mailboxes, text)
	}
}
