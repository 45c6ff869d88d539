package imapconn

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheKernelTakesLittleMoreThanItSends(t *testing.T) {
	c := dial(t, play(t, func(p *peer) { p.login("IMAP4rev1"); p.drain() }))
	rc, err := c.raw.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]int{unix.TCP_NOTSENT_LOWAT: unsentLow, unix.TCP_USER_TIMEOUT: int(c.timeout.Milliseconds())} {
		got := 0
		if ctl := rc.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option) }); ctl != nil || err != nil || got != want {
			t.Errorf("option %d is %d, want %d: %v, %v", option, got, want, ctl, err)
		}
	}
}
