package cache

import (
	"context"
	"errors"
	"maps"
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
	// usedFor is how long after a look the tree is asked for though NOTIFY stands: whoever
	// goes on looks again by then.
	usedFor = 2 * LookInterval
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
//
// Where NOTIFY stands mailboxes are asked about as a check only: once when somebody has
// looked, then seldom. The tree is asked for each time while somebody uses it: Dovecot
// tells of a RENAME by another process only once a client lists the mailboxes.
func (a *Account) poll() {
	var asked int64 // Unix nanoseconds
	for a.ctx.Err() == nil {
		look := a.lastLook.Load()
		switch unused := time.Now().UnixNano() - look; {
		case unused >= int64(lookedIntoFor):
			a.nap(a.repoll, tendEvery)
		case unused >= int64(usedFor) && a.told(asked):
			a.nap(a.repoll, tendEvery)
			if a.lastLook.Load() == look && a.lookedAt() {
				a.ask()
			}
		default:
			a.nap(a.soon, a.cfg.Poll)
			if a.told(asked) {
				a.askTree()
			} else {
				asked = time.Now().UnixNano()
				a.ask()
			}
		}
		a.tend()
	}
}

// told reports whether NOTIFY tells of all that is asked about, and nobody has looked
// since this was last done.
func (a *Account) told(asked int64) bool {
	return a.noticed() && a.lastLook.Load() < asked && !a.askAll.Load()
}

// ask asks about the tree and the mailboxes.
func (a *Account) ask() {
	if !a.askTree() {
		return
	}
	for due := a.toAsk(); len(due) > 0 && a.ctx.Err() == nil; {
		var err error
		if due, err = a.askSome(due); err != nil {
			a.log.Debug("poll", "err", err)
			if lostConnection(err) || errors.Is(err, errPatience) {
				return
			}
		}
	}
}

// askTree asks for the tree, unless that was done a moment ago, or the tree is so large
// that it would be too often.
func (a *Account) askTree() (ok bool) {
	if j := a.trees.refresh(a.ctx, a.trees.maxAge(false)); j != nil {
		if err := j.await(a.ctx, "list", nil, 0); err != nil {
			a.log.Debug("poll", "err", err)
			return false
		}
	}
	return true
}

// askSoon has poll ask at once about all that is in use.
func (a *Account) askSoon() {
	a.askAll.Store(true)
	wake(a.soon)
	wake(a.repoll)
}

// toAsk gives the mailboxes to be asked about now, those first that have waited
// longest. Of which NOTIFY tells they are asked about less often, unless the index
// follows them: then it is a NOOP by which they stay fresh.
func (a *Account) toAsk() []*Mailbox {
	var all []*Mailbox
	every, noticed := a.askAll.Swap(false), a.noticed()
	old := a.cfg.Poll / 2
	for m := range a.Tree().all {
		since := m.checked.Load()
		if since == nil || !m.lookedInto() {
			continue
		}
		h := m.follow.Load()
		due := time.Since(*since) > old || time.Since(time.Unix(0, m.entered.Load())) > old
		if noticed && (h == nil || !h.live()) {
			due = time.Since(m.asked) > (notifyPoll-1)*a.cfg.Poll+old
		}
		if every || due {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(x, y *Mailbox) int { return x.asked.Compare(y.asked) })
	if n := a.statuses(); len(all) > n {
		a.askAll.Store(every) // about the others next
		all = all[:n]
	}
	return all
}

// statuses is how many mailboxes are asked about in each round.
func (a *Account) statuses() int {
	return max(1, int(pollRate*a.cfg.Poll.Seconds()/statusOctets))
}

// statusItems is what is asked about a mailbox. SIZE would have the server look at
// each message.
var statusItems = []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"}

// asking is one question about a mailbox.
type asking struct {
	m       *Mailbox
	h       *hearing // that the index follows; nil: none
	s       *Snapshot
	idled   bool // an IDLE stands there: it should have told of any change
	noticed bool // NOTIFY does
}

// beginAsking makes a question; false where somebody asks already.
//
// A mailbox that the index follows is asked there, by NOOP. That is not enough: one
// that was deleted and made again goes on in the sessions that had the old one
// selected, with Courier, GNU mailutils and others. Which mailbox has the name now
// is known to STATUS and EXAMINE. Where an IDLE stands NOOP comes after STATUS, so
// that a server is found out that says nothing in it.
func (m *Mailbox) beginAsking() (q asking, ask bool) {
	m.asked = time.Now()
	q = asking{m: m, h: m.follow.Load(), s: m.snap.Load()}
	switch {
	case q.h != nil && q.h.live():
		since := q.h.idled.Load()
		q.idled = since != 0 && m.asked.UnixNano()-since > int64(m.account.muteGrace())
		if !q.idled {
			m.verifyBehind()
		}
		return q, true
	case m.lookingNow():
		return q, false
	}
	q.h = nil
	q.noticed = m.account.noticed() && !m.news.Load()
	return q, true
}

// noticed reports whether NOTIFY tells of all mailboxes that are shown.
func (a *Account) noticed() bool { return a.notices.stand() && !a.cfg.Shared }

// askSome asks about the first of due, and in the same flight about all others that
// can be asked about on the same connection: STATUS is not asked about the mailbox
// that is selected there (RFC 3501 §6.3.10). It gives those that are left. It is
// called by poll only.
func (a *Account) askSome(due []*Mailbox) (rest []*Mailbox, err error) {
	m := due[0]
	q, ask := m.beginAsking()
	if !ask {
		return due[1:], nil
	}
	j := a.newJob()
	defer j.finish(nil)
	l, err := a.pool.acquire(j.ctx, want{beside: m, spare: q.h != nil})
	switch {
	case errors.Is(err, errNoSpare) && q.h == nil:
		m.verifyBehind()
		return due[1:], nil
	case errors.Is(err, errNoSpare):
		return due[1:], q.askExamine(j)
	case err != nil:
		return due[1:], err
	}
	if caps := l.client.Caps(); !caps.Rev1() && caps.Has("IMAP4") { // RFC 1730 has no STATUS
		l.release()
		return due[1:], q.askExamine(j)
	}
	all := []asking{q}
	selected := a.pool.selected(l)
	for _, m := range due[1:] {
		if m == selected {
			rest = append(rest, m)
		} else if q, ask := m.beginAsking(); ask {
			all = append(all, q)
		}
	}
	data, errs, err := a.numbersOf(l, all)
	l.release()
	if err != nil {
		return rest, err
	}
	for i := range all {
		all[i].judge(data[i], errs[i])
	}
	return rest, nil
}

// selected is the mailbox that is selected on a connection while it is leased.
func (p *pool) selected(l *lease) *Mailbox {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.conn.sel == nil {
		return nil
	}
	return l.conn.sel.box
}

// numbersOf asks for the numbers of mailboxes, HIGHESTMODSEQ among them where there is
// one, by which a changed flag is seen. Not of a mailbox that the index follows:
// there the index may have more than it is known to reach to.
func (a *Account) numbersOf(l *lease, all []asking) (data []imapconn.StatusData, errs []error, err error) {
	if !l.client.Condstore() || a.noStatusModSeq.Load() {
		return a.statusesOf(l, all, statusItems)
	}
	items := append(statusItems[:len(statusItems):len(statusItems)], "HIGHESTMODSEQ")
	data, errs, err = a.statusesOf(l, all, items)
	for i := range errs {
		var refused *imapconn.StatusError
		if errors.As(errs[i], &refused) && refused.Type == "BAD" {
			a.noStatusModSeq.Store(true)
			return a.statusesOf(l, all, statusItems)
		}
	}
	for i := range data {
		data[i].HasHighestModSeq = data[i].HasHighestModSeq && all[i].h == nil
	}
	return data, errs, err
}

// statusesOf asks for the STATUS of mailboxes: in one command, where the server has
// that, else in one flight. What is said of each is at its place.
func (a *Account) statusesOf(l *lease, all []asking, items []string) (data []imapconn.StatusData, errs []error, err error) {
	data, errs = make([]imapconn.StatusData, len(all)), make([]error, len(all))
	places := make(map[string]int, len(all)) // of those that are still to be asked about
	var names []string
	for i := range all {
		name := all[i].m.WireName()
		if places[noticeName(name)] = i; imapconn.IsPattern(name) {
			names = append(names, name)
		}
	}
	if len(names) > 1 {
		found, err := l.client.ListStatus(a.ctx, names, items...)
		if lostConnection(err) || errors.Is(err, context.Canceled) {
			return nil, nil, err
		}
		for _, d := range found {
			if i, asked := places[noticeName(d.Mailbox)]; asked {
				data[i] = d
				delete(places, noticeName(d.Mailbox))
			}
		}
	}
	// What LIST leaves out STATUS says, or why not.
	names = names[:0]
	order := slices.Sorted(maps.Values(places))
	for _, i := range order {
		names = append(names, all[i].m.WireName())
	}
	more, errors, err := l.client.Statuses(a.ctx, names, items...)
	if err != nil {
		return nil, nil, err
	}
	for k, i := range order {
		data[i], errs[i] = more[k], errors[k]
	}
	return data, errs, nil
}

// judge has a mailbox looked at where STATUS says something else than the snapshot.
func (q *asking) judge(data imapconn.StatusData, err error) {
	m := q.m
	same := err == nil && (sameStatus(q.s, m.current.Load(), data) || m.miscounted(q.s, data))
	switch {
	case q.idled && !same && err == nil && (!data.HasUIDValidity || data.UIDValidity == m.wireValidity()),
		q.noticed && !same && err == nil:
		m.account.spawn(func() { m.suspect(q.h, q.s) })
	case q.idled, q.h == nil && !same:
		m.verifyBehind()
	}
	switch {
	case same:
		m.entered.Store(time.Now().UnixNano())
	case q.h == nil:
		m.dispute(q.s, data)
	case err != nil && time.Since(time.Unix(0, m.entered.Load())) < enterEvery:
		// A server may refuse STATUS and nothing else.
	case err != nil:
		m.lookAnew(q.h)
	case m.disputed == q.s, data.HasUIDValidity && data.UIDValidity != m.wireValidity():
		// NOOP had its time to say what STATUS says; of UIDVALIDITY it says nothing.
		m.dispute(q.s, data)
		m.lookAnew(q.h)
	default:
		m.disputed = q.s
	}
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
func (q *asking) askExamine(j *job) error {
	m, h := q.m, q.h
	if q.idled {
		m.verifyBehind()
	}
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

// verifyBehind has the server asked, without anybody waiting for it, unless somebody
// looks already: then it gives that job.
func (m *Mailbox) verifyBehind() *job {
	m.looks.mu.Lock()
	defer m.looks.mu.Unlock()
	if m.looks.job == nil {
		m.startLooking(true)
	}
	return m.looks.job
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
