package fs

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// handlerPatience is how long a handler may keep the only reading goroutine
	// before a second one is started. None should: the log says so.
	handlerPatience = 10 * time.Millisecond

	// maxReaders is the number of reading goroutines. One is fastest.
	maxReaders = 2

	// readErrorPause keeps an error that persists from taking a processor.
	readErrorPause = 10 * time.Millisecond
)

// Serve answers the kernel until the file system is unmounted, and returns when
// all of its goroutines have ended. When ctx ends, the file system is unmounted,
// lazily if it is in use; Serve then returns when the last file in it is closed.
//
// If the connection ends without an unmount (umount -f, an abort), the mount
// point is unmounted lazily, so that it is not left broken.
func (s *Server) Serve(ctx context.Context) error {
	s.ctx = ctx
	stop := context.AfterFunc(ctx, func() {
		if err := s.Unmount(); err != nil {
			s.log.Error("cannot unmount", "mountpoint", s.options.MountPoint, "err", err)
		}
	})
	s.readers.Store(1)
	s.readopt(ctx)
	var second sync.WaitGroup
	w := &watch{patience: handlerPatience, slow: func() {
		s.log.Debug("a request kept the reading goroutine busy, starting a second one", "for", handlerPatience)
		s.readers.Store(maxReaders)
		second.Add(1)
		go func() { // joined below
			defer second.Done()
			s.readRequests(nil)
		}()
	}}
	s.readRequests(w)
	w.stop()
	second.Wait()
	stop()

	s.waits.close()
	s.notifiers.close()
	err := s.clear()
	return errors.Join(err, s.device.close(), s.conn.Close())
}

// readRequests reads and answers requests until the connection ends.
func (s *Server) readRequests(w *watch) {
	for {
		req, err := s.conn.ReadRequest()
		switch {
		case err == nil:
			s.requests.Add(1)
			w.enter()
			s.dispatch(req)
			w.leave()
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNABORTED):
			return
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOENT):
			// A request that was interrupted before it was read.
		default:
			s.log.Warn("cannot read a request", "err", err)
			time.Sleep(readErrorPause)
		}
	}
}

// A watch notices when a handler takes longer than patience. It runs a
// timer only while requests come, and costs a request two atomic additions.
type watch struct {
	slow     func()
	patience time.Duration
	turns    atomic.Uint64 // odd: a request is being handled
	armed    atomic.Bool   // the timer runs, or is no longer wanted

	mu    sync.Mutex // guards what follows; held while slow runs
	timer *time.Timer
	seen  uint64 // turns when the timer was started
	over  bool   // slow has been called, or the watch stopped
}

func (w *watch) enter() {
	if w != nil {
		w.turns.Add(1)
		if !w.armed.Load() {
			w.arm()
		}
	}
}

func (w *watch) leave() {
	if w != nil {
		w.turns.Add(1)
	}
}

func (w *watch) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.armed.Swap(true) {
		return
	}
	w.start()
}

// start runs the timer. w.mu is held and w.armed set.
func (w *watch) start() {
	w.seen = w.turns.Load()
	if w.timer == nil {
		w.timer = time.AfterFunc(w.patience, w.look)
	} else {
		w.timer.Reset(w.patience)
	}
}

// look is the timer: a request that was being handled when it was started and
// still is, is slow. Where nothing happened meanwhile, it rests.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.turns.Load()
	switch {
	case w.over:
	case now != w.seen:
		w.start()
	case now%2 == 1:
		w.over = true // armed stays set: there is no third
		w.slow()
	default:
		w.armed.Store(false)
		if w.turns.Load() != now && !w.armed.Swap(true) {
			w.start() // one came in between, and saw it armed
		}
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
