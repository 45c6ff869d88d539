package imapconn

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unsentLow is how much the kernel takes of us that it has not sent yet, in octets.
const unsentLow = 128 << 10

// userTimeout makes the kernel give a connection up when what was sent is not
// acknowledged for so long. It also makes it take no more than it can send: its
// buffer has room for megabytes, and a text that lies there when the connection
// breaks, wholly unsent, would count as one that the server may have.
func userTimeout(d time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, rc syscall.RawConn) error {
		var err error
		if ctl := rc.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
			if err == nil {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLow)
			}
		}); ctl != nil {
			return ctl
		}
		return err
	}
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
