package fs

import (
	"context"
	"math"
	"os"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
)

// forever is how long the kernel may keep names and attributes: until it is
// told otherwise (invalidate.go). The attributes of a directory it keeps only for
// Options.lookEvery: it needs them for whoever passes through, and so asks for them
// though it has all names. Else nobody knew that the mount is in use.
const forever = 365 * 24 * time.Hour

const (
	statBlock     = 512  // st_blocks counts these, whatever st_blksize says
	preferredRead = 4096 // st_blksize
)

// messageAttr is what stat says of a message. Flags have no part in it: rsync,
// restic and borg decide by these fields.
func (s *Server) messageAttr(b *binding, m cache.Message) fuse.Attr {
	date := time.Unix(min(max(m.Date, 0), math.MaxUint32), 0) // 1970 … 2106
	a := s.fileAttr(messageInode(b.seed, m.UID), uint64(max(m.Size, 0)), date)
	a.Valid = forever
	return a
}

func (s *Server) fileAttr(inode, size uint64, date time.Time) fuse.Attr {
	return fuse.Attr{
		Inode:     inode,
		Size:      size,
		Blocks:    (size + statBlock - 1) / statBlock,
		Atime:     date,
		Mtime:     date,
		Ctime:     date,
		Mode:      s.fileMode,
		Nlink:     1,
		Uid:       s.options.UID,
		Gid:       s.options.GID,
		BlockSize: preferredRead,
	}
}

// directoryAttr is what stat says of a mailbox. Its mtime is when its names
// last changed, be they messages or mailboxes. A link count of 1 tells find
// that it cannot be used to count subdirectories.
func (s *Server) directoryAttr(d *directory) fuse.Attr {
	changed := s.account.Tree().Changed(d.box)
	if snap := d.box.Snapshot(); snap != nil && snap.Changed().After(changed) {
		changed = snap.Changed()
	}
	if at := d.givenAt.Load(); at > changed.UnixNano() && at > 0 {
		changed = time.Unix(0, at)
	}
	if changed.Before(time.Unix(0, 0)) { // also the zero time
		changed = time.Unix(0, 0)
	}
	return fuse.Attr{
		Valid:     s.options.lookEvery,
		Inode:     d.inode,
		Atime:     changed,
		Mtime:     changed,
		Ctime:     changed,
		Mode:      os.ModeDir | s.dirMode,
		Nlink:     1,
		Uid:       s.options.UID,
		Gid:       s.options.GID,
		BlockSize: preferredRead,
	}
}

// getattr answers from memory: what is no longer known is stale. errWait: a text that was sent to a
// mailbox that nobody has listed yet, and of which this mount knows no more than its UID.
func (s *Server) getattr(id fuse.NodeID) (fuse.Attr, error) {
	if q := s.generated.find(id); q != nil {
		return s.getattrSequences(q)
	}
	l, base := s.resolve(id)
	if l == nil && base == 0 {
		return fuse.Attr{}, errStale
	}
	if l != nil {
		s.edits.mu.Lock()
		defer s.edits.mu.Unlock()
		return s.localAttr(l), nil
	}
	attr, err := s.plainAttr(base)
	if err == nil && s.edits != nil {
		s.ownerOf(base).apply(&attr)
		if l := s.edits.find(id); l != nil && base != id {
			s.edits.mu.Lock()
			attr.Inode, attr.Valid = max(l.inode, rootInode+1), 0
			s.edits.mu.Unlock()
		}
	}
	return attr, err
}

// getattrWait is getattr for who can wait for the server.
func (s *Server) getattrWait(ctx context.Context, id fuse.NodeID) (fuse.Attr, error) {
	attr, err := s.getattr(id)
	if err == errWait {
		if err := s.loadOf(ctx, id); err != nil {
			return attr, err
		}
		attr, err = s.getattr(id)
	}
	return attr, loaded(err)
}

func (s *Server) serveGetattr(r *fuse.GetattrRequest) {
	attr, err := s.getattr(r.Node)
	switch err {
	case nil:
		r.Respond(&fuse.GetattrResponse{Attr: attr})
	case errWait:
		s.wait(r, s.newWaiting(r.Node), func(ctx context.Context) (func(), error) {
			attr, err := s.getattrWait(ctx, r.Node)
			return func() { r.Respond(&fuse.GetattrResponse{Attr: attr}) }, err
		})
	default:
		s.fail(r, err)
	}
}

// plainAttr is what stat says of a message or mailbox if no program has said otherwise.
func (s *Server) plainAttr(id fuse.NodeID) (fuse.Attr, error) {
	sl, uid, err := s.node(id)
	if err != nil {
		return fuse.Attr{}, err
	}
	if uid == 0 {
		if _, _, err := s.snapshot(sl); err != nil {
			return fuse.Attr{}, err
		}
		return s.directoryAttr(sl.dir), nil
	}
	_, b, m, err := s.message(id)
	if err != nil {
		return fuse.Attr{}, err
	}
	return s.messageAttr(b, m), nil
}
