package cache

import (
	"testing"

	"imapfs/imapconn/imaptest"
)

// A message that goes between EXAMINE and the look at what it was has another size and date
// there: that is no sign of changed UIDs.
func TestAMessageThatGoesIsNoNewUIDValidity(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]imaptest.Gone{
		"Dovecot": imaptest.DovecotGone, "Courier": imaptest.CourierGone, "mailutils": imaptest.MailutilsGone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.NewScripted(t)
			in := s.Mailbox("INBOX")
			for i := range 3 {
				in.Add(text(i+1, 1000))
			}
			m := box(t, openScripted(t, s), "INBOX")
			v := mustLoad(t, m).Validity()
			gone := false
			s.On("EXAMINE", func(c *imaptest.Call) {
				c.Default()
				if !gone {
					gone = true
					in.Expunge(3, how)
				}
			})
			s.Cut()
			eventually(t, patient, "another session", func() bool { _, err := m.Open(within(t, short), v, 1); return err == nil || KindOf(err) == Stale })
			checkText(t, m, 1, text(1, 1000))
			if now := m.Snapshot().Validity(); now != v {
				t.Errorf("UIDVALIDITY %d, and was %d", now, v)
			}
		})
	}
}
