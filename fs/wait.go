package fs

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
)

const (
	// maxWaiting bounds the requests that wait for the server. Each pins the
	// 132 KiB buffer that it was read into until it is answered (34 MB in all),
	// which bazil gives no way to hand back; none looks into it any more.
	maxWaiting = 256

	// seatWait is how long the reading goroutine waits for one of them to be
	// answered before it refuses one more with EAGAIN. It hears no INTERRUPT
	// meanwhile.
	seatWait = time.Second
)

// A waiting is a request whose answer needs the server. Whoever takes it
// first answers it: its goroutine, its deadline, an INTERRUPT, or the end of its
// mailbox. Nobody else does then, however late.
type waiting struct {
	slot *slot
	uid  cache.UID
	off  int64 // of a READ; -1 for other requests

	limit time.Duration // how long it may wait; 0: Options.Timeout
	grace time.Duration // how long after an INTERRUPT its own answer is waited for

	cancel   context.CancelFunc
	timer    *time.Timer
	taken    atomic.Bool
	answered chan struct{} // closed when the kernel has the answer
	fail     func(syscall.Errno)

	failed func(syscall.Errno) // if set, told the errno before it goes out
	late   func()              // if set, called where work has ended and another answer went out before
	then   func()              // if set, called when the answer has gone out
}

func (w *waiting) finish() {
	close(w.answered)
	if w.then != nil {
		w.then()
	}
}

// waits is the table of the requests that wait.
type waits struct {
	seats chan struct{} // holds one for each that waits
	wg    sync.WaitGroup

	mu  sync.Mutex // held for map operations only
	all map[fuse.RequestID]*waiting
	off bool // no more: the mount has ended
}

func (ws *waits) init() {
	ws.seats = make(chan struct{}, maxWaiting)
	ws.all = make(map[fuse.RequestID]*waiting)
}

// sit takes a seat for one more request that waits.
func (ws *waits) sit() bool {
	select {
	case ws.seats <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(seatWait)
	defer t.Stop()
	select {
	case ws.seats <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

// wait runs work in a goroutine of its own and answers req with what it
// returns: a reply, or an error. The request is in the table before the goroutine
// starts, as an INTERRUPT may be the next thing that the kernel sends. work
// must end soon after its context has.
func (s *Server) wait(req fuse.Request, w *waiting, work func(context.Context) (func(), error)) {
	id := req.Hdr().ID
	ctx, cancel := context.WithCancel(s.ctx)
	w.cancel = cancel
	w.answered = make(chan struct{})
	w.fail = func(errno syscall.Errno) {
		if w.failed != nil {
			w.failed(errno)
		}
		req.RespondError(errno)
	}
	if !s.waits.sit() {
		s.log.Warn("too many requests wait for the server", "limit", maxWaiting)
		s.refuse(w, syscall.EAGAIN)
		return
	}
	s.waits.mu.Lock()
	if s.waits.off {
		s.waits.mu.Unlock()
		<-s.waits.seats
		s.refuse(w, syscall.ENOTCONN)
		return
	}
	s.waits.all[id] = w
	s.waits.wg.Add(1)
	if w.limit == 0 {
		w.limit = s.options.Timeout
	}
	w.timer = time.AfterFunc(w.limit, func() {
		s.causes.report(opName(req), errDeadline)
		s.waits.end(id, w, syscall.ETIMEDOUT)
	})
	s.waits.mu.Unlock()

	go func() { // joined by waits.close
		defer s.waits.wg.Done()
		defer func() { <-s.waits.seats }()
		reply, err := work(ctx)
		if !s.waits.take(id, w) {
			if w.late != nil {
				w.late()
			}
			return
		}
		defer w.finish()
		if err != nil {
			s.causes.report(opName(req), err)
			w.fail(errnoOf(err))
			return
		}
		reply()
	}()
}

// refuse answers a request that never came to wait.
func (s *Server) refuse(w *waiting, errno syscall.Errno) {
	w.cancel()
	w.fail(errno)
	w.finish()
}

// take removes w from the table; false if somebody else has answered it.
func (ws *waits) take(id fuse.RequestID, w *waiting) bool {
	if w.taken.Swap(true) {
		return false
	}
	ws.mu.Lock()
	delete(ws.all, id)
	w.timer.Stop()
	ws.mu.Unlock()
	w.cancel()
	return true
}

// end answers w with an errno, if nobody has answered it.
func (ws *waits) end(id fuse.RequestID, w *waiting, errno syscall.Errno) {
	if ws.take(id, w) {
		w.fail(errno)
		w.finish()
	}
}

// interrupt answers EINTR, at once or after the request's grace; false if no such request waits.
func (ws *waits) interrupt(id fuse.RequestID) bool {
	ws.mu.Lock()
	w := ws.all[id]
	ws.mu.Unlock()
	switch {
	case w == nil:
		return false
	case w.grace > 0:
		time.AfterFunc(w.grace, func() { ws.end(id, w, syscall.EINTR) })
	default:
		ws.end(id, w, syscall.EINTR)
	}
	return true
}

// endSlot answers all that waits in a slot.
func (ws *waits) endSlot(sl *slot, errno syscall.Errno) {
	for id, w := range ws.snapshot(func(w *waiting) bool { return w.slot == sl }) {
		ws.end(id, w, errno)
	}
}

// reading says whether a READ of the message waits.
func (ws *waits) reading(sl *slot, uid cache.UID) bool {
	return len(ws.snapshot(func(w *waiting) bool { return w.slot == sl && w.uid == uid && w.off >= 0 })) > 0
}

// awaitReads returns when the READs of the message before off are answered.
func (ws *waits) awaitReads(ctx context.Context, sl *slot, uid cache.UID, off int64) {
	before := func(w *waiting) bool { return w.slot == sl && w.uid == uid && w.off >= 0 && w.off < off }
	for _, w := range ws.snapshot(before) {
		select {
		case <-w.answered:
		case <-ctx.Done():
			return
		}
	}
}

func (ws *waits) snapshot(match func(*waiting) bool) map[fuse.RequestID]*waiting {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	found := make(map[fuse.RequestID]*waiting)
	for id, w := range ws.all {
		if match(w) {
			found[id] = w
		}
	}
	return found
}

// close answers all that waits and joins their goroutines.
func (ws *waits) close() {
	ws.mu.Lock()
	ws.off = true
	ws.mu.Unlock()
	for id, w := range ws.snapshot(func(*waiting) bool { return true }) {
		ws.end(id, w, syscall.ENOTCONN)
	}
	ws.wg.Wait()
}
