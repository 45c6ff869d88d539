package fs

import (
	"syscall"
	"testing"
	"time"
)

func TestFailureIsRememberedForItsReader(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("text"), -1)
	id := walk(t, s, "INBOX", "1").Node
	sl, uid, _ := s.node(id)
	sl.rememberFailure(uid, syscall.ETIMEDOUT)
	_, err := s.read(id, maxRead, maxRead, nil)
	wantErrno(t, "the same read-ahead", err, syscall.ETIMEDOUT)
	_, err = s.read(id, 4096, 0, nil)
	wantErrno(t, "the repeat", err, syscall.ETIMEDOUT)
	if _, err := s.read(id, 4096, 0, nil); err != errWait {
		t.Errorf("the next reader: %v", err)
	}
	sl.rememberFailure(uid, syscall.EINTR)
	if _, err := s.read(id, 4096, 0, nil); err != errWait {
		t.Errorf("another's interrupt: %v", err)
	}
	sl.rememberFailure(uid, syscall.EIO)
	sl.failed[uid] = failure{syscall.EIO, time.Now().Add(-time.Millisecond)}
	if _, err := s.read(id, 4096, 0, nil); err != errWait {
		t.Errorf("long after: %v", err)
	}
}

func TestReadBehindTheEndComesLast(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("short"), 400<<10)
	id := walk(t, s, "INBOX", "1").Node
	sl, uid, _ := s.node(id)
	crossing := &waiting{slot: sl, uid: uid, off: 0, answered: make(chan struct{}), cancel: func() {}, timer: time.NewTimer(time.Hour)}
	s.waits.all[1] = crossing
	done := make(chan int)
	go func() {
		n, _ := s.readWait(t.Context(), id, make([]byte, 10), 256<<10)
		done <- n
	}()
	select {
	case <-done:
		t.Fatal("answered before the READ that crosses the end")
	case <-time.After(50 * time.Millisecond):
	}
	s.waits.mu.Lock()
	delete(s.waits.all, 1)
	s.waits.mu.Unlock()
	close(crossing.answered)
	if n := <-done; n != 0 {
		t.Errorf("%d octets behind the end", n)
	}
}
