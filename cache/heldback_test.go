package cache

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"imapfs/imapconn/imaptest"
)

// TestARenameThatNotifyKeepsBackIsSeen has a server accept NOTIFY and tell of a RENAME
// once somebody lists the mailboxes, as Dovecot does, over synthetic time.
func TestARenameThatNotifyKeepsBackIsSeen(t *testing.T) {
	t.Parallel()
	for what, use := range map[string]func(a *Account, rename func()){
		"after a look": func(_ *Account, rename func()) {
			time.Sleep(usedFor / 2)
			rename()
		},
		"between looks": func(a *Account, rename func()) {
			for range time.Hour / LookInterval {
				time.Sleep(LookInterval)
				a.Look()
			}
			rename()
		},
		"after a rest": func(a *Account, rename func()) {
			time.Sleep(time.Hour)
			rename()
			a.Look() // of somebody whom the kernel answers, from what it has
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := imaptest.NewPiped(t)
				s.Capabilities(imaptest.ScriptedCapabilities + " NOTIFY")
				var notify atomic.Pointer[imaptest.Call]
				s.On("NOTIFY", func(c *imaptest.Call) {
					c.Done("OK done")
					notify.Store(c)
				})
				var kept atomic.Bool
				s.On("LIST", func(c *imaptest.Call) {
					if kept.Swap(false) {
						notify.Load().Send(`* LIST () "/" New ("OLDNAME" (Old))`)
					}
					c.Default()
				})
				s.Mailbox("INBOX").Add(text(1, 100))
				fill(s.Mailbox("Old"), 10, 3)
				a := openPiped(t, s)
				defer a.Close()
				m := box(t, a, "Old")
				hasFilled(t, m, 10, 3)
				use(a, func() {
					if !a.notices.stand() {
						t.Fatal("NOTIFY does not stand")
					}
					s.Rename("Old", "New")
					kept.Store(true)
				})
				time.Sleep(a.cfg.Poll + time.Second) // a second for the line
				if at(a, "New") != m || at(a, "Old") != nil {
					t.Errorf("%v after the RENAME it is %q", a.cfg.Poll, m.full())
				}
			})
		})
	}
}
