package cache

import (
	"errors"
	"time"

	"imapfs/imapconn"
)

// listTries is how often a mailbox is examined and listed anew when the server
// gives fewer messages than it says there are.
const listTries = 3

// relist examines the mailbox anew and lists it, whole.
func (m *Mailbox) relist(j *job) error {
	if err := m.account.allowed(true); err != nil {
		return err
	}
	var err error
	for try := range listTries {
		if try > 0 {
			j.pause(lagPause)
		}
		m.news.Store(false)
		var l *lease
		moves, hear := m.moves.Load(), newHearing(m)
		if try == 0 {
			hear.resyncs(m.point())
		}
		if l, err = m.account.pool.acquire(j.ctx, want{box: m, fresh: true, hear: hear}); err != nil {
			hear.unfollow()
			return m.refused(j, err, moves, 0)
		}
		err = m.list(l)
		l.release()
		if !errors.Is(err, errShort) || j.over() {
			return err
		}
	}
	return err
}

// verdict looks what a refused EXAMINE or FETCH means where no code tells, by a tree
// that is not older than age: the mailbox may be gone, or have been renamed since it
// had been moved so often, which is worth another try, or it may be something else.
func (m *Mailbox) verdict(j *job, err error, moves uint32, age time.Duration) error {
	var status *imapconn.StatusError
	if kind := KindOf(err); !errors.As(err, &status) || kind != IO && kind != NotExist {
		return err
	}
	// A listing that was under way before the refusal may still have the name.
	trees := &m.account.trees
	refused := trees.mark()
	for !m.gone.Load() && m.moves.Load() == moves && !j.over() {
		if t := trees.refresh(j.ctx, age); t == nil {
			j.pause(age)
		} else if t.await(j.ctx, "list", nil, 0) != nil {
			break
		}
		if trees.answeredSince(refused) {
			break
		}
	}
	switch {
	case m.gone.Load():
		return errGone
	case m.moves.Load() != moves:
		return errRenamed
	}
	return err
}

// refused is verdict where nothing was changed, so that a refusal which says nothing is
// doubted once: a mailbox may have been deleted, and be there again when it is looked for.
func (m *Mailbox) refused(j *job, err error, moves uint32, age time.Duration) error {
	err = m.verdict(j, err, moves, age)
	var status *imapconn.StatusError
	if kind := KindOf(err); j.doubted || !errors.As(err, &status) || kind != IO && kind != NotExist {
		return err
	}
	j.doubted = true
	return &astrayError{err}
}

// list makes the index from what a fresh session says, of what has changed or of
// all, and has it follow this one.
func (m *Mailbox) list(l *lease) error {
	work := m.startWork(l.epoch)
	defer m.endWork()
	next, err := m.resync(l, work)
	byPart := next != nil
	if err == nil && !byPart {
		next, err = m.listWhole(l, work)
	}
	if err == nil {
		next = next.atLeast(l.hear.next())
		l.hear.learn(next.uidNext)
		err = m.publish(next, l, l.since)
	}
	if err != nil {
		l.hear.unfollow()
		return err
	}
	m.byPart.Store(byPart)
	if !byPart {
		m.doubted.Store(false)
	}
	if old := m.follow.Swap(l.hear); old != nil && old != l.hear {
		old.unfollow()
	}
	wake(m.account.rewatch)
	return nil
}

// listWhole is the messages of a listing, and what was heard meanwhile.
func (m *Mailbox) listWhole(l *lease, known *Snapshot) (*Snapshot, error) {
	l.hear.startListing()
	next, err := m.listing(l, known)
	l.hear.endListing()
	if err != nil {
		return nil, err
	}
	if next, err = m.absorb(l, next, false); err != nil && !lostConnection(err) {
		err = joint(errShort, err)
	}
	return next, err
}

// listing asks for all messages: of those that are known only the flags. The
// sizes and dates of these stay what they are: a size that arrives later may be
// that of a message on its way out.
func (m *Mailbox) listing(l *lease, known *Snapshot) (*Snapshot, error) {
	if known == nil {
		var all []chunk
		if l.hear.messages() > 0 {
			var err error
			if all, err = m.fetchRecords(l, imapconn.AllUIDs()); err != nil {
				return nil, err
			}
		}
		next := snapshotIn(l.epoch.validity, 1, all)
		next.flags = m.index.flags.sets
		return next, nil
	}
	c := newComparison(known)
	if l.hear.messages() > 0 {
		if err := m.fetchFlags(l, c.add); err != nil {
			return nil, err
		}
	}
	next, unknown := c.done()
	if len(unknown) > 0 {
		new, err := m.fetchRecords(l, unknown)
		if err != nil {
			return nil, err
		}
		next, _ = next.apply(setEdits(new))
	}
	return next, nil
}
