package imapconn

import (
	"net"
	"sync/atomic"
	"time"
)

// clock remembers when something last happened, by the monotonic clock: a step
// of the wall clock is no silence.
type clock struct {
	start   time.Time
	touched atomic.Int64 // nanoseconds after start
}

// touch says that something happened now.
func (c *clock) touch() { c.touched.Store(int64(time.Since(c.start))) }

// since is how long ago that was.
func (c *clock) since() time.Duration { return time.Since(c.start) - time.Duration(c.touched.Load()) }

// meter is the socket, below TLS. It counts octets, notes when they move and lets no
// write stand still for longer than the time limit.
type meter struct {
	net.Conn
	clock   *clock
	timeout time.Duration
	traffic *Traffic
}

// Read reads and notes.
func (m meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if n > 0 {
		m.traffic.Add(int64(n), 0)
		m.clock.touch()
	}
	return n, err
}

// Write writes and notes.
func (m meter) Write(p []byte) (int, error) {
	m.Conn.SetWriteDeadline(time.Now().Add(m.timeout))
	n, err := m.Conn.Write(p)
	if n > 0 {
		m.traffic.Add(0, int64(n))
		m.clock.touch()
	}
	return n, err
}
