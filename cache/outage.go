package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"imapfs/imapconn"
)

const (
	// outageGrace is how long an attempt to connect is waited for when the server has
	// been away for longer than anybody waits.
	outageGrace = 2 * time.Second
	// outageSoon is how long the beginning of an attempt is waited for then.
	outageSoon = 500 * time.Millisecond
	// unaskedRetry is about how often one is made when nobody has looked into
	// anything for lookedIntoFor.
	unaskedRetry = 3 * time.Minute
)

// outage is a time in which the server cannot be reached: there is no connection,
// and none can be made. Guarded by pool.mu.
type outage struct {
	since   time.Time // zero: there is none
	cause   error     // of the newest failure
	said    bool      // the log has it
	unasked time.Time // when to try again if nobody looks into anything
}

// downError is the answer of a server that has been away for longer than anybody
// waits. No other attempt is made for who gets it.
type downError struct {
	since time.Time
	cause error
}

// Error is the same text throughout an outage, so that the log has it once.
func (e downError) Error() string {
	return fmt.Sprintf("the server has been out of reach since %s: %v", e.since.Format(time.TimeOnly), e.cause)
}

func (e downError) Unwrap() error { return e.cause }

// troubled notes a failure that leaves no connection. p.mu is held.
func (p *pool) troubled(since time.Time, cause error) {
	o := &p.outage
	if o.since.IsZero() {
		o.since = since
	}
	o.cause = cause
	o.unasked = time.Now().Add(unaskedRetry/2 + rand.N(unaskedRetry))
}

// sayOutage puts an outage into the log, once. p.mu is held.
func (p *pool) sayOutage() {
	if !p.outage.said {
		p.outage.said = true
		p.a.log.Warn("cannot reach the server; trying again, and showing what is known", "err", p.outage.cause)
	}
}

// recovered ends an outage. p.mu is held.
func (p *pool) recovered() {
	if p.outage.said {
		p.a.log.Info("the server is back", "after", time.Since(p.outage.since).Round(100*time.Millisecond))
	}
	if !p.outage.since.IsZero() {
		p.outage = outage{}
		wake(p.a.rewatch)
	}
}

// living reports whether there is a connection. p.mu is held.
func (p *pool) living() bool {
	for _, c := range p.conns {
		if c.alive() {
			return true
		}
	}
	return false
}

// answerOutage answers everybody who waits for a server that has been away for
// longer than anybody waits, but for the short time in which an attempt may
// succeed. p.mu is held.
func (p *pool) answerOutage() {
	if len(p.queue) == 0 || p.outage.since.IsZero() || p.denied != nil || p.living() {
		return
	}
	now, at := time.Now(), p.outage.since.Add(p.a.cfg.Timeout)
	switch late := p.dialStart.Add(outageGrace); {
	case p.dialing > 0:
		if late.After(at) {
			at = late
		}
	case p.notBefore.Sub(now) < outageSoon:
		return // mayDial makes one
	}
	if now.Before(at) {
		p.lookAgain(at)
		return
	}
	p.sayOutage()
	p.fail(downError{p.outage.since, p.outage.cause})
}

// retry has attempts made in an outage while nobody waits: by the time that
// somebody looks the server is found again, and the watch goes on. p.mu is held.
func (p *pool) retry() {
	if len(p.queue) > 0 || p.dialing > 0 || p.outage.since.IsZero() || p.denied != nil || p.closed || p.living() {
		return
	}
	at := p.notBefore
	if !p.a.lookedAt() {
		at = p.outage.unasked
	}
	if time.Now().Before(at) {
		p.lookAgain(at)
		return
	}
	p.startDial()
}

// lookedAt reports whether somebody has looked into anything lately.
func (a *Account) lookedAt() bool {
	return time.Now().UnixNano()-a.lastLook.Load() < int64(lookedIntoFor)
}

// errDeaf is the end of connections on which nothing came while another one fell
// silent.
var errDeaf error = deafError{}

type deafError struct{}

func (deafError) Error() string { return "nothing came on it, nor on another (is the network up?)" }

// Timeout marks it for ConnError.Timeout.
func (deafError) Timeout() bool { return true }

// mourn considers the end of a connection, which is out of the pool. Where the
// server fell silent, others on which nothing came meanwhile are dead too: who
// waits there would have to wait as long again. If none is left the server has
// been away for that time. p.mu is held.
func (p *pool) mourn(c *conn) {
	var end *imapconn.ConnError
	if err := c.client.Err(); p.closed || !errors.As(err, &end) || !end.Timeout() || errors.Is(err, errDeaf) {
		return
	}
	quiet := c.client.Quiet()
	for _, other := range p.conns {
		if other.alive() && other.client.Heard() >= max(quiet, min(checkLimit, p.a.cfg.Timeout)) {
			other.client.Drop(errDeaf)
		}
	}
	wake(p.a.notices.doubt)
	if !p.living() {
		p.troubled(time.Now().Add(-min(quiet, p.a.cfg.Timeout)), end)
	}
}
