package cache

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// append sends a text that is ready, once: by APPEND, or by REPLACE (replace.go). A refusal
// is noted in the spool, and so is whether a server that was lost may have it.
func (d *Draft) append(j *job, m *Mailbox, g *generation) error {
	select {
	case d.a.drafts.slots <- struct{}{}:
		defer func() { <-d.a.drafts.slots }()
	case <-d.a.ctx.Done():
		return errClosed
	}
	in := g.Info()
	moves := m.moves.Load()
	t, err := m.landing(j)
	if err == nil && in.Length > t.limit {
		err = imapconn.ErrAppendLimit
	}
	if err != nil {
		return d.unlessLost(j, g, err)
	}
	l, err := d.uplink(j, m, g)
	if err != nil {
		return d.unlessLost(j, g, err)
	}
	released := false
	release := func() {
		if !released {
			released = true
			l.release()
		}
	}
	defer release()
	if in.NUL && !l.client.Caps().Has("BINARY") {
		return d.refuse(g, errNUL)
	}
	if err := g.Send(t.validity, t.next); err != nil { // it may replace what an earlier generation has become
		return err
	}
	m.ours.begin()
	data, old, err := d.deliverOver(l, m, g)
	release() // what comes next may want a connection of its own
	if err != nil {
		m.settle()
		if old != 0 {
			m.doubt() // it may be gone
		}
		return d.failed(j, m, g, err, moves)
	}
	validity := t.validity
	if data.UID != 0 {
		validity = data.UIDValidity
	}
	d.arrive(m, g, validity, data.UID, old)
	m.settle()
	return nil
}

// counted counts the octets of a text that go out.
type counted struct {
	out *spool.Outgoing
	n   *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// unlessLost notes a verdict, which is every error that another try will not mend.
func (d *Draft) unlessLost(j *job, g *generation, err error) error {
	switch KindOf(err) {
	case Timeout, IO, Busy, Interrupted:
		return err
	}
	if lostConnection(err) {
		return err
	}
	return d.refuse(g, err)
}

// failed notes what became of a text whose APPEND has failed.
func (d *Draft) failed(j *job, m *Mailbox, g *generation, err error, moves uint32) error {
	var what *imapconn.AppendError
	if !errors.As(err, &what) {
		what = &imapconn.AppendError{State: imapconn.Unknown, Err: err}
	}
	f := spool.Failure{Kind: KindOf(err).String(), Words: err.Error()}
	switch what.State {
	case imapconn.NotSent:
		d.noted(g, g.Unsent(f))
	case imapconn.Unknown:
		d.noted(g, g.Uncertain(f))
	case imapconn.Refused:
		d.a.drafts.forget(m)
		err = m.verdict(j, err, moves, 0)
		f.Kind, f.Words = KindOf(err).String(), err.Error()
		d.noted(g, g.Refuse(f))
	}
	return err
}

// forget has a mailbox asked about before the next text is sent to it.
func (ds *drafts) forget(m *Mailbox) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.target(m).known = false
}

// beside gives a connection that has not selected m: Courier refuses an APPEND to
// what is open for reading. Where there is only one any will do.
func (m *Mailbox) beside(j *job) (*lease, error) {
	l, err := m.account.pool.acquire(j.ctx, want{beside: m})
	if errors.Is(err, errNoSpare) {
		l, err = m.account.pool.acquire(j.ctx, want{})
	}
	return l, err
}

// landing says what is known of a mailbox that a text is to be appended to: its
// UIDVALIDITY, and a UID under which no new message can be. It asks the server the
// first time.
func (m *Mailbox) landing(j *job) (target, error) {
	ds := m.account.drafts
	if m.gone.Load() {
		return target{}, errGone
	}
	if !m.Selectable() {
		return target{}, errNoMessages
	}
	ds.mu.Lock()
	t := *ds.target(m)
	ds.mu.Unlock()
	if !t.known {
		var err error
		if t, err = m.askLanding(j); err != nil {
			return target{}, err
		}
	}
	if v, next := m.knownNext(); v == t.validity {
		t.next = max(t.next, next)
	}
	return t, nil
}

func (m *Mailbox) askLanding(j *job) (target, error) {
	t, err := m.landingByStatus(j)
	if err != nil {
		return target{}, err
	}
	if t.validity == 0 { // RFC 1730 has no STATUS; a refusal is said better by EXAMINE
		if _, err := m.Load(j.ctx); err != nil {
			return target{}, err
		}
		t.validity, t.next = m.knownNext()
	}
	return m.account.drafts.learn(m, t), nil
}

