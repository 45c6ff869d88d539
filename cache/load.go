package cache

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"imapfs/imapconn"
)

// looks is the work on the index of a mailbox: one goroutine at a time.
type looks struct {
	mu     sync.Mutex // held over no network; before job.mu, Account.mu
	job    *job       // under way; nil: none
	verify bool       // the server is to be asked, by this job or one more round of it
	asking bool       // the round under way asks the server
	again  bool       // something was heard since the round began
}

// Load gives the messages of the mailbox, all of them or an error. It answers
// from memory what is being kept fresh: what was verified within Config.Poll and
// has no news since. Else it asks the server, and waits.
func (m *Mailbox) Load(ctx context.Context) (*Snapshot, error) {
	m.Touch()
	switch {
	case m.gone.Load():
		return nil, failure("load", m, 0, errGone)
	case !m.Selectable():
		return nil, failure("load", m, 0, errNoMessages)
	}
	if s := m.fresh(); s != nil {
		return s, nil
	}
	j := m.join(ctx)
	if err := j.await(ctx, "load", m, 0); err != nil {
		return nil, err
	}
	return m.snap.Load(), nil
}

// fresh gives the snapshot if it is being kept fresh.
func (m *Mailbox) fresh() *Snapshot {
	s, since := m.snap.Load(), m.checked.Load()
	if s == nil || since == nil || m.news.Load() || time.Since(*since) >= m.account.cfg.Poll {
		return nil
	}
	if e := m.current.Load(); e == nil || e.validity != s.validity {
		return nil
	}
	if h := m.follow.Load(); h != nil && h.live() && !h.quiet() {
		return nil
	}
	return s
}

// join has a reader wait for work that asks the server.
func (m *Mailbox) join(ctx context.Context) *job {
	m.looks.mu.Lock()
	defer m.looks.mu.Unlock()
	if m.looks.job == nil {
		m.startLooking(true)
	} else if !m.looks.asking {
		m.looks.verify = true
	}
	j := m.looks.job
	j.join(ctx, m.account.cfg.Timeout)
	return j
}

// stir has somebody look at what was heard, without anybody waiting for it.
// What was heard beside the connection that the index follows is a hint: then
// the server is asked, if the mailbox is being looked into.
func (m *Mailbox) stir(hint bool) {
	if hint {
		m.news.Store(true)
		if m.snap.Load() == nil || !m.lookedInto() || m.gone.Load() {
			return
		}
	}
	m.looks.mu.Lock()
	defer m.looks.mu.Unlock()
	switch {
	case m.looks.job == nil:
		m.startLooking(hint)
	case hint:
		m.looks.verify = true
	default:
		m.looks.again = true
	}
}

// lookedIntoFor is how long a mailbox is asked about after somebody looked into it.
const lookedIntoFor = 10 * time.Minute

func (m *Mailbox) lookedInto() bool {
	return time.Now().UnixNano()-m.touched.Load() < int64(lookedIntoFor)
}

// startLooking begins a job. looks.mu is held.
func (m *Mailbox) startLooking(verify bool) {
	j := m.account.newJob()
	m.looks.job, m.looks.verify, m.looks.again = j, verify, false
	if !m.account.spawn(func() { m.work(j) }) {
		j.finish(errClosed)
	}
}

// work looks until nothing is left to be looked at.
func (m *Mailbox) work(j *job) {
	for {
		m.looks.mu.Lock()
		verify := m.looks.verify
		m.looks.asking, m.looks.verify, m.looks.again = verify, false, false
		m.looks.mu.Unlock()

		err := m.look(j, verify)

		m.looks.mu.Lock()
		if err == nil && m.looks.verify {
			m.looks.mu.Unlock()
			continue
		}
		again := err == nil && m.looks.again
		m.looks.job, m.looks.asking = nil, false
		if again {
			m.startLooking(false)
		}
		m.looks.mu.Unlock()
		if err != nil {
			m.news.Store(true)
			m.account.log.Debug("cannot look", "mailbox", m.full(), "err", err)
		}
		j.finish(err)
		return
	}
}

// maxFlips bounds how often one look begins again because UIDVALIDITY changed
// under it, in times.
const maxFlips = 3

// look brings the index up to date: by what was heard on the connection that it
// follows, asking there first for more if verify is set; else by a new listing.
func (m *Mailbox) look(j *job, verify bool) error {
	for flips := 0; ; {
		err := m.catchUp(verify)
		if errors.Is(err, errNotFollowed) {
			err = m.relist(j)
		}
		if errors.Is(err, errValidity) && flips < maxFlips {
			flips++ // what is asked for is the mailbox as it is now
			continue
		}
		if !j.again(err) {
			return err
		}
	}
}

// errNotFollowed: the index cannot be brought up to date but by a listing.
var errNotFollowed = errors.New("the index follows no connection")

// catchUp puts into the index what was heard.
func (m *Mailbox) catchUp(verify bool) error {
	h := m.follow.Load()
	if h == nil {
		return errNotFollowed
	}
	l := m.account.pool.hold(h)
	if l == nil {
		return errNotFollowed
	}
	defer l.release()
	since := time.Now()
	if verify {
		m.news.Store(false)
		if err := l.client.Noop(m.account.ctx); err != nil {
			return err
		}
	} else if c := m.checked.Load(); c != nil {
		since = *c // nothing was asked: what else there is, is as old as it was
	}
	work := m.startWork(l.epoch)
	defer m.endWork()
	if work == nil {
		return errNotFollowed
	}
	next, err := m.absorb(l, work)
	if err != nil {
		return errors.Join(errNotFollowed, err)
	}
	l.hear.learn(next.uidNext)
	return m.publish(next, l.epoch, since)
}

// maxRounds bounds how often one look takes up what is heard meanwhile, in rounds.
const maxRounds = 50

// absorb puts what is heard into s until nothing is left and it has as many
// messages as there are.
func (m *Mailbox) absorb(l *lease, s *Snapshot) (*Snapshot, error) {
	asked := false
	for range maxRounds {
		heard, count := l.hear.take()
		switch {
		case heard.lost != "":
			return nil, errors.New(heard.lost)
		case heard.changed:
			return nil, errors.New("flags of an unknown message changed")
		case heard.none() && count == s.Len():
			return s, nil
		case heard.none() && asked:
			return nil, errShort
		case heard.none():
			// The server may not have said yet that some are gone.
			asked = true
			if err := l.client.Noop(m.account.ctx); err != nil {
				return nil, err
			}
			continue
		}
		s = s.applyFlags(heard.flags, m.index.flags)
		edits := make([]edit, 0, len(heard.expunged))
		for _, uid := range heard.expunged {
			edits = append(edits, edit{record: record{uid: uid}, remove: true})
		}
		s, _ = s.apply(edits)
		if heard.grown && count > 0 {
			first := UID(1)
			if h := s.highest(); h != nil {
				first = h.uid + 1
			}
			new, err := m.fetchRecords(l, imapconn.UIDSet{{First: first, Last: math.MaxUint32}})
			if err != nil {
				return nil, err
			}
			s, _ = s.apply(setEdits(new))
		}
	}
	return nil, errors.New("the mailbox changes faster than it can be read (try again)")
}

func setEdits(chunks []chunk) []edit {
	var edits []edit
	for _, c := range chunks {
		for i := range c {
			edits = append(edits, edit{record: c[i]})
		}
	}
	return edits
}
