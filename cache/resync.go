package cache

import (
	"math"

	"imapfs/imapconn"
)

// resync makes the index from what has changed since the state that is known, in a
// session that was examined for it: by what the server told then (QRESYNC), or by
// what it says now of flags and new messages (CONDSTORE), and a list of UIDs where
// that leaves another number of messages than there are. nil without an error: the
// mailbox has to be listed. What comes of it is never believed with another number
// of messages than EXISTS.
func (m *Mailbox) resync(l *lease, known *Snapshot) (*Snapshot, error) {
	c := l.hear.changes
	l.hear.changes = nil
	if c == nil || known == nil || known.validity != c.known.validity || known.modSeq != c.known.modSeq || l.hear.reached() < known.modSeq {
		return nil, nil
	}
	next, err := m.resynced(l, known, c)
	if lostConnection(err) {
		return nil, err
	}
	if err != nil {
		m.account.log.Debug("cannot resynchronise", "mailbox", m.full(), "err", err)
		return nil, nil
	}
	return next, nil
}

func (m *Mailbox) resynced(l *lease, known *Snapshot, c *changes) (*Snapshot, error) {
	next := known
	var unknown imapconn.UIDSet
	switch {
	case c.told && c.over:
		return nil, nil
	case c.told:
		next, unknown = c.applied(known, m.index.flags)
	case l.client.Condstore():
		// Flags of those that are known are heard (hear.go).
		var new []imapconn.UIDRange
		err := l.client.FetchChanged(m.account.ctx, imapconn.AllUIDs(), known.modSeq, func(f imapconn.Meta) {
			if f.UID != 0 && known.find(f.UID) == nil {
				new = append(new, imapconn.UIDRange{First: f.UID, Last: f.UID})
			}
		})
		if err != nil {
			return nil, err
		}
		unknown = setOf(new)
	default:
		return nil, nil
	}
	next, err := m.withNew(l, next, unknown)
	if err != nil {
		return nil, err
	}
	if !c.told && l.hear.messages() != next.Len() {
		if next, err = m.withoutGone(l, next); err != nil {
			return nil, err
		}
	}
	return m.absorb(l, next, true)
}

// withNew is s with the messages that were said to be new, and with those that got
// the UIDs which the server has given since.
func (m *Mailbox) withNew(l *lease, s *Snapshot, unknown imapconn.UIDSet) (*Snapshot, error) {
	if s.uidNext < l.hear.next() {
		unknown.AddRange(s.uidNext, math.MaxUint32)
	}
	if len(unknown) == 0 {
		return s, nil
	}
	new, err := m.fetchRecords(l, unknown)
	if err != nil {
		return nil, err
	}
	s, _ = s.apply(setEdits(new))
	return s, nil
}

// withoutGone is s without the messages that the server does not list. CONDSTORE
// does not say which went.
func (m *Mailbox) withoutGone(l *lease, s *Snapshot) (*Snapshot, error) {
	there, err := l.client.UIDSearch(m.account.ctx, "ALL")
	if err != nil {
		return nil, err
	}
	return s.without(s.outside(there)), nil
}
