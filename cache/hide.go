package cache

import (
	"slices"
	"time"

	"imapfs/imapconn"
)

// A message that is deleted for us and that the server cannot be made to part with
// alone is marked \Deleted and hidden: it stays in the index, whose count must be the
// server's, and is left out of what is shown. A journal keeps that for the next mount.
// It is shown again when the mark is taken off, and forgotten when it is expunged or
// the mailbox has another UIDVALIDITY.

// hideGrace is how long a session may list a message without the mark that another one
// has set.
const hideGrace = 10 * time.Second

// visible is s without what is hidden; nil stays nil.
func (s *Snapshot) visible() *Snapshot {
	if s == nil || s.shown == nil {
		return s
	}
	return s.shown
}

// conceal makes what is shown of s, which is to follow old, and forgets what needs to
// be hidden no longer. index.mu is held.
func (m *Mailbox) conceal(s, old *Snapshot) {
	if old == nil || old.validity != s.validity {
		if old != nil {
			m.unhide(old.validity, m.index.hidden)
		}
		m.index.hidden, m.index.hiding = nil, nil
		if j := m.account.spool; j != nil {
			m.index.hidden = slices.Clone(j.Hidden(m.WireName(), s.validity))
		}
	}
	if len(m.index.hidden) == 0 {
		return
	}
	var over imapconn.UIDSet
	early := false
	for _, r := range m.index.hidden {
		for uid := r.First; ; uid++ {
			switch is := s.find(uid); {
			case is != nil && has(s.flags[is.flags], `\Deleted`):
			case is != nil && time.Since(m.index.hiding[uid]) <= hideGrace:
				early = true
			default:
				over.Add(uid)
			}
			if uid == r.Last {
				break
			}
		}
	}
	if e := m.current.Load(); early && e != nil && e.validity == s.validity {
		m.account.spawn(func() {
			m.account.nap(nil, hideGrace)
			m.reshow(e)
		})
	}
	if len(over) > 0 {
		m.index.hidden = m.index.hidden.Without(over)
		m.unhide(s.validity, over)
	}
	if shown := s.without(m.index.hidden); shown.Len() < s.Len() {
		s.shown = shown
	}
}

// unhide notes in the journal, which is on the disk, that messages are hidden no longer.
// If that is lost they are looked at once more at the next mount.
func (m *Mailbox) unhide(v UIDValidity, set imapconn.UIDSet) {
	j, name := m.account.spool, m.WireName()
	if j == nil || len(set) == 0 {
		return
	}
	m.account.spawn(func() {
		if err := j.Show(name, v, set); err != nil {
			m.account.log.Debug("cannot note what is hidden no longer", "mailbox", m.full(), "err", err)
		}
	})
}

// hide hides a message that has been seen to be marked \Deleted, with the flags that it
// has. It is in the journal, if there is one, when hide returns nil.
func (m *Mailbox) hide(e *epoch, uid UID, flags []string) error {
	if j := m.account.spool; j != nil {
		if err := j.Hide(m.WireName(), e.validity, imapconn.UIDSet{{First: uid, Last: uid}}); err != nil {
			return err
		}
	}
	m.index.mu.Lock()
	if m.current.Load() == e {
		m.index.hidden.Add(uid)
		if m.index.hiding == nil {
			m.index.hiding = make(map[UID]time.Time)
		}
		for uid, since := range m.index.hiding {
			if time.Since(since) > hideGrace {
				delete(m.index.hiding, uid)
			}
		}
		m.index.hiding[uid] = time.Now()
	}
	m.index.mu.Unlock()
	m.find(e, finding{edit: edit{record: record{uid: uid}, flagOnly: true}, flags: flags, flagged: true})
	m.reshow(e)
	return nil
}

// reshow shows the snapshot of now without what is hidden by now.
func (m *Mailbox) reshow(e *epoch) {
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	old := m.snap.Load()
	if old == nil || m.current.Load() != e || old.validity != e.validity {
		return
	}
	s := *old
	s.shown, s.gen, s.changed = nil, old.gen+1, later(time.Now(), old.changed)
	m.conceal(&s, old)
	if s.visible().Len() == old.visible().Len() {
		return
	}
	m.snap.Store(&s)
	m.account.crier.cry(news{mailbox: m, old: old.visible(), new: s.visible()})
}

// isFlagged reports whether what is published says that a message has just these
// flags, and nobody works on something newer.
func (m *Mailbox) isFlagged(uid UID, flags []string) bool {
	s := m.snap.Load()
	if s == nil || m.busy.Load() {
		return false
	}
	r := s.find(uid)
	return r != nil && slices.Equal(s.flags[r.flags], flags)
}
