package imapconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// watched is a Watcher that keeps what it is told.
type watched struct {
	mu   sync.Mutex
	told []string
}

func (w *watched) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

func (w *watched) MailboxStatus(s StatusData) {
	line := "status " + s.Mailbox
	if s.HasMessages {
		line += fmt.Sprint(" messages ", s.Messages)
	}
	if s.HasHighestModSeq {
		line += " modseq"
	}
	w.tell("%s", line)
}

func (w *watched) MailboxListed(l ListData) {
	line := "list " + l.Name
	if l.OldName != "" {
		line += " was " + l.OldName
	}
	for _, a := range l.Attrs {
		if strings.EqualFold(a, `\NonExistent`) {
			line += " gone"
		}
	}
	w.tell("%s", line)
}

func (w *watched) Overflow() { w.tell("overflow") }

// take gives what was told so far, and forgets it.
func (w *watched) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	return told
}

// says reports whether one of the lines has every word of want.
func says(told []string, want string) bool {
	return slices.ContainsFunc(told, func(line string) bool {
		has := strings.Fields(line)
		return !slices.ContainsFunc(strings.Fields(want), func(word string) bool { return !slices.Contains(has, word) })
	})
}

// until waits for lines that say all of want.
func (w *watched) until(t *testing.T, want ...string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		told := slices.Clone(w.told)
		w.mu.Unlock()
		if !slices.ContainsFunc(want, func(s string) bool { return !says(told, s) }) {
			w.take()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("told %q, want %q", told, want)
		}
	}
}

func TestNotifyTellsOfMailboxesThatAreNotSelected(t *testing.T) {
	d := play(t, func(p *peer) {
		p.login("IMAP4rev1 NOTIFY")
		tag := p.hear("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName))")
		p.say("* STATUS early (MESSAGES 1)", tag+" OK done")
		p.say("* STATUS INBOX (MESSAGES 3 UIDNEXT 9 UNSEEN 1)", "* STATUS {2}", "ab (HIGHESTMODSEQ 7)",
			`* LIST () "/" "new"`, `* LIST (\NonExistent) "/" old`, `* LIST () "/" b ("CHILDINFO" ("SUBSCRIBED") "OLDNAME" ("a" ignored) x 1)`,
			`* LIST () "/" c ("OLDNAME" ())`)
		p.answer("NOOP", "* STATUS INBOX (MESSAGES 4)")
		// What is asked for is no news.
		p.answer(`STATUS "INBOX" (MESSAGES)`, "* STATUS inbox (MESSAGES 5)", "* STATUS other (MESSAGES 6)")
		p.answer(`LIST "" "*"`, `* LIST () "/" INBOX`)
		p.say("* OK [NOTIFICATIONOVERFLOW] too much", "* STATUS INBOX (MESSAGES 7)")
		p.drain()
	})
	c := dial(t, d)
	w := &watched{}
	if err := c.Notify(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"status early messages 1", "status INBOX messages 3", "status ab modseq", "list new", "list old gone",
		"list b was a", "list c", "status INBOX messages 4"}
	if told := w.take(); !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if s, err := c.Status(t.Context(), "INBOX", "MESSAGES"); err != nil || s.Messages != 5 {
		t.Errorf("%+v, %v", s, err)
	}
	if l, err := c.List(t.Context(), "", "*"); err != nil || len(l) != 1 {
		t.Errorf("%v, %v", l, err)
	}
	w.until(t, "status other messages 6", "overflow")
	if told := w.take(); len(told) > 0 {
		t.Errorf("told %q after the overflow", told)
	}
}

