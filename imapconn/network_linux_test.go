package imapconn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// In a network of the test's own, of which nothing but its own thread knows.
func TestAChangedNetworkIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a network of its own, as root")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	space, changes, ended := make(chan string, 1), make(chan struct{}, 10), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			close(space)
			ended <- err
			return
		}
		space <- fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		ended <- WatchNetwork(ctx, func() { changes <- struct{}{} })
	}()
	path, ok := <-space
	if !ok {
		t.Fatalf("no network can be made here: %v (run this as root where namespaces are allowed, or with -short)", <-ended)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		// The watch may not have begun: change until it is seen.
		for i := 0; ; i++ {
			verb := []string{"add", "del"}[i%2]
			for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", verb, "10.11.12.13/32", "dev", "lo"}} {
				if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
					t.Errorf("ip %v: %v: %s", args, err, out)
					return
				}
			}
			select {
			case <-changes:
				return
			case <-time.After(time.Second):
			}
			if i == 60 {
				t.Error("an address that comes or goes is not noticed")
				return
			}
		}
	}()
	<-done
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWhatTheKernelSaysOfRoutes(t *testing.T) {
	message := func(kind byte, bits byte) []byte {
		// struct nlmsghdr: length, type, flags, number, who; then struct rtmsg.
		return append([]byte{28, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2, bits, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0)
	}
	for name, test := range map[string]struct {
		datagram []byte
		want     bool
	}{
		"default route":     {message(unix.RTM_NEWROUTE, 0), true},
		"default route off": {message(unix.RTM_DELROUTE, 0), true},
		"one network":       {message(unix.RTM_NEWROUTE, 24), false},
		"one of two":        {append(message(unix.RTM_NEWROUTE, 24), message(unix.RTM_DELROUTE, 0)...), true},
		"address":           {message(unix.RTM_NEWADDR, 0), false},
		"cut":               {message(unix.RTM_NEWROUTE, 24)[:20], true},
		"nothing":           {nil, false},
	} {
		if got := tellsOfRoute(test.datagram); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
