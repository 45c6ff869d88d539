package fs

import (
	"context"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bazil.org/fuse"
	"go.uber.org/goleak"
)

// A fakeRequest remembers how it was answered.
type fakeRequest struct {
	fuse.Header
	answers atomic.Int32
	errno   chan syscall.Errno // 0: a reply
}

func newFakeRequest(id fuse.RequestID) *fakeRequest {
	return &fakeRequest{Header: fuse.Header{ID: id}, errno: make(chan syscall.Errno, 9)}
}

func (r *fakeRequest) String() string    { return "fake" }
func (r *fakeRequest) Hdr() *fuse.Header { return &r.Header }
func (r *fakeRequest) RespondError(err error) {
	r.answers.Add(1)
	r.errno <- syscall.Errno(fuse.ToErrno(err))
}
func (r *fakeRequest) reply() { r.answers.Add(1); r.errno <- 0 }

func newWaits(t *testing.T, timeout time.Duration) *Server {
	t.Helper()
	s, err := newServer(newFakeAccount(), Options{Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	s.ctx = t.Context()
	return s
}

// untilCancelled is work that ends when nobody waits any more.
func untilCancelled(ctx context.Context) (func(), error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestWhoeverIsFirstAnswers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for name, c := range map[string]struct {
		end  func(s *Server, w *waiting)
		want syscall.Errno
	}{
		"interrupt":    {func(s *Server, w *waiting) { s.waits.interrupt(7) }, syscall.EINTR},
		"deadline":     {func(s *Server, w *waiting) {}, syscall.ETIMEDOUT},
		"new validity": {func(s *Server, w *waiting) { s.waits.endSlot(w.slot, errStale) }, syscall.ESTALE},
		"unmount":      {func(s *Server, w *waiting) { s.waits.close() }, syscall.ENOTCONN},
	} {
		s := newWaits(t, 50*time.Millisecond)
		req, w := newFakeRequest(7), s.newWaiting(fuse.RootID)
		then := make(chan struct{})
		w.then = func() { close(then) }
		s.wait(req, w, untilCancelled)
		c.end(s, w)
		if got := <-req.errno; got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		<-then
		s.waits.close()
		if n := req.answers.Load(); n != 1 {
			t.Errorf("%s: answered %d times", name, n)
		}
		if len(s.waits.all) != 0 || len(s.waits.seats) != 0 {
			t.Errorf("%s: %d left, %d seats taken", name, len(s.waits.all), len(s.waits.seats))
		}
	}
}

// Work that does not heed its context keeps nobody waiting.
func TestInterruptDoesNotWaitForTheWork(t *testing.T) {
	s := newWaits(t, time.Minute)
	req := newFakeRequest(7)
	stuck := make(chan struct{})
	s.wait(req, s.newWaiting(fuse.RootID), func(context.Context) (func(), error) {
		<-stuck
		return req.reply, nil
	})
	start := time.Now()
	s.waits.interrupt(7)
	if got := <-req.errno; got != syscall.EINTR || time.Since(start) > 100*time.Millisecond {
		t.Errorf("%v after %v", got, time.Since(start))
	}
	close(stuck)
	s.waits.close()
	if n := req.answers.Load(); n != 1 {
		t.Errorf("answered %d times", n)
	}
}

// TestAChangeEndsBehindASignal: what is done within the grace is answered as what it is, and
// what is not ends with EINTR.
func TestAChangeEndsBehindASignal(t *testing.T) {
	for name, c := range map[string]struct {
		grace time.Duration
		ends  bool
		want  syscall.Errno
	}{
		"within the grace": {time.Minute, true, 0},
		"later":            {time.Millisecond, false, syscall.EINTR},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWaits(t, time.Minute)
			req := newFakeRequest(7)
			end := make(chan struct{})
			w := s.newWaiting(fuse.RootID)
			w.grace = c.grace
			s.wait(req, w, func(context.Context) (func(), error) {
				<-end
				return req.reply, nil
			})
			if !s.waits.interrupt(7) {
				t.Fatal("the INTERRUPT was lost")
			}
			if c.ends {
				close(end)
			}
			if got := <-req.errno; got != c.want {
				t.Error(got)
			}
			if !c.ends {
				close(end)
			}
			s.waits.close()
			if n := req.answers.Load(); n != 1 {
				t.Errorf("answered %d times", n)
			}
		})
	}
}

func TestInterruptRightBehindTheRequest(t *testing.T) {
	s := newWaits(t, time.Minute)
	for id := range fuse.RequestID(2000) {
		req := newFakeRequest(id)
		s.wait(req, s.newWaiting(fuse.RootID), untilCancelled)
		if !s.waits.interrupt(id) {
			t.Fatal("the INTERRUPT was lost")
		}
		if got := <-req.errno; got != syscall.EINTR {
			t.Fatal(got)
		}
	}
	s.waits.close()
}

func TestWaitersAreBounded(t *testing.T) {
	s := newWaits(t, time.Minute)
	for id := range fuse.RequestID(maxWaiting) {
		s.wait(newFakeRequest(id), s.newWaiting(fuse.RootID), untilCancelled)
	}
	req := newFakeRequest(maxWaiting)
	start := time.Now()
	s.wait(req, s.newWaiting(fuse.RootID), untilCancelled)
	if got := <-req.errno; got != syscall.EAGAIN || time.Since(start) > 2*seatWait {
		t.Errorf("one too many: %v after %v", got, time.Since(start))
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		s.waits.interrupt(3)
	}()
	req = newFakeRequest(maxWaiting + 1)
	s.wait(req, s.newWaiting(fuse.RootID), func(context.Context) (func(), error) { return req.reply, nil })
	if got := <-req.errno; got != 0 {
		t.Errorf("when one was answered: %v", got)
	}
	s.waits.close()
}

func TestRequestAfterTheEndIsAnswered(t *testing.T) {
	s := newWaits(t, time.Minute)
	s.waits.close()
	req := newFakeRequest(1)
	s.wait(req, s.newWaiting(fuse.RootID), untilCancelled)
	if got := <-req.errno; got != syscall.ENOTCONN {
		t.Error(got)
	}
}

func TestWatchSeesOnlySlowHandlers(t *testing.T) {
	slow := 0
	// The timer is called by hand: how fast this machine is does not matter.
	w := &watch{slow: func() { slow++ }, patience: time.Hour}
	defer w.stop()
	fires := w.look
	w.enter()
	w.leave()
	w.enter()
	fires() // handling, but another request than when it was started
	w.leave()
	fires()
	if slow != 0 || !w.armed.Load() {
		t.Errorf("slow %d, armed %v", slow, w.armed.Load())
	}
	fires()
	if slow != 0 || w.armed.Load() {
		t.Errorf("the timer runs although nothing happens: slow %d", slow)
	}
	w.enter()
	fires()
	if slow != 1 {
		t.Error("a slow handler was not seen")
	}
	w.leave()
	w.enter()
	fires()
	if slow != 1 {
		t.Error("a third reading goroutine was wanted")
	}
}
