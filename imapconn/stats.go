package imapconn

import (
	"crypto/tls"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Stats is what a connection is and what it has moved.
type Stats struct {
	Addr  string    // of the server, host:port
	TLS   string    // the version, "TLS 1.3"; empty: in the clear
	Since time.Time // when it was begun
	// Compressed: what moves is compressed (RFC 4978).
	Compressed bool
	// In and Out are the octets that came and went on the wire: TLS and all, and
	// compressed where the connection is.
	In, Out int64
	// Commands is how many were sent, the login among them; Flights how often one was while
	// none was unanswered: what has taken a round trip at least.
	Commands, Flights int64
	// RoundTrip is the kernel's estimate for the TCP connection, which may end at a
	// proxy; 0: not known.
	RoundTrip time.Duration
}

// Stats may be called at any time, after Close too. It sends nothing.
func (c *Client) Stats() Stats {
	s := Stats{
		Addr:      c.addr,
		Since:     c.clock.start,
		In:        c.traffic.In(),
		Out:       c.traffic.Out(),
		RoundTrip: roundTrip(c.raw),

		Compressed: c.compressed.Load(),
	}
	c.mu.Lock()
	s.Commands, s.Flights = int64(c.lastTag), c.flights
	c.mu.Unlock()
	if state := c.tls.Load(); state != nil {
		s.TLS = tls.VersionName(state.Version)
	}
	return s
}

// roundTrip asks the kernel (tcp(7), TCP_INFO); 0 where the connection is no
// socket of TCP, or closed.
func roundTrip(conn net.Conn) (rtt time.Duration) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt
}
