package imaptest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands between a client and a server on the loopback interface: it
// counts, and it does on command what networks do.
type Proxy struct {
	Addr string // host:port to connect to

	listener net.Listener
	target   string
	wg       sync.WaitGroup

	down, up, turns, conns atomic.Int64

	delay  atomic.Int64 // one way, in nanoseconds
	refuse atomic.Bool
	drip   atomic.Bool

	mu       sync.Mutex
	links    map[*link]struct{}
	cutAfter int64         // octets down that are still let through; -1: no end
	stalled  chan struct{} // closed while nothing is held back
}

// Counters is what went through a Proxy since Reset.
type Counters struct {
	Down, Up int64 // octets from and to the server
	// Turns is how often a client spoke after it had been spoken to: about the
	// number of round trips that were waited for.
	Turns int64
	Conns int64 // connections taken
}

// NewProxy starts a Proxy before the server at target. It ends with the test.
func NewProxy(tb TB, target string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{
		Addr: l.Addr().String(), listener: l, target: target,
		links: make(map[*link]struct{}), cutAfter: -1, stalled: make(chan struct{}),
	}
	close(p.stalled)
	p.wg.Add(1)
	go p.accept()
	tb.Cleanup(p.close)
	return p
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refuse.Load() {
			reset(c)
			continue
		}
		p.conns.Add(1)
		p.wg.Add(1)
		go p.serve(c)
	}
}

// serve carries one connection until either side ends it.
func (p *Proxy) serve(client net.Conn) {
	defer p.wg.Done()
	l := &link{p: p, client: client, dead: make(chan struct{})}
	p.mu.Lock()
	p.links[l] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	// Through a black hole no connection reaches the server.
	if !l.pass() {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		l.cut()
		return
	}
	if !l.join(server) {
		return
	}
	var both sync.WaitGroup
	both.Add(2)
	go func() { defer both.Done(); l.carry(server, client, true) }()
	go func() { defer both.Done(); l.carry(client, server, false) }()
	both.Wait()
}

// SetDelay gives every octet half of rtt on its way, either way. Any number of
// octets may be on their way at once.
func (p *Proxy) SetDelay(rtt time.Duration) { p.delay.Store(int64(rtt / 2)) }

// Cut resets all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// Stall begins or ends a black hole: sockets stay open, new ones are taken, and
// nothing moves. What was held back flows when it ends.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stalled:
		if on {
			p.stalled = make(chan struct{})
		}
	default:
		if !on {
			close(p.stalled)
		}
	}
}

// Refuse makes new connections end at once, or lets them through again.
func (p *Proxy) Refuse(on bool) { p.refuse.Store(on) }

// CutAfter resets the connection that carries the n-th octet down from now,
// after it. It happens once.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAfter = n
}

// Drip sends the server's words one octet a packet.
func (p *Proxy) Drip(on bool) { p.drip.Store(on) }

// Counters returns what went through.
func (p *Proxy) Counters() Counters {
	return Counters{p.down.Load(), p.up.Load(), p.turns.Load(), p.conns.Load()}
}

// Reset sets the counters to zero.
func (p *Proxy) Reset() {
	for _, n := range []*atomic.Int64{&p.down, &p.up, &p.turns, &p.conns} {
		n.Store(0)
	}
}

func (p *Proxy) close() {
	p.listener.Close()
	p.Cut()
	p.Stall(false)
	p.wg.Wait()
}

// allowed takes n octets from what CutAfter lets through and says how many may
// pass and whether the connection is then cut.
func (p *Proxy) allowed(n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cutAfter < 0 {
		return n, false
	}
	if int64(n) < p.cutAfter {
		p.cutAfter -= int64(n)
		return n, false
	}
	n = int(p.cutAfter)
	p.cutAfter = -1
	return n, true
}

// hold is closed while nothing is held back.
func (p *Proxy) hold() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stalled
}
