package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// TestExpungeRefusesWhatWasNotNamed: where another client marks more messages after they were
// named to the user, or the mailbox is another one by then, nothing is removed.
func TestExpungeRefusesWhatWasNotNamed(t *testing.T) {
	needServers(t)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	s := imaptest.NewStrict(t, imaptest.StrictOptions{Delimiter: '/'})
	for range 4 {
		s.Deliver("INBOX", letter("x", 300), time.Unix(1_700_000_000, 0))
	}
	d := mountPlain(t, s.Addr, s.User, s.Password)
	m, wire, err := mailboxAt(d.path("INBOX"))
	if err != nil {
		t.Fatal(err)
	}
	s.SetFlags("INBOX", 2, `\Deleted`)
	s.SetFlags("INBOX", 3, `\Deleted`)
	validity := strings.TrimSpace(must(t, "getfattr", "--only-values", "-n", "user.imap.uidvalidity", d.path("INBOX")))
	ask := func(validity, uids string) error {
		return m.do(t.Context(), "/expunge", url.Values{"mailbox": {wire}, "uidvalidity": {validity}, "uids": {uids}})
	}
	for _, named := range [][2]string{{validity, "2"}, {validity, "3:4"}, {"1" + validity, "2:3"}} {
		if err := ask(named[0], named[1]); err == nil || !strings.Contains(err.Error(), "other messages are marked") {
			t.Errorf("%q: %v", named, err)
		}
	}
	inbox := func() string { return marksOf(t, account{s.Addr, s.User, s.Password}, "INBOX") }
	if got := inbox(); got != "1 2+ 3+ 4" {
		t.Errorf("INBOX has %q", got)
	}
	// One that is marked no more is no reason to keep the other.
	s.SetFlags("INBOX", 2)
	if err := ask(validity, "2:3"); err != nil {
		t.Error(err)
	}
	if got := inbox(); got != "1 2 4" {
		t.Errorf("INBOX has %q", got)
	}
}