func TestNotifyAsksForLessWhereThatIsRefused(t *testing.T) {
	const all = "NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName))"
	for name, test := range map[string]struct {
		script func(*peer)
		want   string // "": it is accepted
	}{
		"BADEVENT": {func(p *peer) {
			tag := p.hear(all)
			p.say(tag + " NO [BADEVENT MailboxName] unsupported")
			p.answer("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange))")
		}, ""},
		"nothing at all": {func(p *peer) {
			for range notifyEvents {
				tag, _, _ := strings.Cut(p.line(), " ")
				p.say(tag + " NO never")
			}
		}, "notify: server says NO never"},
		"too much": {func(p *peer) { p.say(p.hear(all) + " NO [NOTIFICATIONOVERFLOW] too much") }, "notify: server says NO [NOTIFICATIONOVERFLOW] too much"},
		"BAD":      {func(p *peer) { p.say(p.hear(all) + " BAD what") }, "notify: server says BAD what"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login("IMAP4rev1 NOTIFY")
				test.script(p)
				p.say("* STATUS INBOX (MESSAGES 3)")
				p.answer("NOOP")
				p.drain()
			}))
			w := &watched{}
			err := c.Notify(t.Context(), w)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				oneLine(t, err, test.want)
			}
			if err := c.Noop(t.Context()); err != nil {
				t.Fatal(err)
			}
			switch told := w.take(); {
			case test.want == "" && !slices.Equal(told, []string{"status INBOX messages 3"}):
				t.Errorf("told %q", told)
			case test.want != "" && len(told) > 0:
				t.Errorf("told %q by a server that refused", told)
			}
		})
	}
	c := dial(t, play(t, func(p *peer) { p.login("IMAP4rev1"); p.drain() }))
	if err := c.Notify(t.Context(), &watched{}); !errors.Is(err, ErrNotOffered) {
		t.Errorf("without NOTIFY: %v", err)
	}
}

func TestDovecotNotifies(t *testing.T) {
	if testing.Short() {
		return
	}
	s, _ := dovecot(t, 1)
	s.Deliver(t, "Work", []byte("Subject: 1\r\n\r\none\r\n"))
	c := dial(t, toDovecot(t, s, s.Addr, TLSNone))
	if err := c.Enable(t.Context(), "CONDSTORE"); err != nil {
		t.Fatal(err)
	}
	w := &watched{}
	if err := c.Notify(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	s.Doveadm("flags", "add", "-u", s.User, `\Flagged`, "mailbox", "Work", "uid", "1")
	w.until(t, "status Work modseq")
	s.Doveadm("copy", "-u", s.User, "INBOX", "mailbox", "Work", "uid", "1")
	w.until(t, "status INBOX messages 2 modseq")
	s.Doveadm("expunge", "-u", s.User, "mailbox", "Work", "uid", "1")
	w.until(t, "status Work messages 0 modseq")
	s.Doveadm("mailbox", "create", "-u", s.User, "New")
	w.until(t, "list New")
	s.Doveadm("mailbox", "rename", "-u", s.User, "New", "Other")
	if _, err := c.List(t.Context(), "", "Other"); err != nil { // Dovecot 2.3 keeps a rename back until then
		t.Fatal(err)
	}
	w.until(t, "list Other was New")
	s.Doveadm("mailbox", "delete", "-u", s.User, "Other")
	w.until(t, "list Other gone")
}

func TestListStatusAsksForManyInOneCommand(t *testing.T) {
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 LIST-EXTENDED LIST-STATUS")
		p.answer(`LIST "" ("INBOX" "a b" "gone") RETURN (STATUS (MESSAGES UIDNEXT))`,
			`* LIST () "/" INBOX`, "* STATUS inbox (MESSAGES 1 UIDNEXT 2)", `* STATUS "a b" (MESSAGES 2 UIDNEXT 3)`,
			"* STATUS unasked (MESSAGES 9)", `* LIST (\NonExistent) "/" gone`, "* STATUS INBOX (MESSAGES 3)")
		p.drain()
	}))
	got, err := c.ListStatus(t.Context(), []string{"INBOX", "a b", "gone"}, "MESSAGES", "UIDNEXT")
	if err != nil || len(got) != 2 || got[0].Messages != 3 || got[0].HasUIDNext || got[1].Mailbox != "a b" || got[1].UIDNext != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, name := range []string{"with*", "with%", ""} {
		if _, err := c.ListStatus(t.Context(), []string{"a", name}, "MESSAGES"); !errors.Is(err, ErrNotOffered) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 LIST-STATUS", "IMAP4rev1 LIST-EXTENDED"} {
		c := dial(t, play(t, func(p *peer) { p.login(caps); p.drain() }))
		if _, err := c.ListStatus(t.Context(), []string{"a"}, "MESSAGES"); !errors.Is(err, ErrNotOffered) {
			t.Errorf("%s: %v", caps, err)
		}
	}
}

