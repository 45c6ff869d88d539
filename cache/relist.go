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
		if l, err = m.account.pool.acquire(j.ctx, want{box: m, fresh: true}); err != nil {
			return m.verdict(j, err)
		}
		err = m.list(l)
		l.release()
		if !errors.Is(err, errShort) || j.over() {
			return err
		}
	}
	return err
}

// verdict looks what a refused EXAMINE means where the server gives no code:
// the mailbox may be gone, or it may be something else.
func (m *Mailbox) verdict(j *job, err error) error {
	var status *imapconn.StatusError
	if !errors.As(err, &status) || KindOf(err) != IO {
		return err
	}
	if t := m.account.trees.refresh(j.ctx, 0); t != nil {
		t.await(j.ctx, "list", nil, 0)
	}
	if m.gone.Load() {
		return errGone
	}
	return err
}

// list makes the index from a listing in a fresh session, and has it follow
// this one.
func (m *Mailbox) list(l *lease) error {
	since := time.Now()
	work := m.startWork(l.epoch)
	defer m.endWork()
	l.hear.startListing()
	next, err := m.listing(l, work)
	l.hear.list(nil)
	if err == nil {
		if next, err = m.absorb(l, next); err != nil && !lostConnection(err) {
			err = joint(errShort, err)
		}
	}
	if err == nil {
		next = next.atLeast(l.hear.next())
		l.hear.learn(next.uidNext)
		err = m.publish(next, l, since)
	}
	if err != nil {
		l.hear.unfollow()
		return err
	}
	if old := m.follow.Swap(l.hear); old != nil && old != l.hear {
		old.unfollow()
	}
	wake(m.account.rewatch)
	return nil
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
		l.hear.list(unknown)
		new, err := m.fetchRecords(l, unknown)
		if err != nil {
			return nil, err
		}
		next, _ = next.apply(setEdits(new))
	}
	return next, nil
}
