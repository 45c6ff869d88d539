package imapconn

import (
	"net"
	"sync/atomic"
	"time"
)

// meter is the socket, below TLS. It notes when octets move and lets no write
// stand still for longer than the time limit.
type meter struct {
	net.Conn
	moved   *atomic.Int64 // Unix nanoseconds
	timeout time.Duration
}

// Read reads and notes.
func (m meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if n > 0 {
		m.moved.Store(time.Now().UnixNano())
	}
	return n, err
}

// Write writes and notes.
func (m meter) Write(p []byte) (int, error) {
	m.Conn.SetWriteDeadline(time.Now().Add(m.timeout))
	n, err := m.Conn.Write(p)
	if n > 0 {
		m.moved.Store(time.Now().UnixNano())
	}
	return n, err
}
