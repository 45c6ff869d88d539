package imapconn

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// clock remembers when something last happened, by the monotonic clock: a step
// of the wall clock is no silence.
type clock struct {
	start   time.Time
	touched atomic.Int64 // nanoseconds after start
	heard   atomic.Int64 // the same, of the last octet that was read
}

// touch says that something happened now.
func (c *clock) touch() { c.touched.Store(int64(time.Since(c.start))) }

// since is how long ago that was.
func (c *clock) since() time.Duration { return time.Since(c.start) - time.Duration(c.touched.Load()) }

// hear says that an octet came now.
func (c *clock) hear() {
	c.heard.Store(int64(time.Since(c.start)))
	c.touch()
}

// sinceHeard is how long ago the last octet came.
func (c *clock) sinceHeard() time.Duration {
	return time.Since(c.start) - time.Duration(c.heard.Load())
}

// meter is the socket, below TLS. It counts octets, notes when they move and lets no
// write stand still for longer than the time limit.
type meter struct {
	net.Conn
	clock   *clock
	timeout time.Duration
	own     *Traffic // of this connection
	all     *Traffic // of the account's
}

// Read reads and notes.
func (m meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if n > 0 {
		m.own.Add(int64(n), 0)
		m.all.Add(int64(n), 0)
		m.clock.hear()
	}
	return n, err
}

// Write writes and notes. While octets go, in whatever time, it goes on: it ends
// when none has for the time limit, at most twice that after the last.
func (m meter) Write(p []byte) (written int, err error) {
	for {
		m.Conn.SetWriteDeadline(time.Now().Add(m.timeout))
		n, err := m.Conn.Write(p[written:])
		written += n
		if n > 0 {
			m.own.Add(0, int64(n))
			m.all.Add(0, int64(n))
			m.clock.touch()
		}
		if n == 0 || written == len(p) || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

// held is what the kernel had of ours that the other side had not, when that was
// looked at last.
type held struct {
	octets int
	since  int64 // clock.touched then: what moved later makes it void
}

// drains reports whether octets of ours lie in the kernel and went on their way
// since it was asked last; then the silence begins anew. Over a slow line the end
// of a long text takes minutes to leave the buffer, in which the server owes nothing.
func (c *Client) drains() bool {
	was := c.held
	c.held = held{octets: unacknowledged(c.raw)}
	if c.held.octets == 0 || was.octets > 0 && was.since == c.clock.touched.Load() && c.held.octets >= was.octets {
		return false
	}
	c.clock.touch()
	c.held.since = c.clock.touched.Load()
	return true
}
