package cache

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// pool shares few connections among many. A connection has one mailbox selected
// and any number of users of that mailbox, whose commands are pipelined; the
// selection changes only when there is no user. Who waits is served in order: a
// connection that somebody waits for is not joined by others.
type pool struct {
	a *Account

	mu      sync.Mutex // held briefly, never across the network; before hearing.mu, job.mu and Account.mu
	conns   []*conn
	queue   []*waiter
	closed  bool
	limit   int              // how many connections there may be, as the server sees it
	limited time.Time        // since when that is less than the user allows
	barred  map[*Mailbox]int // nobody selects these
	apart   int              // how many of them are not lent out: that of NOTIFY

	// See dial.go.
	dialing   int
	dialStart time.Time       // of the newest dial
	notBefore time.Time       // when the next may be tried
	dials     context.Context // of the attempts; ended when the machine has slept
	redial    context.CancelFunc
	denied    error // the refusal of the last login; nil: it was not refused
	refusals  int   // in a row
	backoff   *backoff.ExponentialBackOff
	timer     *time.Timer // looks again; nil: none is set
	timerAt   time.Time
	saidLimit bool

	outage  outage  // see outage.go
	vigil   vigil   // see wake.go
	resting resting // see throttle.go

	// See status.go.
	noticing  *conn   // that of NOTIFY, which is not in conns; nil: there is none
	leaving   []*conn // dropped, and not counted yet in what follows
	spent     spent   // by connections that are over
	opened    int64   // connections so far
	throttles int64   // how often the server has wanted less to do
}

// want is what somebody needs a connection for.
type want struct {
	box    *Mailbox // to be selected; nil: any connection will do
	beside *Mailbox // not to be selected; box is nil then
	write  bool     // box by SELECT, and not by EXAMINE
	leave  *Mailbox // not to be selected any more, anywhere: a connection that has it, without other users, or none
	fresh  bool     // selected anew, nobody else using it meanwhile
	hear   *hearing // what is to hear of the fresh selection; nil: a new one
	bulk   bool     // for much that nobody waits for yet
	spare  bool     // only one that nobody needs: none whose mailbox is watched or followed is made to leave it
	early  bool     // as soon as the sample of the mailbox is on its way: nothing may be kept, shown or changed before lease.proven
}

var errNoSpare = errors.New("no connection is spare")

// waiter is who waits for a connection.
type waiter struct {
	want
	ready chan struct{} // closed when what follows is set
	conn  *conn         // one of its users is the waiter
	sel   *selection    // of the mailbox; nil where none was asked for
	enter bool          // the waiter is to send the EXAMINE; else somebody else does, or has
	err   error
}

func newPool(a *Account) *pool {
	p := &pool{a: a, barred: make(map[*Mailbox]int), limit: a.cfg.Connections, backoff: newBackoff()}
	p.dials, p.redial = context.WithCancel(a.ctx)
	p.vigil.begin()
	return p
}

// acquire waits for a connection until ctx ends. It dials, and selects the
// mailbox, if need be. An error of the end of a connection is worth trying again.
func (p *pool) acquire(ctx context.Context, w want) (*lease, error) {
	p.a.awake()
	wt := &waiter{want: w, ready: make(chan struct{})}
	if err := p.await(ctx, wt); err != nil {
		return nil, err
	}
	switch {
	case wt.enter && wt.early:
		p.enterBeside(wt.conn, wt.sel)
	case wt.enter:
		p.enter(wt.conn, wt.sel)
	}
	return p.entered(ctx, wt)
}

// await waits until a waiter is served.
func (p *pool) await(ctx context.Context, wt *waiter) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return errClosed
	}
	p.queue = append(p.queue, wt)
	p.dispatch()
	p.mu.Unlock()
	select {
	case <-wt.ready:
	case <-ctx.Done():
		if p.withdraw(wt) {
			return context.Cause(ctx)
		}
	}
	return wt.err
}

// withdraw takes a waiter out of the queue; false if it has been served.
func (p *pool) withdraw(wt *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.queue, wt)
	if i < 0 {
		return false
	}
	p.queue = slices.Delete(p.queue, i, i+1)
	p.dispatch()
	return true
}

// hold makes the caller one more user of the connection on which hear listens;
// nil if there is none, or others wait for it.
func (p *pool) hold(hear *hearing) *lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if c.sel != nil && c.sel.hear == hear && !c.wanted && c.alive() && c.sel.ready() {
			c.users++
			return &lease{pool: p, conn: c, client: c.client, hear: hear, epoch: c.sel.epoch}
		}
	}
	return nil
}

func (p *pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.users--
	c.used = time.Now()
	p.dispatch()
}

// dispatch serves those who wait, in order, as far as can be done now. p.mu is held.
func (p *pool) dispatch() {
	for _, c := range p.conns {
		c.wanted = false
	}
	p.answerDenied()
	if p.rests() {
		return
	}
	p.answerOutage()
	p.restoreLimit()
	var rest []*waiter
	for _, w := range p.queue {
		if !p.serve(w, len(rest)) {
			rest = append(rest, w)
		}
	}
	p.queue = rest
	p.answerOutage() // an attempt may have begun: it is waited for only so long
	p.retry()
}

