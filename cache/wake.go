package cache

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"imapfs/imapconn"
)

const (
	// sleepGap is how far the wall clock must have run ahead of the monotonic one,
	// which stands still meanwhile, for the machine to have slept.
	sleepGap = 5 * time.Second
	// checkLimit is how long a connection has for a sign of life when the network has
	// changed; Config.Timeout if that is less.
	checkLimit = 5 * time.Second
)

// Why connections are given up.
var (
	errSlept   = errors.New("the machine has slept")
	errRoamed  = errors.New("this machine no longer has the address that it was made from")
	errNoSigns = errors.New("no sign of life since the network has changed")
)

// vigil compares two clocks. It costs a few nanoseconds and no timer: it is asked
// when somebody looks, when a connection is wanted, and by the poll.
type vigil struct {
	mu     sync.Mutex // before trees.mu: who looks meanwhile waits until nothing is believed any more
	clocks func() (wall time.Time, mono time.Duration)
	wall   time.Time // when it was asked last
	mono   time.Duration
}

func (v *vigil) begin() {
	start := time.Now()
	v.clocks = func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(start)
	}
	v.wall, v.mono = v.clocks()
}

// slept reports whether the machine has slept since it was asked last. mu is held.
func (v *vigil) slept() bool {
	wall, mono := v.clocks()
	gap := wall.Sub(v.wall) - (mono - v.mono)
	v.wall, v.mono = wall, mono
	return gap >= sleepGap
}

// awake gives up all connections if the machine has slept: their servers have
// forgotten them, or will not be heard of it. What is known may be as old as the
// sleep was long, whatever the clocks say. No lock is held.
func (a *Account) awake() {
	v := &a.pool.vigil
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.slept() {
		return
	}
	for m := range a.Tree().all {
		m.news.Store(true)
	}
	a.trees.distrust()
	a.notices.yield()
	p := a.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	a.log.Info("the machine has slept; connecting anew", "connections", len(p.conns))
	for _, c := range p.conns {
		c.client.Drop(errSlept)
	}
	p.redial()
	p.dials, p.redial = context.WithCancel(a.ctx)
	p.tryNow()
}

// NetworkChanged says that an address, a link or a route of this machine may have
// changed. Connections from an address that is no longer there end at once; the
// others have five seconds for a sign of life. An attempt to connect that waits is
// made now. It waits for nothing.
func (a *Account) NetworkChanged() { a.networkChanged(localAddresses()) }

// networkChanged is NetworkChanged with the addresses that there are; nil: nobody
// knows.
func (a *Account) networkChanged(have []net.IP) {
	a.awake()
	wake(a.notices.doubt)
	p := a.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for _, c := range p.conns {
		switch {
		case !c.alive():
		case gone(c.client.LocalAddr(), have):
			c.client.Drop(errRoamed)
		default:
			if c.doubts++; c.doubts == 1 {
				a.spawn(func() { a.check(c) })
			}
		}
	}
	p.tryNow()
}

// tryNow ends the wait for the next attempt, but for that after a refused login.
// p.mu is held.
func (p *pool) tryNow() {
	if p.denied == nil {
		p.notBefore, p.outage.unasked = time.Time{}, time.Time{}
		p.backoff.Reset()
	}
	p.dispatch()
}

// check asks a connection for a sign of life, once more where the network has
// changed meanwhile.
func (a *Account) check(c *conn) {
	for asked, more := 0, true; more; {
		a.pool.mu.Lock()
		if more = c.doubts != asked; more {
			asked = c.doubts
		} else {
			c.doubts = 0
		}
		a.pool.mu.Unlock()
		if more {
			a.askSign(c.client)
		}
	}
}

// askSign gives a connection up that shows no sign of life. Whatever comes is one.
func (a *Account) askSign(c *imapconn.Client) {
	limit := min(checkLimit, a.cfg.Timeout)
	ctx, cancel := context.WithTimeout(a.ctx, limit)
	defer cancel()
	if err := c.Noop(ctx); err != nil && ctx.Err() == context.DeadlineExceeded && c.Heard() >= limit {
		c.Drop(errNoSigns)
	}
}

// localAddresses are those of this machine; nil where they cannot be had.
func localAddresses() []net.IP {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var all []net.IP
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			all = append(all, n.IP)
		}
	}
	return all
}

// gone reports whether an address is none of those. All of 127.0.0.0/8 is always
// there.
func gone(addr net.Addr, have []net.IP) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || have == nil || tcp.IP.IsLoopback() {
		return false
	}
	return !slices.ContainsFunc(have, tcp.IP.Equal)
}
