package fs

import (
	"context"
	"syscall"

	"bazil.org/fuse"

	"imapfs/cache"
)

// noFlush is FOPEN_NOFLUSH, which bazil has no name for: no FLUSH at close
// (Linux 5.16; older kernels send it and are answered 0).
const noFlush fuse.OpenResponseFlags = 1 << 5

// open answers OPEN of a message when memory has its first block; errWait
// otherwise. Only an OPEN can correct the length that the kernel believes, so
// it is answered when the true one is known.
func (s *Server) open(id fuse.NodeID, flags fuse.OpenFlags) (fuse.OpenResponse, error) {
	if s.generated.find(id) != nil {
		if writes(flags) {
			return fuse.OpenResponse{}, syscall.EROFS
		}
		return fuse.OpenResponse{}, errWait // nobody knows whether the mailbox is fresh
	}
	sl, uid, b, err := s.openable(id, flags)
	if err != nil {
		return fuse.OpenResponse{}, err
	}
	if _, ok := sl.dir.box.TryOpen(b.validity, uid); !ok {
		return fuse.OpenResponse{}, errWait
	}
	return s.opened(sl, uid), nil
}

func (s *Server) openWait(ctx context.Context, id fuse.NodeID, flags fuse.OpenFlags) (fuse.OpenResponse, error) {
	if q := s.generated.find(id); q != nil {
		return s.openSequences(ctx, q)
	}
	sl, uid, b, err := s.openable(id, flags)
	if err == errWait {
		if err := s.load(ctx, id); err != nil {
			return fuse.OpenResponse{}, err
		}
		sl, uid, b, err = s.openable(id, flags)
	}
	if err != nil {
		return fuse.OpenResponse{}, loaded(err)
	}
	if _, err := sl.dir.box.Open(ctx, b.validity, uid); err != nil {
		return fuse.OpenResponse{}, err
	}
	if sl.over() {
		return fuse.OpenResponse{}, errStale
	}
	return s.opened(sl, uid), nil
}

func writes(flags fuse.OpenFlags) bool { return !flags.IsReadOnly() || flags&fuse.OpenTruncate != 0 }

// openable refuses what no open can be answered for. errWait: the mailbox is to be loaded
// first. That the message is in the snapshot is asked in a writable mount only, else its text
// may still be had: there its name may have come to mean another message a moment ago, and
// the kernel, which has not heard of that yet, asks by name again when it is told ESTALE.
func (s *Server) openable(id fuse.NodeID, flags fuse.OpenFlags) (*slot, cache.UID, *binding, error) {
	sl, uid, err := s.node(id)
	switch {
	case err != nil:
		return nil, 0, nil, err
	case uid == 0:
		return nil, 0, nil, syscall.EISDIR
	case writes(flags):
		return nil, 0, nil, syscall.EROFS
	}
	snap, b, err := s.snapshot(sl)
	switch {
	case err != nil:
		return nil, 0, nil, errStale
	case b == nil && s.edits != nil:
		return nil, 0, nil, errWait // sent by this mount, and nobody has listed the mailbox yet
	case b == nil:
		return nil, 0, nil, errStale
	}
	if _, there := find(snap, uid); !there && s.edits != nil {
		return nil, 0, nil, errStale
	}
	return sl, uid, b, nil
}

// opened makes the reply. If the size is not what the kernel was last told, its
// attributes go first: an offset of -1 leaves the pages alone and waits for
// nothing, so it may be sent while a reply is owed. Sizes are learnt by whoever
// loads a text, often long before it is opened.
func (s *Server) opened(sl *slot, uid cache.UID) fuse.OpenResponse {
	s.snapshot(sl) // takes note of what the load has found
	sl.mu.Lock()
	_, wrong := sl.resized[uid]
	sl.mu.Unlock()
	if wrong {
		s.kernel.InvalidateNode(sl.node(uid), -1, 0)
		sl.settle(uid)
	}
	sl.dir.box.Touch()
	return fuse.OpenResponse{Flags: fuse.OpenKeepCache | noFlush}
}

// settle is called when the kernel has dropped the old size of a message.
func (sl *slot) settle(uid cache.UID) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	delete(sl.resized, uid)
}

// opendir is where a mailbox is loaded and refreshed: it holds no lock in the
// kernel. A listing that cannot be had whole fails here.
func (s *Server) opendir(ctx context.Context, id fuse.NodeID) (fuse.OpenResponse, error) {
	sl, uid, err := s.node(id)
	switch {
	case err != nil:
		return fuse.OpenResponse{}, err
	case uid != 0:
		return fuse.OpenResponse{}, syscall.ENOTDIR
	case sl.over():
		return fuse.OpenResponse{}, errStale
	}
	box := sl.dir.box
	box.Touch()
	if _, err := s.account.LoadTree(ctx); err != nil {
		return fuse.OpenResponse{}, err
	}
	if box.Selectable() {
		if _, err := box.Load(ctx); err != nil {
			return fuse.OpenResponse{}, err
		}
	}
	snap, _, err := s.snapshot(sl)
	if err != nil {
		s.current(sl.dir) // the name leads to the new slot when the kernel asks again
		return fuse.OpenResponse{}, err
	}
	r := fuse.OpenResponse{Flags: fuse.OpenCacheDir}
	// The news of what was found just now may still be on its way: the kernel keeps
	// a listing only if it was made from what there is.
	if l := sl.dir.listed.Load(); l != nil && *l == (listedFrom{snap, s.children(sl.dir).gen, sl.dir.given.Load()}) {
		r.Flags |= fuse.OpenKeepCache
	}
	return r, nil
}

// loadOf is load for the mailbox of a message, or of a file that has become one.
func (s *Server) loadOf(ctx context.Context, id fuse.NodeID) error {
	if _, base := s.resolve(id); base != 0 {
		return s.load(ctx, base)
	}
	return errStale
}

// load is the first load of a mailbox, for a LOOKUP or READDIR inside it.
func (s *Server) load(ctx context.Context, id fuse.NodeID) error {
	sl, _, err := s.node(id)
	if err != nil {
		return err
	}
	_, err = sl.dir.box.Load(ctx)
	return err
}
