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
	mu     sync.Mutex    // held over no network; before job.mu, Account.mu
	job    *job          // under way; nil: none
	verify bool          // the server is to be asked, by this job or one more round of it
	asking bool          // the round under way asks the server
	again  bool          // something was heard since the round began
	hinted bool          // so, and the server is to be asked about it
	waited bool          // somebody waits for the job
	hurry  chan struct{} // tells the job that somebody does; holds one
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
	if err := m.ask(ctx, "load"); err != nil {
		return nil, err
	}
	return m.Snapshot(), nil
}

// ask waits until the server was asked. What was under way may have asked before something
// was put in of which we know the server has it, but not the UID: then once more.
func (m *Mailbox) ask(ctx context.Context, op string) error {
	for range 2 {
		j, early := m.join(ctx)
		if err := j.await(ctx, op, m, 0); err != nil || !early {
			return err
		}
	}
	return nil
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
	return s.visible()
}

// join has a reader wait for work that asks the server. early: it may have asked before
// there was the news that there is.
func (m *Mailbox) join(ctx context.Context) (j *job, early bool) {
	m.looks.mu.Lock()
	defer m.looks.mu.Unlock()
	if m.looks.job == nil {
		m.startLooking(true)
	} else if !m.looks.asking {
		m.looks.verify = true
	} else {
		early = m.news.Load() // whoever asks takes it back before he does
	}
	j = m.looks.job
	m.looks.waited = true
	wake(m.looks.hurry)
	j.join(ctx, m.account.cfg.Timeout)
	return j, early
}

// stir has somebody look at what was heard, without anybody waiting for it.
// What was heard beside the connection that the index follows is a hint: then
// the server is asked, if the mailbox is being looked into.
func (m *Mailbox) stir(hint bool) {
	if !hint {
		m.lookAgain(false)
	} else if !m.putOff() {
		m.hint()
	}
}

// hint is stir(true), but for what is put off.
func (m *Mailbox) hint() {
	m.news.Store(true)
	if m.snap.Load() != nil && m.lookedInto() && !m.gone.Load() {
		m.lookAgain(true)
	}
}

// lookAgain has somebody look, once more if somebody does already.
func (m *Mailbox) lookAgain(hint bool) {
	m.looks.mu.Lock()
	defer m.looks.mu.Unlock()
	switch {
	case m.looks.job == nil:
		m.startLooking(hint)
	case hint:
		m.looks.hinted = true
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
	m.looks.job, m.looks.verify, m.looks.waited = j, verify, false
	m.looks.again, m.looks.hinted = false, false
	m.looks.hurry = make(chan struct{}, 1)
	if !m.account.spawn(func() { m.work(j) }) {
		j.finish(errClosed)
	}
}

// work looks until nothing is left to be looked at.
func (m *Mailbox) work(j *job) {
	for {
		m.looks.mu.Lock()
		verify := m.looks.verify
		m.looks.asking, m.looks.verify, m.looks.again, m.looks.hinted = verify, false, false, false
		m.looks.mu.Unlock()

		err := m.look(j, verify)

		m.looks.mu.Lock()
		if err == nil && m.looks.verify {
			m.looks.mu.Unlock()
			continue
		}
		// Who waits for this job has what he asked for.
		hinted, again := m.looks.hinted, m.looks.again
		m.looks.job, m.looks.asking = nil, false
		if err == nil && (hinted || again) {
			m.startLooking(hinted)
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
			if !m.worthRelisting(j, verify) {
				return nil
			}
			m.relisted = time.Now()
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

// relistPace is how often at most a mailbox is listed anew while nobody waits.
const relistPace = time.Second

// worthRelisting waits until the mailbox may be listed anew: at once if somebody
// waits for it. Where nobody does and the connection has ended on which the news
// was heard, it is enough to know that there is some: whoever looks next asks.
// Without this a server that says something and hangs up, or miscounts again and
// again, would be asked again and again without end.
func (m *Mailbox) worthRelisting(j *job, verify bool) bool {
	m.looks.mu.Lock()
	waited, hurry := m.looks.waited, m.looks.hurry
	m.looks.mu.Unlock()
	if waited {
		return true
	}
	m.news.Store(true)
	if h := m.follow.Load(); !verify && (h == nil || !h.live()) {
		return false
	}
	m.account.nap(hurry, max(relistPace-time.Since(m.relisted), time.Nanosecond))
	return !j.over()
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
	next, err := m.absorb(l, work, false)
	if err == nil && next.Len() == 0 && work.Len() > 0 {
		// Or the mailbox was deleted or renamed, and all its messages go for those who
		// are in it (Cyrus): an EXAMINE tells.
		err = errAllGone
	}
	if err != nil {
		return joint(errNotFollowed, err)
	}
	l.hear.learn(next.uidNext)
	return m.publish(next, l, since)
}

var errAllGone = errors.New("all messages are said to be expunged")

// maxRounds bounds how often one look takes up what is heard meanwhile, in rounds.
const maxRounds = 50

// absorb puts what is heard into s until nothing is left and it has as many
// messages as there are. asked: the server has had its chance to say what it knows.
func (m *Mailbox) absorb(l *lease, s *Snapshot, asked bool) (*Snapshot, error) {
	for range maxRounds {
		heard, count, reached := l.hear.take()
		s = s.without(setOf(heard.ours))
		gap := m.ours.takeGap()
		heard.grown = heard.grown || gap != 0
		switch {
		case heard.lost != "":
			return nil, errors.New(heard.lost)
		case heard.changed:
			return nil, errors.New("flags of an unknown message changed")
		case heard.none() && count == s.Len():
			return s.reached(reached), nil
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
		s = s.without(setOf(heard.vanished))
		if first, ok := s.behind(); (ok || gap != 0) && heard.grown && count > 0 {
			if gap != 0 && (!ok || gap < first) {
				first = gap
			}
			new, err := m.fetchRecords(l, imapconn.UIDSet{{First: first, Last: math.MaxUint32}})
			if err != nil {
				return nil, err
			}
			s, _ = s.apply(setEdits(new))
		} else if count == s.Len() {
			return s.reached(reached), nil // what was heard since has somebody look again
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
