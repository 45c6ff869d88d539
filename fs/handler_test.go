package fs

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
)

// The tests of this file call the handlers as dispatch does, without a mount.

// A toldKernel records what it is told.
type toldKernel struct {
	mu    sync.Mutex
	lines []string
	miss  error // what NotifyDelete answers
	gate  chan struct{}
}

func (k *toldKernel) tell(format string, args ...any) {
	if k.gate != nil && !strings.HasPrefix(format, "attr") {
		<-k.gate
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines = append(k.lines, fmt.Sprintf(format, args...))
}

func (k *toldKernel) InvalidateNode(id fuse.NodeID, off, size int64) error {
	switch {
	case off == -1 && size == 0:
		k.tell("attr %v", id)
	case off == 0 && size == -1:
		k.tell("node %v", id)
	default:
		k.tell("node %v %d %d", id, off, size)
	}
	return nil
}

func (k *toldKernel) InvalidateEntry(parent fuse.NodeID, name string) error {
	k.tell("entry %v %s", parent, name)
	return nil
}

func (k *toldKernel) NotifyDelete(parent, child fuse.NodeID, name string) error {
	k.tell("delete %v %v %s", parent, child, name)
	return k.miss
}

// take gives what was told since the last time.
func (k *toldKernel) take(s *Server) []string {
	s.quiesce()
	k.mu.Lock()
	defer k.mu.Unlock()
	lines := k.lines
	k.lines = nil
	return lines
}

// quiesce waits until no directory has news.
func (s *Server) quiesce() {
	for range 1000 {
		busy := false
		s.mu.Lock()
		for _, d := range s.dirs {
			d.queue.mu.Lock()
			busy = busy || d.queue.running
			d.queue.mu.Unlock()
		}
		s.mu.Unlock()
		if !busy {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func newTestServer(t *testing.T, o Options) (*Server, *fakeAccount, *toldKernel) {
	t.Helper()
	a := newFakeAccount()
	o.Umask = 0o077
	s, err := newServer(a, o)
	if err != nil {
		t.Fatal(err)
	}
	k := &toldKernel{}
	s.kernel = k
	s.ctx = t.Context()
	a.server.Store(s)
	t.Cleanup(func() {
		s.waits.close()
		s.notifiers.close()
	})
	return s, a, k
}

// walk looks names up one after the other, loading where that is asked for.
func walk(t *testing.T, s *Server, names ...string) fuse.LookupResponse {
	t.Helper()
	r := fuse.LookupResponse{Node: fuse.RootID}
	for _, name := range names {
		var err error
		parent := r.Node
		if r, err = s.lookup(parent, name); err == errWait {
			if err = s.load(t.Context(), parent); err == nil {
				r, err = s.lookup(parent, name)
			}
		}
		if err != nil {
			t.Fatalf("lookup %s: %v", name, err)
		}
		if r.Node == 0 {
			t.Fatalf("lookup %s: no such name", name)
		}
	}
	return r
}

// list reads a directory to its end in answers of size octets.
func list(t *testing.T, s *Server, id fuse.NodeID, size int) []dirent {
	t.Helper()
	var all []dirent
	off := int64(0)
	for {
		l, err := s.readdir(id, off, size, nil)
		if err != nil {
			t.Fatal(err)
		}
		page := parseDirents(l.data)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		off = int64(page[len(page)-1].off)
	}
}

func listed(t *testing.T, s *Server, id fuse.NodeID) []string {
	t.Helper()
	var names []string
	for _, e := range list(t, s, id, 4096) {
		names = append(names, e.name)
	}
	return names
}

func wantErrno(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if err == nil || err == errWait || errnoOf(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestManyAtOnce(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.addMany(1, 200, 100)
	walk(t, s, "INBOX", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	run := func(f func(i int)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ctx.Err() == nil; i++ {
				f(i)
			}
		}()
	}
	run(func(i int) { box.add(cache.UID(1000+i), []byte("x"), 5); time.Sleep(time.Millisecond) })
	run(func(i int) { box.expunge(cache.UID(1000 + i/2)); time.Sleep(time.Millisecond) })
	run(func(i int) { box.setValidity(cache.UIDValidity(i)); time.Sleep(10 * time.Millisecond) })
	run(func(i int) { a.mailbox("INBOX", fmt.Sprint("x", i%3)); time.Sleep(5 * time.Millisecond) })
	run(func(i int) { a.remove("INBOX", fmt.Sprint("x", i%3)); time.Sleep(5 * time.Millisecond) })
	for range 3 {
		run(func(i int) {
			r, err := s.lookup(fuse.RootID, "INBOX")
			if err != nil {
				t.Error(err)
				return
			}
			l, err := s.readdir(r.Node, 0, 4096, nil)
			if err == nil {
				s.relisted(l)
			}
			m, err := s.lookup(r.Node, fmt.Sprint(1+i%1200))
			if err == nil && m.Node != 0 {
				s.openWait(ctx, m.Node, fuse.OpenReadOnly)
				s.read(m.Node, 10, 0, nil)
			}
		})
	}
	wg.Wait()
}
