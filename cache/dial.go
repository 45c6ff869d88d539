package cache

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"imapfs/imapconn"
)

const (
	firstBackoff = 100 * time.Millisecond // after the first failed dial; it doubles, with jitter
	// maxBackoff is without the jitter, which is up to half of it: a server that is
	// back is found within 3 s.
	maxBackoff = 1600 * time.Millisecond
	// A refused login is not tried again so soon: servers lock accounts for less.
	firstRefusal = time.Second
	maxRefusal   = time.Minute
	// dialPatience is how long a dial may take before another mailbox's watch is
	// given up for whoever waits.
	dialPatience = 2 * time.Second
	// limitKept is how long a server that refused one more connection is not
	// asked for one again.
	limitKept = 10 * time.Minute
)

func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = firstBackoff, maxBackoff, 2
	return b
}

// mayDial sees to it that a connection is being made for a waiter behind whom
// so many wait longer; false where that cannot be, or takes too long. p.mu is
// held.
func (p *pool) mayDial(before int) bool {
	now := time.Now()
	if before < p.dialing {
		if late := p.dialStart.Add(dialPatience); now.Before(late) || len(p.conns) == 0 {
			p.lookAgain(late)
			return true
		}
		return false
	}
	if len(p.conns)+p.dialing+p.apart >= p.limit {
		return false
	}
	if now.Before(p.notBefore) {
		p.lookAgain(p.notBefore)
		return len(p.conns) == 0
	}
	p.startDial()
	p.lookAgain(now.Add(dialPatience))
	return true
}

// startDial makes a connection. p.mu is held.
func (p *pool) startDial() {
	ctx := p.dials
	if p.a.spawn(func() { p.dial(ctx) }) {
		p.dialing++
		p.dialStart = time.Now()
	}
}

// lookAgain dispatches at a later time. p.mu is held.
func (p *pool) lookAgain(at time.Time) {
	if p.timer != nil {
		if !at.Before(p.timerAt) || !p.timer.Stop() {
			return
		}
	}
	p.timerAt = at
	p.timer = time.AfterFunc(max(time.Until(at), time.Millisecond), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.timer = nil
		if !p.closed {
			p.dispatch()
		}
	})
}

func (p *pool) dial(ctx context.Context) {
	begun := time.Now()
	client, err := p.a.cfg.Dial(ctx)
	p.mu.Lock()
	p.dialing--
	if err == nil {
		p.recovered()
		p.denied, p.refusals = nil, 0
		p.mu.Unlock()
		p.add(client)
		return
	}
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if ctx.Err() == nil {
		p.dialFailed(begun, err)
	}
	p.dispatch()
}

// lower takes note that the server refuses more connections than there are. Where
// that is too few, NOTIFY yields its own. p.mu is held.
func (p *pool) lower(have int, err error) {
	p.limit, p.limited = have, time.Now()
	if p.apart > 0 && have < notifyConnections {
		p.a.notices.yield()
	}
	wake(p.a.rewatch)
	if !p.saidLimit {
		p.saidLimit = true
		p.a.log.Warn("the server refuses one more connection; going on with fewer (lower --connections)", "have", have, "err", err)
	}
}

// dialFailed decides what a failed dial means. p.mu is held.
func (p *pool) dialFailed(begun time.Time, err error) {
	now := time.Now()
	p.notBefore = now.Add(p.backoff.NextBackOff())
	pause, later := imapconn.Throttled(err)
	if later && (pause > 0 || len(p.conns) == 0 && !unavailable(err)) {
		p.rest(pause, err)
	}
	if len(p.conns) > 0 {
		if refused(err) {
			p.lower(len(p.conns)+p.dialing+p.apart, err)
		}
		return
	}
	p.troubled(begun, err)
	p.sayOutage()
	p.denied = nil
	var auth *imapconn.AuthError
	if errors.As(err, &auth) && !later { // which is no word about the password
		p.denied = err
		p.notBefore = now.Add(min(firstRefusal<<min(p.refusals, 10), maxRefusal))
		p.refusals++
	}
}

// answerDenied gives the refusal of the last login to everybody who waits, until
// the next may be tried. p.mu is held.
func (p *pool) answerDenied() {
	if p.denied != nil && len(p.conns) == 0 && p.dialing == 0 && time.Now().Before(p.notBefore) {
		p.fail(p.denied)
	}
}

// refused reports whether a server has answered, and does not want one more
// connection: at greeting or login, whatever its words.
func refused(err error) bool {
	var (
		auth   *imapconn.AuthError
		status *imapconn.StatusError
	)
	return errors.As(err, &auth) || errors.As(err, &status)
}

// restoreLimit tries again what the server refused some time ago. p.mu is held.
func (p *pool) restoreLimit() {
	if p.limit < p.a.cfg.Connections && time.Since(p.limited) > limitKept {
		p.limit = p.a.cfg.Connections
	}
}

// add takes a connection into the pool, until it dies.
func (p *pool) add(client *imapconn.Client) {
	c := &conn{client: client, used: time.Now()}
	p.mu.Lock()
	if p.closed || !p.a.spawn(func() { p.bury(c) }) {
		p.mu.Unlock()
		client.Close()
		return
	}
	p.conns = append(p.conns, c)
	p.opened++
	p.dispatch()
	p.mu.Unlock()
	wake(p.a.renotify)
}

// bury waits for the end of a connection and takes it out of the pool. Who uses
// it hears of it from the client. One that Account.Close has not taken leave of, as it
// had left the pool by then, ends with the account.
func (p *pool) bury(c *conn) {
	select {
	case <-c.client.Done():
	case <-p.a.ctx.Done():
		c.client.Close()
		<-c.client.Done()
	}
	p.mu.Lock()
	p.drop(c)
	p.mourn(c)
	if !c.given {
		// A server that logs us in and hangs up at once is no better than one that
		// does not answer.
		p.notBefore = time.Now().Add(p.backoff.NextBackOff())
	}
	closed := p.closed
	p.dispatch()
	p.mu.Unlock()
	if !unavailable(c.client.Err()) {
		p.throttled(c.client.Err())
	}
	if err := c.client.Err(); !closed && !errors.Is(err, imapconn.ErrClosed) {
		p.a.log.Info("connection lost", "err", err)
	}
	c.client.Close()
	p.spend(c)
	wake(p.a.rewatch)
}

// drop takes a connection out of the pool. p.mu is held.
func (p *pool) drop(c *conn) {
	if !c.dead {
		p.leaving = append(p.leaving, c)
	}
	c.dead = true
	if c.sel != nil {
		c.sel.hear.end()
	}
	for i, other := range p.conns {
		if other == c {
			p.conns = append(p.conns[:i], p.conns[i+1:]...)
			break
		}
	}
}
