package fs

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
)

// maxRead is the most that the kernel asks for in one READ or READDIR, in
// octets: 32 pages, as long as bazil does not negotiate more.
const maxRead = 128 << 10

var readBuffers = sync.Pool{New: func() any { return new([maxRead]byte) }}

// failureKept is how long the errno of a READ waits for its reader. When the
// kernel's read-ahead has failed, it asks again for the one page that is wanted,
// and its reader sees only that answer: without this a deadline would be felt
// twice.
const failureKept = time.Second

var pageSize = os.Getpagesize()

// read appends to pieces n octets from memory as they lie there, which are not to be
// modified; errWait where they do not. Fewer are the end of the text.
func (s *Server) read(id fuse.NodeID, n int, off int64, pieces [][]byte) ([][]byte, error) {
	if q := s.generated.find(id); q != nil {
		return s.readSequences(q, n, off, pieces)
	}
	sl, uid, b, err := s.readable(id)
	if err != nil {
		return nil, err
	}
	if errno, ok := sl.lastFailure(uid, n <= pageSize); ok {
		return nil, errno
	}
	got, ok := sl.dir.box.TryView(b.validity, uid, n, off, pieces)
	if !ok || len(got) == len(pieces) && s.waits.reading(sl, uid) {
		return nil, errWait
	}
	return got, nil
}

func (s *Server) readWait(ctx context.Context, id fuse.NodeID, p []byte, off int64) (int, error) {
	sl, uid, b, err := s.readable(id)
	if err != nil {
		return 0, err
	}
	n, err := sl.dir.box.ReadAt(ctx, b.validity, uid, p, off)
	if err == nil && sl.over() {
		return 0, errStale
	}
	if err == nil && n == 0 {
		// The text ends before off. Where it does, the kernel must learn from the
		// READ that crosses the end, not from this one.
		s.waits.awaitReads(ctx, sl, uid, off)
	}
	return n, err
}

// readable is asked at each READ: a text is never served under the UID of
// another life of its mailbox.
func (s *Server) readable(id fuse.NodeID) (*slot, cache.UID, *binding, error) {
	sl, uid, err := s.node(id)
	switch {
	case err != nil:
		return nil, 0, nil, err
	case uid == 0:
		return nil, 0, nil, syscall.EISDIR
	}
	_, b, err := s.snapshot(sl)
	if err != nil || b == nil {
		return nil, 0, nil, errStale
	}
	return sl, uid, b, nil
}

// rememberFailure keeps the errno of a failed READ for the kernel's repeat. An
// interrupt is its reader's own and nobody else's.
func (sl *slot) rememberFailure(uid cache.UID, errno syscall.Errno) {
	if errno == syscall.EINTR {
		return
	}
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.failed == nil {
		sl.failed = make(map[cache.UID]failure)
	}
	sl.failed[uid] = failure{errno, time.Now().Add(failureKept)}
	sl.failures.Store(int32(len(sl.failed)))
}

// lastFailure gives the remembered errno, and forgets it when the READ is the
// kernel's repeat. Other READs are more of the same read-ahead.
func (sl *slot) lastFailure(uid cache.UID, repeat bool) (syscall.Errno, bool) {
	if sl.failures.Load() == 0 {
		return 0, false
	}
	sl.mu.Lock()
	defer sl.mu.Unlock()
	f, ok := sl.failed[uid]
	ok = ok && time.Now().Before(f.until)
	if repeat || !ok {
		delete(sl.failed, uid)
		sl.failures.Store(int32(len(sl.failed)))
	}
	return f.errno, ok
}
