package cache

import (
	"errors"

	"imapfs/imapconn"
)

// statusItems is what is asked of a mailbox.
var statusItems = []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}

// numbers asks for the numbers of a mailbox. modSeq: HIGHESTMODSEQ too, where there
// is one, by which a changed flag is seen. Not of a mailbox that the index follows:
// there the index may have more than it is known to reach to.
func (m *Mailbox) numbers(l *lease, modSeq bool) (imapconn.StatusData, error) {
	if modSeq && l.client.Condstore() && !m.account.noStatusModSeq.Load() {
		data, err := l.client.Status(m.account.ctx, m.WireName(), append(statusItems[:len(statusItems):len(statusItems)], "HIGHESTMODSEQ")...)
		var refused *imapconn.StatusError
		if !errors.As(err, &refused) || refused.Type != "BAD" {
			return data, err
		}
		m.account.noStatusModSeq.Store(true)
	}
	return l.client.Status(m.account.ctx, m.WireName(), statusItems...)
}