func TestListStatusKeepsItsLinesShort(t *testing.T) {
	const boxes = 500
	var longest, commands int
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 LIST-EXTENDED LIST-STATUS")
		for {
			line := p.line()
			tag, rest, found := strings.Cut(line, " ")
			if !found {
				return
			}
			longest, commands = max(longest, len(line)), commands+1
			for i := range boxes {
				if name := fmt.Sprintf(`"a mailbox with a long name, %d"`, i); strings.Contains(rest, name) {
					p.say(fmt.Sprintf("* STATUS %s (MESSAGES %d)", name, i))
				}
			}
			p.say(tag + " OK done")
		}
	}))
	var names []string
	for i := range boxes {
		names = append(names, fmt.Sprintf("a mailbox with a long name, %d", i))
	}
	got, err := c.ListStatus(t.Context(), names, "MESSAGES")
	if err != nil || len(got) != boxes {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	for i := range got {
		if got[i].Mailbox != names[i] || got[i].Messages != uint32(i) {
			t.Errorf("%+v at %d", got[i], i)
		}
	}
	c.Close()
	if longest > 8000 || commands < 2 {
		t.Errorf("%d commands, the longest of %d octets", commands, longest)
	}
}

func TestStatusesShareAFlight(t *testing.T) {
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1")
		var tags []string
		for _, name := range []string{"a", "b", "c", "d"} {
			tags = append(tags, p.hear(`STATUS "`+name+`" (MESSAGES)`))
		}
		p.say("* STATUS d (MESSAGES 4)", "* STATUS a (MESSAGES 1)", tags[0]+" OK", tags[1]+" NO [NONEXISTENT] no b", tags[2]+" OK", tags[3]+" OK")
		p.hear(`STATUS "a" (MESSAGES)`)
		p.conn.Close()
	}))
	names := []string{"a", "b", "c", "d"}
	data, errs, err := c.Statuses(t.Context(), names, "MESSAGES")
	if err != nil || data[0].Messages != 1 || data[3].Messages != 4 || errs[0] != nil || errs[3] != nil {
		t.Fatalf("%+v, %v, %v", data, errs, err)
	}
	var refused *StatusError
	if !errors.As(errs[1], &refused) || refused.Code != "NONEXISTENT" || errs[2] == nil {
		t.Errorf("%v", errs)
	}
	if _, _, err := c.Statuses(t.Context(), names, "MESSAGES"); err == nil {
		t.Error("no error on a connection that was cut")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Statuses(ctx, names, "MESSAGES"); err == nil {
		t.Error("no error once the caller has gone")
	}
}

// A server that is asked for numbers may send names without end.
func TestListStatusIsBounded(t *testing.T) {
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 LIST-EXTENDED LIST-STATUS")
		p.line()
		line := strings.Repeat("* LIST () NIL x\r\n", 1000)
		for range MaxMailboxes/1000 + 2 {
			p.raw(line)
		}
		p.drain()
	}))
	_, err := c.ListStatus(t.Context(), []string{"x"}, "MESSAGES")
	oneLine(t, err, "MaxMailboxes")
}

var _ Watcher = (*watched)(nil)
