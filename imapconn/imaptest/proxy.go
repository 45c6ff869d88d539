package imaptest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands between a client and a server on the loopback interface: it
// counts, and it does on command what networks do. Faults add up: a line may be
// slow, drip and be cut in the middle of a literal. Each method may be called at any
// time, by several goroutines.
type Proxy struct {
	Addr string // host:port to connect to

	listener net.Listener
	target   string
	wg       sync.WaitGroup

	down, up, turns, conns, lines atomic.Int64

	delay     atomic.Int64 // one way, in nanoseconds
	bandwidth atomic.Int64 // octets a second, each way of each connection; 0: any
	refuse    atomic.Int64 // so many connections more are refused; below 0: all
	drip      atomic.Bool

	mu       sync.Mutex
	links    map[*link]struct{}
	cutAfter int64            // octets down that are still let through; -1: no end
	cutIn    int64            // octets of a literal down that are let through; -1: all of them
	ambush   *ambush          // of AtUpload
	stalled  [2]chan struct{} // by way; closed while nothing is held back
}

// The ways of a connection.
const (
	down = iota // from the server
	up
)

// Counters is what went through a Proxy since Reset.
type Counters struct {
	Down, Up int64 // octets from and to the server
	// Turns is how often a client spoke after it had been spoken to: about the
	// number of round trips that were waited for.
	Turns int64
	Conns int64 // connections taken
	Lines int64 // to the server: commands, where no literal is sent
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
		links: make(map[*link]struct{}), cutAfter: -1, cutIn: -1,
		stalled: [2]chan struct{}{make(chan struct{}), make(chan struct{})},
	}
	close(p.stalled[down])
	close(p.stalled[up])
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
		l := p.take(c)
		if l == nil {
			reset(c)
			continue
		}
		p.conns.Add(1)
		p.wg.Add(1)
		go p.serve(l)
	}
}

// take makes a link of a connection; nil: it is refused. What is not refused is among the
// links before anything else is done to them, so that who refuses and then cuts has all.
func (p *Proxy) take(client net.Conn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses() {
		return nil
	}
	l := &link{p: p, client: client, dead: make(chan struct{})}
	p.links[l] = struct{}{}
	return l
}

// serve carries one connection until either side ends it.
func (p *Proxy) serve(l *link) {
	defer p.wg.Done()
	client := l.client
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	// Through a black hole no connection reaches the server.
	if !l.pass(down) || !l.pass(up) {
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
	if p.bandwidth.Load() > 0 {
		l.narrow()
	}
	var both sync.WaitGroup
	both.Add(2)
	go func() { defer both.Done(); l.carry(server, client, down) }()
	go func() { defer both.Done(); l.carry(client, server, up) }()
	both.Wait()
}

// SetDelay gives every octet half of rtt on its way, either way. Any number of
// octets may be on their way at once.
func (p *Proxy) SetDelay(rtt time.Duration) { p.delay.Store(int64(rtt / 2)) }

// SetBandwidth lets so many octets a second through, each way of each connection;
// 0: as many as come.
func (p *Proxy) SetBandwidth(octets int64) {
	p.bandwidth.Store(octets)
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if octets > 0 {
			l.narrow()
		}
	}
}

// Cut resets all connections (RST).
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// HangUp ends all connections as a server does that is stopped (FIN).
func (p *Proxy) HangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.hangUp()
	}
}

// Stall begins or ends a black hole: sockets stay open, new ones are taken, and
// nothing moves. What was held back flows when it ends.
func (p *Proxy) Stall(on bool) { p.StallWays(on, on) }

// StallWays is Stall for either way by itself: from the server and to it.
func (p *Proxy) StallWays(fromServer, toServer bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for way, on := range [2]bool{down: fromServer, up: toServer} {
		select {
		case <-p.stalled[way]:
			if on {
				p.stalled[way] = make(chan struct{})
			}
		default:
			if !on {
				close(p.stalled[way])
			}
		}
	}
}

// Refuse makes new connections end at once, or lets them through again.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on {
		p.refuse.Store(-1)
	} else {
		p.refuse.Store(0)
	}
}

// RefuseNext makes the next n connections end at once.
func (p *Proxy) RefuseNext(n int) { p.refuse.Store(int64(n)) }

// refuses takes one from those that are to be refused. Only accept calls it.
func (p *Proxy) refuses() bool {
	n := p.refuse.Load()
	return n < 0 || n > 0 && p.refuse.CompareAndSwap(n, n-1)
}

// CutAfter resets the connection that carries the n-th octet down from now,
// after it. It happens once.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAfter = n
}

// CutInLiteral resets the connection on which a literal of more than n octets
// comes from the server, after n of them. It happens once. What crosses a line that
// is encrypted is not known: there it never happens.
func (p *Proxy) CutInLiteral(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutIn = n
}

// Drip sends the server's words one octet a packet.
func (p *Proxy) Drip(on bool) { p.drip.Store(on) }

// Counters returns what went through.
func (p *Proxy) Counters() Counters {
	return Counters{p.down.Load(), p.up.Load(), p.turns.Load(), p.conns.Load(), p.lines.Load()}
}

// Reset sets the counters to zero.
func (p *Proxy) Reset() {
	for _, n := range []*atomic.Int64{&p.down, &p.up, &p.turns, &p.conns, &p.lines} {
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

// within says after how many octets the packet is to be cut, being in the middle of
// a literal; below 0: it is not.
func (p *Proxy) within(l *literals, octets []byte) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := l.pass(octets, p.cutIn)
	if at >= 0 {
		p.cutIn = -1
	}
	return at
}

// hold is closed while nothing is held back that way.
func (p *Proxy) hold(way int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stalled[way]
}
