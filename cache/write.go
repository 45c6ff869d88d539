package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imapfs/imapconn"
)

// Causes that no server names.
var (
	errNoMessage = errors.New("there is no such message any more (list the directory again)")
	errKept      = errors.New("the server keeps the message, though it says OK (try again)")
	errLostCopy  = errors.New("the connection was lost before the answer; the message may have been copied (look, and try again)")
)

// change does what f does, which changes something on the server, and waits for it
// until ctx ends; it goes on then, with what time it has. Where f has made an
// *Error of its own, that is it.
func (a *Account) change(ctx context.Context, op string, m *Mailbox, uid UID, f func(j *job) error) error {
	j := a.newJob()
	j.join(ctx, a.cfg.Timeout)
	if !a.spawn(func() { j.finish(f(j)) }) {
		j.finish(errClosed)
	}
	err := j.await(ctx, op, m, uid)
	var outer, inner *Error
	if errors.As(err, &outer) && errors.As(outer.Err, &inner) {
		return inner
	}
	return err
}

// writing leases a connection that has m selected for changes, under UIDVALIDITY v.
func (m *Mailbox) writing(j *job, v UIDValidity) (*lease, error) {
	switch {
	case m.gone.Load():
		return nil, errGone
	case !m.Selectable():
		return nil, errNoMessages
	}
	moves := m.moves.Load()
	l, err := m.account.pool.acquire(j.ctx, want{box: m, write: true})
	if err != nil {
		return nil, m.refused(j, err, moves, 0)
	}
	switch {
	case l.epoch.validity != v:
		err = errValidity
	case l.hear.answer().ReadOnly:
		err = fmt.Errorf("%w: the server gives it so (see its access rights)", imapconn.ErrReadOnly)
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// existing gives what is known of a message under v.
func (m *Mailbox) existing(v UIDValidity, uid UID) (Message, *record, error) {
	s := m.snap.Load()
	if m.gone.Load() {
		return Message{}, nil, errGone
	}
	if e := m.current.Load(); s == nil || s.validity != v || e == nil || e.validity != v {
		return Message{}, nil, errValidity
	}
	r := s.visible().find(uid)
	if r == nil {
		return Message{}, nil, &Error{Op: "look up", Mailbox: m.full(), UID: uid, Kind: NotExist, Err: errNoMessage}
	}
	return s.message(r), r, nil
}

// isThere asks whether the server still has a message, in a session that has heard
// what there is to hear.
func isThere(ctx context.Context, l *lease, uid UID) (bool, error) {
	if err := l.client.Noop(ctx); err != nil {
		return false, err
	}
	there := false
	err := l.client.FetchMeta(ctx, oneUID(uid), 0, func(f imapconn.Meta) { there = there || f.UID == uid })
	return there && !l.hear.hasExpunged(uid), err
}

func oneUID(uid UID) imapconn.UIDSet { return imapconn.UIDSet{{First: uid, Last: uid}} }

// removed puts into the snapshot that the server has removed a message for us.
func (m *Mailbox) removed(e *epoch, uid UID) {
	m.ours.touch()
	m.learnGone(e, uid)
}

// inDoubt reports whether it is not known what became of a change.
func inDoubt(err error) bool {
	switch KindOf(err) {
	case IO, Timeout, Busy, Interrupted:
		return true
	}
	return false
}

// doubt has a mailbox looked at anew of which it is not known what a command has done.
func (m *Mailbox) doubt() {
	m.news.Store(true)
	if h := m.follow.Load(); h != nil {
		m.lookAnew(h)
	}
}

// added puts into the snapshot a message that we have put into the mailbox ourselves,
// under the UIDVALIDITY and the UID that the server has named. Where it has not, or the
// mailbox is not known, whoever looks asks.
func (m *Mailbox) added(v UIDValidity, r record, flags []string) { m.exchanged(v, r, flags, 0) }

// exchanged is added for a message that has replaced another one: in one snapshot the one comes
// and the other goes. old is 0 where there is none.
func (m *Mailbox) exchanged(v UIDValidity, r record, flags []string, old UID) {
	r.put = true
	e, s := m.current.Load(), m.snap.Load()
	if r.uid == 0 || s == nil || e == nil || e.wire != v || s.validity != e.validity {
		m.news.Store(true)
		return
	}
	if s.find(r.uid) == nil {
		switch {
		case r.uid > s.uidNext:
			m.ours.leaves(s.uidNext)
		case r.uid < s.uidNext:
			// The answer to a later one was processed first, or it has gone since: it is there
			// until somebody has looked.
			m.news.Store(true)
		}
		m.find(e, finding{edit: edit{record: r}, flags: flags, flagged: true, instead: old})
	} else if old != 0 {
		m.learnGone(e, old)
	}
	if h := m.follow.Load(); h != nil {
		h.learn(r.uid + 1)
	}
}

// settle says that a command is over that has put messages in.
func (m *Mailbox) settle() {
	m.ours.end()
	if h := m.follow.Load(); h != nil {
		h.settle(m.snap.Load().size())
	}
}

// pauses are how long a server is left alone that has not done what it said.
var pauses = [...]time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second}
