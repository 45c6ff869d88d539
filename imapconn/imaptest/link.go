package imaptest

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through a Proxy.
type link struct {
	p      *Proxy
	client net.Conn
	dead   chan struct{} // closed by cut

	mu     sync.Mutex
	server net.Conn // nil until connected
	isDead bool

	spokenTo atomic.Bool // the server spoke last
	literals literals    // of the way down
	uploads  literals    // of the way up

	answer atomic.Pointer[func()] // done when the server speaks, and then the link is cut
}

// join adds the server's side, and reports false where the link was cut
// meanwhile.
func (l *link) join(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isDead {
		server.Close()
		return false
	}
	l.server = server
	return true
}

// cut resets both sides.
func (l *link) cut() { l.end(reset) }

// part resets the client's side, and lets the server have what is on its way to it.
func (l *link) part() { l.end(func(c net.Conn) { c.Close() }) }

func (l *link) end(closeServer func(net.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isDead {
		return
	}
	l.isDead = true
	close(l.dead)
	reset(l.client)
	if l.server != nil {
		closeServer(l.server)
	}
}

// hangUp ends what comes from the server, as if it had.
func (l *link) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.server.(*net.TCPConn); ok {
		t.CloseRead()
	}
}

// reset ends a connection with RST where that can be had.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// pass waits out a black hole, and reports false where the link was cut in it.
func (l *link) pass(way int) bool {
	for {
		hold := l.p.hold(way)
		select {
		case <-hold:
			select {
			case <-l.dead:
				return false
			default:
			}
			// It may have begun anew since.
			if l.p.hold(way) == hold {
				return true
			}
		case <-l.dead:
			return false
		}
	}
}

// packet is octets and the moment at which they arrive.
type packet struct {
	due   time.Time
	bytes []byte
}

// inFlight bounds the packets on their way in one direction.
const inFlight = 4096

const (
	packetSize = 32 << 10              // how much is read at once, in octets
	lineRest   = 10 * time.Millisecond // until a slow line takes more
	lineBuffer = 128 << 10             // what a slow line's sockets hold, in octets
)

// narrow has the sockets hold little: who writes learns how slow the line is.
func (l *link) narrow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []net.Conn{l.client, l.server} {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetReadBuffer(lineBuffer)
		}
	}
}

// carry moves octets one way until that way ends; then both ways end.
func (l *link) carry(from, to net.Conn, way int) {
	queue := make(chan packet, inFlight)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for q := range queue {
			if !l.deliver(q, to, way) {
				break
			}
		}
		for range queue { // whoever reads must not wait for a reader that left
		}
	}()
	buf := make([]byte, packetSize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			l.count(buf[:n], way)
			due := time.Now().Add(time.Duration(l.p.delay.Load()))
			queue <- packet{due, append([]byte(nil), buf[:n]...)}
			// A slow line takes only what it can move soon.
			for s := l.p.bandwidth.Load(); s > 0 && int64(len(queue))*packetSize > s/4 && l.rest(lineRest); s = l.p.bandwidth.Load() {
			}
		}
		if err != nil {
			break
		}
	}
	close(queue)
	<-done
	if t, ok := to.(*net.TCPConn); ok && way == down {
		t.CloseWrite() // what was on its way arrives before the end
	}
	l.cut()
}

// count keeps the books when octets come in.
func (l *link) count(octets []byte, way int) {
	if way == down {
		l.p.down.Add(int64(len(octets)))
		l.spokenTo.Store(true)
		return
	}
	l.p.up.Add(int64(len(octets)))
	l.p.lines.Add(int64(bytes.Count(octets, []byte("\n"))))
	if l.spokenTo.Swap(false) {
		l.p.turns.Add(1)
	}
}

// rest lets time pass, and reports false where the link was cut meanwhile.
func (l *link) rest(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.dead:
		return false
	}
}

// bandwidthStep is how soon another bandwidth counts for what is on its way.
const bandwidthStep = 20 * time.Millisecond

// squeeze waits as long as n octets take to get through.
func (l *link) squeeze(n int) bool {
	for left := float64(n); left > 0; {
		b := l.p.bandwidth.Load()
		if b == 0 {
			break
		}
		took := min(bandwidthStep, time.Duration(left/float64(b)*float64(time.Second)))
		if !l.rest(took) {
			return false
		}
		left -= max(took.Seconds()*float64(b), 1e-6)
	}
	return true
}

// deliver writes a packet when it is due, and reports false at the link's end.
func (l *link) deliver(q packet, to net.Conn, way int) bool {
	if !l.rest(time.Until(q.due)) {
		return false
	}
	if !l.squeeze(len(q.bytes)) {
		return false
	}
	if !l.pass(way) {
		return false
	}
	size, cut := len(q.bytes), false
	var last func()
	if way == up {
		size, last = l.p.upload(l, q.bytes)
	} else if do := l.answer.Load(); do != nil {
		size, last = 0, *do
	} else {
		size, cut = l.p.allowed(size)
		if at := l.p.within(&l.literals, q.bytes[:size]); at >= 0 {
			size, cut = at, true
		}
	}
	step := max(size, 1)
	if way == down && l.p.drip.Load() {
		step = 1
	}
	for rest := q.bytes[:size]; len(rest) > 0; rest = rest[min(step, len(rest)):] {
		if _, err := to.Write(rest[:min(step, len(rest))]); err != nil {
			return false
		}
	}
	switch {
	case last != nil:
		last()
		l.part()
	case cut:
		l.cut()
	}
	return last == nil && !cut
}
