package imapconn

import (
	"errors"
	"net"
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
)

// limitSilence makes the kernel give a connection up when what was sent is not
// acknowledged for so long, and send it again until then.
func limitSilence(conn *net.TCPConn, d time.Duration) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		// Older kernels do not have it.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, tcpRTOMax, int(repeatEvery.Milliseconds()))
	})
	return errors.Join(err, set)
}
