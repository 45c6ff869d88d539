package cache

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"imapfs/imapconn"
)

const (
	// pollRate is what asking for mailboxes may cost while nobody waits for the
	// answer, in octets a second; asking about them may cost as much again. Where
	// an account is so large that Config.Poll would cost more, it is asked less
	// often.
	pollRate = 512
	// statusOctets is about what a STATUS and its answer take.
	statusOctets = 160
	// tendEvery is how often connections are looked after when nobody looks.
	tendEvery = 5 * time.Minute
	// unusedClose is after how long without use a connection is closed, if two
	// others remain; unusedNoop after how long one is used, lest the server log
	// us out (RFC 3501 §5.4: not before 30 minutes, but some are less patient).
	unusedClose = 5 * time.Minute
	unusedNoop  = 9 * time.Minute
)

// poll asks about what somebody has looked into lately, as often as Config.Poll
// says. When nobody has looked for ten minutes it only keeps the connections
// alive.
func (a *Account) poll() {
	for a.ctx.Err() == nil {
		if time.Now().UnixNano()-a.lastLook.Load() < int64(lookedIntoFor) {
			a.nap(nil, a.cfg.Poll)
			a.ask()
		} else {
			a.nap(a.repoll, tendEvery)
		}
		a.tend()
	}
}

// ask asks about the tree and the mailboxes.
func (a *Account) ask() {
	if j := a.trees.refresh(a.ctx, a.trees.maxAge(false)); j != nil {
		if err := j.await(a.ctx, "list", nil, 0); err != nil {
			a.log.Debug("poll", "err", err)
			return
		}
	}
	for _, m := range a.toAsk() {
		if a.ctx.Err() != nil {
			return
		}
		if err := m.askStatus(); err != nil {
			a.log.Debug("poll", "mailbox", m.full(), "err", err)
			if lostConnection(err) || errors.Is(err, errPatience) {
				return
			}
		}
	}
}

