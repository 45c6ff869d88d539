package imapconn

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What DialContext returns is looked after as well.
func TestTheKernelLooksAfterEveryConnection(t *testing.T) {
	for name, dialer := range map[string]func(context.Context, string, string) (net.Conn, error){
		"by net.Dialer":  nil,
		"by DialContext": (&net.Dialer{KeepAlive: -1}).DialContext,
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) { p.login("IMAP4rev1"); p.drain() })
			d.DialContext, d.Timeout = dialer, 17*time.Second
			raw, err := dial(t, d).raw.(syscall.Conn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			for option, want := range map[[2]int]int{
				{unix.SOL_SOCKET, unix.SO_KEEPALIVE}:        1,
				{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:       30,
				{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:      10,
				{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:        3,
				{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}:   17_000,
				{unix.IPPROTO_TCP, tcpRTOMax /* of 6.15 */}: 2_000,
			} {
				var got int
				var err error
				raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), option[0], option[1]) })
				if option[1] == tcpRTOMax && err == unix.ENOPROTOOPT {
					continue
				}
				if err != nil || got != want {
					t.Errorf("option %v is %d, %v; want %d", option, got, err, want)
				}
			}
		})
	}
}
