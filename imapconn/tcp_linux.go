package imapconn

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tcpRTOMax is TCP_RTO_MAX_MS (Linux 6.15), for which x/sys has no name yet.
	tcpRTOMax = 44
	// repeatEvery is how long the kernel waits at most before it sends again what
	// is not acknowledged. By itself it doubles the pause up to two minutes, and a
	// connection that outlives a black hole would go on as much later.
	repeatEvery = 2 * time.Second
	// unsentLow is how much the kernel takes of us that it has not sent yet, in
	// octets. Its buffer has room for megabytes, and a text that lies there when the
	// connection breaks, wholly unsent, would count as one that the server may have.
	unsentLow = 128 << 10
)

// limitSilence makes the kernel give a connection up when what was sent is not
// acknowledged for so long, send it again until then, and take no more of us than it
// can send.
func limitSilence(conn *net.TCPConn, d time.Duration) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLow))
		// Older kernels do not have it.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, tcpRTOMax, int(repeatEvery.Milliseconds()))
	})
	return errors.Join(err, set)
}

// unacknowledged is how many octets the kernel has taken for a connection that the
// other side has not got; 0 where that cannot be known.
func unacknowledged(conn net.Conn) (octets int) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	rc.Control(func(fd uintptr) {
		octets, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
	})
	if err != nil {
		return 0
	}
	return octets
}