// toAsk gives the mailboxes to be asked about now, those first that have waited
// longest.
func (a *Account) toAsk() []*Mailbox {
	var all []*Mailbox
	for m := range a.Tree().all {
		if since := m.checked.Load(); since == nil || !m.lookedInto() {
			continue
		} else if old := a.cfg.Poll / 2; time.Since(*since) > old || time.Since(time.Unix(0, m.entered.Load())) > old {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(x, y *Mailbox) int { return x.asked.Compare(y.asked) })
	return all[:min(len(all), a.statuses())]
}

// statuses is how many mailboxes are asked about in each round.
func (a *Account) statuses() int {
	return max(1, int(pollRate*a.cfg.Poll.Seconds()/statusOctets))
}

// askStatus asks whether a mailbox has changed, and has somebody look if so. It
// is called by poll only.
//
// One that the index follows is asked there, by NOOP. That is not enough: a mailbox
// that was deleted and made again goes on in the sessions that had the old one
// selected, with Courier, GNU mailutils and others. Which mailbox has the name now
// is known to STATUS and EXAMINE.
func (m *Mailbox) askStatus() error {
	m.asked = time.Now()
	h := m.follow.Load()
	switch {
	case h != nil && h.live():
		m.verifyBehind()
	case m.lookingNow():
		return nil
	default:
		h = nil
	}
	j := m.account.newJob()
	defer j.finish(nil)
	l, err := m.account.pool.acquire(j.ctx, want{beside: m, spare: h != nil})
	switch {
	case errors.Is(err, errNoSpare) && h == nil:
		m.verifyBehind()
		return nil
	case errors.Is(err, errNoSpare):
		return m.askExamine(j, h)
	case err != nil:
		return err
	}
	if caps := l.client.Caps(); !caps.Rev1() && caps.Has("IMAP4") { // RFC 1730 has no STATUS
		l.release()
		return m.askExamine(j, h)
	}
	s := m.snap.Load()
	data, err := m.numbers(l, h == nil)
	l.release()
	switch {
	case lostConnection(err) || errors.Is(err, context.Canceled):
		return err
	case err == nil && (sameStatus(s, m.current.Load(), data) || m.miscounted(s, data)):
		m.entered.Store(time.Now().UnixNano())
	case h == nil:
		m.dispute(s, data)
		m.verifyBehind()
	case err != nil && time.Since(time.Unix(0, m.entered.Load())) < enterEvery:
		// A server may refuse STATUS and nothing else.
	case err != nil:
		m.lookAnew(h)
	case m.disputed == s, data.HasUIDValidity && data.UIDValidity != m.wireValidity():
		// NOOP had its time to say what STATUS says; of UIDVALIDITY it says nothing.
		m.dispute(s, data)
		m.lookAnew(h)
	default:
		m.disputed = s
	}
	return nil
}

// dispute notes that a listing is made because STATUS says something else.
func (m *Mailbox) dispute(s *Snapshot, data imapconn.StatusData) {
	if m.disputed == s && m.settled.data == data && m.byPart.Load() {
		m.doubted.Store(true) // what the server says of changes is not all
	}
	m.disputed, m.settled.data, m.settled.when = s, data, time.Now()
}

// miscounted reports whether a listing was made because of the very same words, and
// has changed nothing: then one more for each poll would not, either.
func (m *Mailbox) miscounted(s *Snapshot, data imapconn.StatusData) bool {
	since, disputed := m.checked.Load(), m.settled.when
	return m.disputed == s && m.settled.data == data && !m.byPart.Load() && since != nil && since.After(disputed) &&
		m.entered.Load() > disputed.UnixNano()
}

// wireValidity is UIDVALIDITY as the server gave it last.
func (m *Mailbox) wireValidity() UIDValidity {
	if e := m.current.Load(); e != nil {
		return e.wire
	}
	return 0
}

// enterEvery is how often a mailbox that can be asked about only where the index
// follows it is examined anew there: then it has to be listed anew, too.
const enterEvery = 5 * time.Minute

// askExamine asks by EXAMINE: a server without STATUS, or where all connections
// have the mailbox selected. Where the index follows it (h is not nil), that is
// for UIDVALIDITY. Else as many messages as are known, and none behind the
// highest, are the same ones. Flags it does not ask about, nor does STATUS.
func (m *Mailbox) askExamine(j *job, h *hearing) error {
	l, err := m.account.pool.acquire(j.ctx, want{box: m, fresh: true, spare: h != nil})
	if errors.Is(err, errNoSpare) {
		if time.Since(time.Unix(0, m.entered.Load())) > enterEvery {
			m.lookAnew(h)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer l.release()
	if h != nil {
		return nil // another UIDVALIDITY is a new epoch, and somebody looks already
	}
	s := m.snap.Load()
	if s == nil || l.epoch.validity != s.validity || l.hear.messages() != s.Len() {
		m.verifyBehind()
		return nil
	}
	first, ok := s.behind()
	if !ok {
		return nil
	}
	grown := false
	behind := imapconn.UIDSet{{First: first, Last: math.MaxUint32}}
	err = l.client.FetchMeta(m.account.ctx, behind, 0, func(f imapconn.Meta) { grown = grown || f.UID >= first })
	if lostConnection(err) {
		return err
	}
	if err != nil || grown {
		m.verifyBehind()
	}
	return nil
}

// lookAnew has the mailbox examined and listed anew, without anybody waiting for
// it: what is heard where the index follows it is not the truth.
func (m *Mailbox) lookAnew(h *hearing) {
	m.doubted.Store(true)
	if m.follow.CompareAndSwap(h, nil) {
		h.unfollow()
	}
	m.stir(true)
}

// lookingNow reports whether somebody asks the server.
func (m *Mailbox) lookingNow() bool {
	m.looks.mu.Lock()
	defer m.looks.mu.Unlock()
	return m.looks.job != nil
}

// verifyBehind has the server asked, without anybody waiting for it.
func (m *Mailbox) verifyBehind() {
	m.looks.mu.Lock()
	defer m.looks.mu.Unlock()
	if m.looks.job == nil {
		m.startLooking(true)
	}
}

// sameStatus reports whether STATUS says nothing that the snapshot does not.
func sameStatus(s *Snapshot, e *epoch, d imapconn.StatusData) bool {
	if s == nil || e == nil || e.validity != s.validity {
		return false
	}
	return (!d.HasMessages || int(d.Messages) == s.Len()) &&
		(!d.HasUIDNext || d.UIDNext == s.uidNext) &&
		(!d.HasHighestModSeq || s.modSeq == 0 || d.HighestModSeq == s.modSeq) &&
		(!d.HasUIDValidity || d.UIDValidity == e.wire) &&
		(!d.HasUnseen || int(d.Unseen) == s.unseen())
}

// unseen counts the messages without \Seen.
func (s *Snapshot) unseen() int {
	unseen := s.flagSetsThat(func(flags []string) bool { return !slices.Contains(flags, `\Seen`) })
	n := 0
	for _, c := range s.chunks {
		for i := range c {
			if unseen[c[i].flags] {
				n++
			}
		}
	}
	return n
}

// tend closes connections that nobody uses and keeps the others alive.
func (a *Account) tend() {
	a.awake()
	ctx, cancel := context.WithTimeout(a.ctx, a.cfg.Timeout)
	defer cancel()
	closing, keeping := a.pool.unusedLong()
	for _, c := range closing {
		c.client.Logout(ctx)
	}
	for _, l := range keeping {
		l.client.Noop(ctx)
		l.release()
	}
}

// unusedLong takes connections to be closed out of the pool, and leases those
// to be kept alive.
func (p *pool) unusedLong() (closing []*conn, keeping []*lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := len(p.conns)
	for _, c := range slices.Clone(p.conns) {
		switch unused := time.Since(c.used); {
		case c.users > 0 || !c.alive():
		case unused > unusedClose && left > 2:
			left--
			p.drop(c)
			closing = append(closing, c)
		case unused > unusedNoop:
			c.users++
			keeping = append(keeping, &lease{pool: p, conn: c, client: c.client})
		}
	}
	return closing, keeping
}
