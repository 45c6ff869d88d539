package imapconn

import (
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Traffic counts the octets of an account's connections, below TLS. Its zero
// value has counted none; it may be used by several goroutines.
type Traffic struct{ in, out atomic.Int64 }

// Add counts what moved in another way.
func (t *Traffic) Add(in, out int64) {
	t.in.Add(in)
	t.out.Add(out)
}

// In is how many octets came from the server.
func (t *Traffic) In() int64 { return t.in.Load() }

// Out is how many went to it.
func (t *Traffic) Out() int64 { return t.out.Load() }

// Bandwidth bounds what the connections of an account move together, each way by
// itself. It may be used by several goroutines.
type Bandwidth struct{ in, out *rate.Limiter }

// The most that moves at once is a quarter of a second's worth, within these: less
// would cost a system call for a handful of octets, more would hold up a short
// answer behind a long one. Octets.
const (
	minBurst = 1 << 10
	maxBurst = 128 << 10
)

// NewBandwidth allows so many octets a second each way, 1024 at least.
func NewBandwidth(octets int64) *Bandwidth {
	octets = max(octets, 1<<10)
	burst := int(min(max(octets/4, minBurst), maxBurst))
	return &Bandwidth{rate.NewLimiter(rate.Limit(octets), burst), rate.NewLimiter(rate.Limit(octets), burst)}
}

// limited is a connection that takes its share of a bandwidth. Waiting for it is no
// silence of the server's: the clock goes on.
type limited struct {
	net.Conn
	bandwidth *Bandwidth
	clock     *clock
	done      <-chan struct{} // of the client: nobody waits for a dead connection
}

// Read reads no more than may move at once, and waits until that may have come: what
// lies behind it stays with the kernel, and so at last with the server.
func (l limited) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p[:min(len(p), l.bandwidth.in.Burst())])
	l.await(l.bandwidth.in, n)
	return n, err
}

// Write writes piece by piece.
func (l limited) Write(p []byte) (done int, err error) {
	for {
		n := min(len(p)-done, l.bandwidth.out.Burst())
		l.await(l.bandwidth.out, n)
		m, err := l.Conn.Write(p[done : done+n])
		if done += m; err != nil || done == len(p) {
			return done, err
		}
	}
}

// await waits until n octets may move, or the client is dead. Others that wait
// have taken their turns before, each of a quarter of a second: the clock of who
// waits is touched so often that it never strikes.
func (l limited) await(limiter *rate.Limiter, n int) {
	if n <= 0 {
		return
	}
	left := limiter.ReserveN(time.Now(), n).Delay()
	for left > 0 {
		step := min(left, time.Second)
		t := time.NewTimer(step)
		select {
		case <-t.C:
		case <-l.done:
			t.Stop()
			return
		}
		left -= step
		l.clock.hear() // for all that we know: it is we who do not listen
	}
}
