package cache

import (
	"slices"
	"sync"
	"time"

	"imapfs/imapconn"
)

// maxIndexed bounds the messages of all mailboxes of an account that have been
// looked into, in messages: 1.3 GB of index.
const maxIndexed = 64 << 20

// index is how the snapshots of a mailbox are made. Who looks at the server
// works on a snapshot that nobody sees and publishes it when it is whole; there
// is one at a time. What readers of texts find out meanwhile is put into both.
type index struct {
	mu      sync.Mutex // held over no network; before crier.mu, looks.mu
	working bool
	found   []finding // what others have found out since the work was begun

	flags   *flagSets // the worker's own while there is one
	strange bool      // what is seen has flags under other numbers than these

	hidden imapconn.UIDSet   // see hide.go
	hiding map[UID]time.Time // since when, of those that were hidden a moment ago

	gone imapconn.UIDSet // the messages that went under the epoch of now
}

// startWork gives the snapshot to work on: nil where there is none under this
// epoch.
func (m *Mailbox) startWork(e *epoch) *Snapshot {
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	m.index.working, m.index.found = true, nil
	m.busy.Store(true)
	s := m.snap.Load()
	if s == nil || s.validity != e.validity {
		m.index.flags, m.index.strange = newFlagSets(), true
		return nil
	}
	if m.index.strange || m.index.flags.full() {
		m.index.flags, m.index.strange = newFlagSets(), true
		return s.reflagged(m.index.flags)
	}
	return s
}

func (m *Mailbox) endWork() {
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	m.index.working, m.index.found = false, nil
	m.busy.Store(false)
}

// publish makes a snapshot that is whole the one that is seen. since is when the
// looking began that it comes from, l the session that told of it.
func (m *Mailbox) publish(next *Snapshot, l *lease, since time.Time) error {
	if err := m.named(l, next); err != nil {
		return err
	}
	e := l.epoch
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	switch {
	case m.current.Load() != e:
		return errValidity
	case m.index.flags.over:
		return errFlagSets
	case m.account.indexed.Load()-int64(m.snap.Load().size())+int64(next.Len()) > maxIndexed:
		return errIndexed
	}
	// A session may list for a moment what another one of ours has removed.
	now, before := m.ours.removed()
	next = next.without(now).without(before)
	for _, f := range m.index.found {
		next = f.apply(next, m.index.flags)
	}
	m.index.found = nil
	if m.reused(next) {
		m.shuffle(e)
		return errValidity
	}
	if len(next.flags) != len(m.index.flags.sets) {
		s := *next
		s.flags = m.index.flags.sets
		next = &s
	}
	m.index.strange = false
	m.show(next)
	m.checked.Store(&since)
	return nil
}

// reused reports whether next has a message that was known to be expunged: its
// UID is that of another one now. A mailbox deleted and made again within a second
// is so where UIDVALIDITY is the time (Cyrus). index.mu is held.
func (m *Mailbox) reused(next *Snapshot) bool {
	old := m.snap.Load()
	if old == nil || old.validity != next.validity || len(m.index.gone) == 0 {
		return false
	}
	added, _ := Diff(old, next)
	return slices.ContainsFunc(added, m.index.gone.Contains)
}

// show publishes a snapshot, unless it is the one that is seen. index.mu is held.
func (m *Mailbox) show(next *Snapshot) {
	old := m.snap.Load()
	if next == old {
		return
	}
	if next.says(old) {
		m.snap.Store(old.reached(next.modSeq))
		return
	}
	s := *next
	s.shown = nil
	if old != nil {
		s.gen, s.changed = old.gen+1, old.changed
		added, removed := Diff(old, &s)
		if len(added)+len(removed) > 0 {
			s.changed = later(time.Now(), old.changed)
		}
		if old.validity == s.validity {
			for _, uid := range removed {
				m.index.gone.Add(uid)
			}
		}
	} else {
		// What was there before somebody looked is not known to have changed: the
		// directory keeps the time that it was shown with.
		s.gen, s.changed = 1, m.account.Tree().Changed(m)
	}
	if !m.gone.Load() {
		m.account.indexed.Add(int64(s.Len() - old.size()))
	}
	m.conceal(&s, old)
	m.snap.Store(&s)
	m.account.crier.cry(news{mailbox: m, old: old.visible(), new: s.visible()})
}

// leave takes a mailbox out of the account: it is no longer in the tree.
func (m *Mailbox) leave() {
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	if !m.gone.Swap(true) {
		m.account.indexed.Add(-int64(m.snap.Load().size()))
	}
}

// finding is what somebody has found out about a message beside the work on the index.
type finding struct {
	edit
	flags   []string // sorted; what it has where the edit is of flags or of a new message
	flagged bool
	instead UID // goes in the same step; of a new message; 0: none
}

// isNew reports whether it is a message that was put in.
func (f *finding) isNew() bool { return f.flagged && !f.flagOnly }

// apply puts what was found into s, whose flags are numbered by sets.
func (f *finding) apply(s *Snapshot, sets *flagSets) *Snapshot {
	e := f.edit
	var edits []edit
	if f.instead != 0 {
		edits = append(edits, edit{record: record{uid: f.instead}, remove: true})
	}
	if f.flagged {
		e.flags = sets.id(f.flags)
	}
	if !f.isNew() || s.find(e.uid) == nil { // else it was listed meanwhile
		edits = append(edits, e)
	}
	next, _ := s.apply(edits)
	if f.flagged && len(next.flags) < len(sets.sets) {
		out := *next
		out.flags = sets.sets
		next = &out
	}
	return next
}

// learn puts into the index what was found out beside the work on it, where the epoch
// is that of now.
func (m *Mailbox) learn(e *epoch, what edit) { m.find(e, finding{edit: what}) }

// find is learn for what may have flags. It reports whether the epoch is that of now.
func (m *Mailbox) find(e *epoch, f finding) bool {
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	s := m.snap.Load()
	if s == nil || m.current.Load() != e || s.validity != e.validity {
		return false
	}
	if f.isNew() && m.index.gone.Contains(f.uid) { // what has gone does not come back
		if f.instead == 0 {
			return true
		}
		f = finding{edit: edit{record: record{uid: f.instead}, remove: true}}
	}
	sets := m.index.flags
	switch {
	case f.flagged && m.index.working:
		// The numbers are the worker's; others do until it publishes.
		sets = newFlagSets()
		s = s.reflagged(sets)
		m.index.strange = true
	case f.flagged && m.index.strange:
		sets = newFlagSets()
		s = s.reflagged(sets)
		m.index.flags, m.index.strange = sets, false
	}
	if m.index.working {
		m.index.found = append(m.index.found, f)
	}
	m.show(f.apply(s, sets))
	return true
}

// learnSize records the true length of a text.
func (m *Mailbox) learnSize(e *epoch, uid UID, size int64) {
	r := record{uid: uid}
	r.setSize(size)
	m.learn(e, edit{record: r, sizeOnly: true})
}

// learnGone records that a message is expunged.
func (m *Mailbox) learnGone(e *epoch, uid UID) {
	if s := m.snap.Load(); s != nil && s.find(uid) == nil {
		return
	}
	m.learn(e, edit{record: record{uid: uid}, remove: true})
}
