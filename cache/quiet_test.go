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
				d := &imapconn.Dialer{
					TLS: imapconn.TLSNone, DialContext: s.Dial,
					Credentials: func(context.Context) (imapconn.Credentials, error) {
						return imapconn.Credentials{User: s.User, Password: s.Password}, nil
					},
				}
				names := []string{"INBOX", "two", "three", "four", "five"}
				for _, name := range names {
					s.Mailbox(name).Add(text(1, 100))
				}
				a, err := Open(t.Context(), Config{Dial: d.Dial})
				if err != nil {
					t.Fatal(err)
				}
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
				t.Logf("in the first ten minutes: %v", count(lookedIntoFor+a.cfg.Poll))
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
