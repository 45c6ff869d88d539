package imapconn

import (
	"context"
	"errors"
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
				{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT}:  unsentLow,
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

// The server's machine has lost its power and is there again: it knows nothing of
// the connection and has no reason to say so. An answer is owed.
func TestAServerThatForgotTheConnectionIsNotWaitedFor(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a connection be forgotten, as root")
	}
	t.Parallel()
	forgotten := make(chan error, 1)
	d := play(t, func(p *peer) {
		p.login("IMAP4rev1")
		p.hear("NOOP")
		p.say("* OK wait") // with it the NOOP is acknowledged: we have nothing to send again
		forgotten <- forget(p.conn)
	})
	d.Timeout = time.Hour
	c := dial(t, d)
	began, failed := time.Now(), make(chan error, 1)
	go func() { failed <- c.Noop(t.Context()) }()
	if err := <-forgotten; err != nil {
		c.Close()
		<-failed
		t.Fatalf("only who may administer the network can do that: %v (run this as root, or with -short)", err)
	}
	select {
	case err := <-failed:
		t.Logf("after %v: %v", time.Since(began), err)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it is waited for")
		c.Close()
		<-failed
	}
}

// forget closes a connection without a word to the other end (TCP_REPAIR), which has
// acknowledged everything.
func forget(conn net.Conn) error {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var done error
	if err := raw.Control(func(fd uintptr) {
		for info := (&unix.TCPInfo{Unacked: 1}); done == nil && info.Unacked > 0; time.Sleep(time.Millisecond) {
			info, done = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		}
		if done == nil {
			done = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
		}
	}); err != nil {
		return err
	}
	if done != nil {
		return done
	}
	return conn.Close()
}