// learn notes what the server has said of a target.
func (ds *drafts) learn(m *Mailbox, t target) target {
	t.known = true
	ds.mu.Lock()
	defer ds.mu.Unlock()
	was := ds.target(m)
	if was.validity == t.validity {
		t.owned, t.next = was.owned, max(t.next, was.next)
	}
	*was = t
	return t
}

// landingByStatus asks by STATUS for what is not known. A validity of 0: the server does
// not say. An error is the connection's.
func (m *Mailbox) landingByStatus(j *job) (target, error) {
	t := target{limit: imapconn.NoAppendLimit}
	l, err := m.beside(j)
	if err != nil {
		return t, err
	}
	defer l.release()
	caps := l.client.Caps()
	items := []string{"UIDNEXT", "UIDVALIDITY"}
	if caps.Has("APPENDLIMIT") {
		items = append(items, "APPENDLIMIT")
	} else {
		if t.limit, err = l.client.AppendLimit(m.account.ctx, m.WireName()); err != nil { // it sends nothing then
			return t, err
		}
		if t.validity, t.next = m.knownNext(); t.validity != 0 {
			return t, nil
		}
	}
	if !caps.Has("IMAP4rev1") && !caps.Has("IMAP4rev2") {
		return t, nil
	}
	data, err := l.client.Status(m.account.ctx, m.WireName(), items...)
	if lostConnection(err) {
		return t, err
	}
	if err == nil && data.HasUIDNext && data.HasUIDValidity {
		t.validity, t.next = data.UIDValidity, data.UIDNext
	}
	if err == nil && data.HasAppendLimit {
		t.limit = data.AppendLimit
	}
	return t, nil
}

// knownNext gives UIDVALIDITY, on the wire, and a lower bound of UIDNEXT as the index has
// them; 0 where it has none.
func (m *Mailbox) knownNext() (UIDValidity, UID) {
	e, s := m.current.Load(), m.snap.Load()
	if e == nil || s == nil || e.validity != s.validity {
		return 0, 0
	}
	return e.wire, s.uidNext
}

// arrive notes that the server has a text, under a UID if that is known, and shows it; in the
// place of old where that went with the same command, else 0.
func (d *Draft) arrive(m *Mailbox, g *generation, v UIDValidity, uid, old UID) {
	d.noted(g, g.Done(v, uid))
	if old != 0 {
		m.ours.removing(old)
		if len(g.Info().Replaces) == 1 {
			g.Replaced()
		}
	}
	in := g.Info()
	d.a.drafts.own(m, v, uid)
	flags := slices.Clone(in.Flags)
	slices.Sort(flags)
	m.exchanged(v, newRecord(uid, in.Length, d.dated(g).Unix(), 0), flags, old)

	d.mu.Lock()
	g.arrived = time.Now()
	d.known(m, g, v, uid)
	replaces := len(in.Replaces) > 0
	discarded := d.discarded
	d.mu.Unlock()
	// Whoever edits waits for the old one to go: it is checked and replaced now. Where it has
	// gone without the new one being known, that is looked for.
	done := (replaces || discarded || old != 0 && uid == 0) && d.a.finish(d, m, g)
	d.mu.Lock()
	g.answered = true
	d.mu.Unlock()
	d.a.drafts.tell()
	if !done {
		d.a.queueCheck(check{d: d, box: m, g: g})
	}
}

// dated is the INTERNALDATE that a text is sent with: where it was given none, the time
// when it was first sent. The server's clock would be another one, and what is shown
// until somebody asks would not be what there is.
func (d *Draft) dated(g *generation) time.Time {
	if date := g.Info().Date; !date.IsZero() {
		return date
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if g.date.IsZero() {
		g.date = time.Now().Truncate(time.Second)
	}
	return g.date
}

// known notes which message a text has become. mu is held.
func (d *Draft) known(m *Mailbox, g *generation, v UIDValidity, uid UID) {
	if e := m.current.Load(); e != nil && e.wire == v {
		v = e.validity
	}
	d.sent, d.where = Sent{v, uid, g.Info().Length}, m
	if uid != 0 {
		s := d.sent
		d.a.crier.cryDraft(func(o DraftObserver) { o.DraftArrived(d, m, s) })
	}
	d.a.drafts.tell()
}
