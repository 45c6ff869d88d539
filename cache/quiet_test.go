package cache

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// openPiped opens an account in a bubble of testing/synctest, with the defaults.
func openPiped(t *testing.T, s *imaptest.Scripted) *Account {
	t.Helper()
	d := &imapconn.Dialer{
		TLS: imapconn.TLSNone, DialContext: s.Dial,
		Credentials: func(context.Context) (imapconn.Credentials, error) {
			return imapconn.Credentials{User: s.User, Password: s.Password}, nil
		},
	}
	a, err := Open(t.Context(), Config{Dial: d.Dial})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestNothingIsSentWhileNobodyLooks counts commands over synthetic time: once nobody
// has looked for ten minutes, the connections are kept alive and no more.
func TestNothingIsSentWhileNobodyLooks(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 IDLE", "IMAP4rev1 IDLE NOTIFY LIST-STATUS LIST-EXTENDED"} {
		t.Run(caps, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := imaptest.NewPiped(t)
				s.Capabilities(caps)
				s.On("NOTIFY", func(c *imaptest.Call) { c.Done("OK done") })
				names := []string{"INBOX", "two", "three", "four", "five"}
				for _, name := range names {
					s.Mailbox(name).Add(text(1, 100))
				}
				a := openPiped(t, s)
				defer a.Close()
				for _, name := range names {
					mustLoad(t, box(t, a, name))
					time.Sleep(2 * time.Second)
				}
				count := func(d time.Duration) map[string]int {
					before := len(s.Commands(""))
					time.Sleep(d)
					sent := make(map[string]int)
					for _, c := range s.Commands("")[before:] {
						name, _, _ := strings.Cut(c, " ")
						sent[name]++
					}
					return sent
				}
				first := count(lookedIntoFor + a.cfg.Poll)
				t.Logf("in the first ten minutes: %v", first)
				if n := first["LIST"]; strings.Contains(caps, "NOTIFY") && n > int(usedFor/a.cfg.Poll)+8 {
					t.Errorf("%d LIST while NOTIFY stands", n)
				}
				sent := count(10 * time.Minute)
				t.Logf("in ten minutes more: %v", sent)
				for name, n := range sent {
					// An IDLE goes on behind a NOOP.
					if name == "LOGOUT" && n <= 2 || (name == "NOOP" || name == "IDLE") && n <= 2*a.cfg.Connections {
						continue
					}
					t.Errorf("%d %s", n, name)
				}
			})
		})
	}
}