// serve gives a waiter a connection, or sees to it that there will be one.
// before is how many wait longer. p.mu is held.
func (p *pool) serve(w *waiter, before int) bool {
	if w.leave != nil {
		return p.serveLeaving(w)
	}
	if w.box != nil && p.barred[w.box] > 0 {
		return false
	}
	c := p.shared(w)
	if c != nil && (c.bulk == 0 || w.bulk) {
		p.give(w, c)
		return true
	}
	if w.write && p.writers() >= p.maxWriters() {
		if c := p.least(func(c *conn) bool { return c.writes() && c.users > 0 && !c.wanted }, (*conn).busy); c != nil {
			c.wanted = true
		}
		return false
	}
	if c := p.unused(w); c != nil {
		p.give(w, c)
		return true
	}
	if c != nil { // behind what is fetched ahead
		p.give(w, c)
		return true
	}
	if w.spare && len(p.conns) > 1 && slices.ContainsFunc(p.conns, func(c *conn) bool { return c.idler == nil }) {
		w.err = errNoSpare
		close(w.ready)
		return true
	}
	if p.mayDial(before) {
		return false
	}
	if w.spare || w.beside != nil && p.least(func(c *conn) bool { return c.apart(w.beside) }, (*conn).busy) == nil {
		w.err = errNoSpare
		close(w.ready)
		return true
	}
	// One that is used will be left for this waiter: one that only idles at once.
	if c := p.toLeave(); c != nil {
		c.wanted = true
		if c.idler != nil {
			c.idler()
		}
	}
	return false
}

// shared finds a connection that can be used beside others.
func (p *pool) shared(w *waiter) *conn {
	if w.fresh {
		return nil
	}
	return p.least(func(c *conn) bool {
		switch {
		case c.wanted, w.spare && w.box != nil && c.idler != nil:
			return false
		case w.box == nil:
			return w.beside == nil || c.apart(w.beside)
		}
		return c.has(w.box) && c.writes() == w.write && c.sel.joinable()
	}, func(c *conn) int {
		// One that idles costs a round trip to stop it.
		n := c.busy()
		if c.idler != nil && n == 0 {
			n = 1
		}
		if c.bulk > 0 {
			n += bulkRank
			if w.bulk {
				n = -1 // one connection for all of it
			}
		}
		return n
	})
}

// bulkRank makes a connection on which something is fetched ahead the last choice.
const bulkRank = 1 << 20

// unused finds a connection without users, best one that has the mailbox
// already, or none, or has been left alone longest.
func (p *pool) unused(w *waiter) *conn {
	if w.box == nil {
		return nil
	}
	const followed = 3
	var best *conn
	rank := func(c *conn) int {
		switch {
		case w.spare && w.fresh && c.sel != nil && c.sel.box.follow.Load() == c.sel.hear:
			return followed
		case c.has(w.box) && c.writes() == w.write:
			return 0
		case c.sel == nil:
			return 1
		case c.writes() && time.Since(c.used) < writeKept:
		case c.sel.box.follow.Load() != c.sel.hear:
			return 2
		}
		return followed
	}
	for _, c := range p.conns {
		if c.users > 0 || c.wanted || !c.alive() || rank(c) == followed && (w.spare || w.write && p.canGrow()) {
			continue
		}
		if best == nil || rank(c) < rank(best) || rank(c) == rank(best) && c.used.Before(best.used) {
			best = c
		}
	}
	return best
}

// least finds the connection with the least load among those that will do.
func (p *pool) least(ok func(*conn) bool, load func(*conn) int) *conn {
	var best *conn
	for _, c := range p.conns {
		if c.alive() && ok(c) && (best == nil || load(c) < load(best)) {
			best = c
		}
	}
	return best
}

// toLeave finds the connection whose users should leave it for who waits: the one
// with the fewest, and of those that only idle the one whose mailbox was not looked
// into for longest.
func (p *pool) toLeave() *conn {
	var best *conn
	for _, c := range p.conns {
		switch {
		case c.wanted || c.users == 0 || !c.alive():
		case best == nil || c.busy() < best.busy(),
			c.busy() == best.busy() && c.idler != nil && best.idler != nil && c.lookedInto() < best.lookedInto():
			best = c
		}
	}
	return best
}

// give makes a waiter a user of a connection, and has it select its mailbox
// where that is not selected. p.mu is held.
func (p *pool) give(w *waiter, c *conn) {
	c.users++
	if w.bulk {
		c.bulk++
	}
	if !c.given {
		c.given, p.notBefore = true, time.Time{}
		p.backoff.Reset()
	}
	if w.box != nil && (w.fresh || !c.has(w.box) || c.writes() != w.write || !c.sel.joinable()) {
		if c.sel != nil {
			c.sel.hear.end()
		}
		w.enter = true
		c.sel = newSelection(w.box)
		if w.hear != nil {
			c.sel.hear = w.hear
		}
		c.sel.hear.write = w.write
	}
	if w.box != nil {
		w.sel = c.sel
	}
	w.conn = c
	close(w.ready)
}

// fail answers everybody who waits with an error. p.mu is held.
func (p *pool) fail(err error) {
	for _, w := range p.queue {
		w.err = err
		close(w.ready)
	}
	p.queue = nil
}

// close logs out of all connections and serves nobody any more.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.fail(errClosed)
	if p.timer != nil {
		p.timer.Stop()
	}
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.a.ctx), logoutLimit)
	defer cancel()
	var group sync.WaitGroup
	for _, c := range conns {
		group.Go(func() { c.client.Logout(ctx) })
	}
	group.Wait()
}
