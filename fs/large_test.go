package fs

import (
	"context"
	"math"
	"net"
	"runtime"
	"strconv"
	"testing"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// countingKernel counts what it is told.
type countingKernel chan struct{}

func (k countingKernel) told() error                                    { k <- struct{}{}; return nil }
func (k countingKernel) InvalidateNode(fuse.NodeID, int64, int64) error { return k.told() }
func (k countingKernel) InvalidateEntry(fuse.NodeID, string) error      { return k.told() }
func (k countingKernel) NotifyDelete(_, _ fuse.NodeID, _ string) error  { return k.told() }

// TestNewsOfALargeMailboxCostNoWalk goes all the way: a server, package cache, and
// what the kernel hears. 50,000 names cost megabytes.
func TestNewsOfALargeMailboxCostNoWalk(t *testing.T) {
	const messages, events, most = 50_000, 20, 64 << 10
	remote := imaptest.NewLarge(t, messages, 0)
	s, k := serveLarge(t, remote)
	r, err := s.lookup(fuse.RootID, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	box := s.account.Tree().Children(s.account.Tree().Root())[0]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := box.Load(ctx); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	if l, err := s.readdir(r.Node, 0, cap(buf), buf); err != nil || l.snap.Len() != messages {
		t.Fatal(err)
	}
	k.await(t, 1) // the first load
	for what, change := range map[string]func(i cache.UID){
		"new":      func(cache.UID) { remote.Deliver("INBOX", 1) },
		"expunged": func(i cache.UID) { remote.Expunge("INBOX", 20_000+i) },
	} {
		// What else the process does meanwhile only adds to it: the least of them counts.
		least := uint64(math.MaxUint64)
		for i := range cache.UID(events) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			change(i)
			k.await(t, 2) // the name, and the listing
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		t.Logf("%s: %d octets", what, least)
		if least > most {
			t.Errorf("one %s message costs more than %d octets", what, most)
		}
	}
	if len(k) > 0 {
		t.Errorf("the kernel heard %d things more", len(k))
	}
	if n := testing.AllocsPerRun(100, func() { s.readdir(r.Node, messages/2, cap(buf), buf) }); n > 0 {
		t.Errorf("a page from the middle takes %v allocations", n)
	}
}

func (k countingKernel) await(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-k:
		case <-time.After(20 * time.Second):
			t.Fatal("the kernel hears nothing")
		}
	}
}

// serveLarge opens the account of a Large server and shows it to a kernel.
func serveLarge(t *testing.T, remote *imaptest.Large) (*Server, countingKernel) {
	t.Helper()
	host, port, err := net.SplitHostPort(remote.Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	d := imapconn.Dialer{Host: host, Port: n, TLS: imapconn.TLSNone, Credentials: func(context.Context) (imapconn.Credentials, error) {
		return imapconn.Credentials{User: remote.User, Password: remote.Password}, nil
	}}
	a, err := cache.Open(t.Context(), cache.Config{Dial: d.Dial, Poll: time.Hour, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	s, err := newServer(cacheAccount{a}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := make(countingKernel, 1000)
	s.kernel = k
	a.Observe(observer{s})
	return s, k
}
