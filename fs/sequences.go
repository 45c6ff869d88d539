package fs

import (
	"context"
	"crypto/sha256"
	"math"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
)

// A sequences is one state of a mailbox's .mh_sequences, and a node of its own:
// its text and length never change, so that a reader sees one text to its end,
// from here or from the kernel's pages, and whether or not there is an OPEN. When
// the flags change, the name leads to another node. The inode number stays.
type sequences struct {
	id      fuse.NodeID
	slot    *slot
	sum     [sha256.Size]byte // of the text
	changed time.Time         // when the flags were first seen to be so

	// guarded by generated.mu
	text    []byte // nil when the kernel has forgotten the node
	gen     uint64 // of the newest snapshot that is known to have this text
	lookups uint64 // how often the kernel was given the node, less what it has forgotten
}

// renderAtOnce is the number of messages up to which .mh_sequences is made in
// the goroutine that reads requests: that takes less than a millisecond.
const renderAtOnce = 50_000

// render gives the state of .mh_sequences that belongs to a snapshot, and counts
// the lookups that it is wanted for. Only the newest is kept for the next; nil if
// it is not the one and the mailbox has more messages than are to be looked at.
func (s *Server) render(sl *slot, snap *cache.Snapshot, lookups uint64, most int) *sequences {
	g := &s.generated
	g.mu.Lock()
	if q := sl.sequences; q != nil && q.text != nil && q.gen == snap.Gen() {
		defer g.mu.Unlock()
		return g.give(q, lookups)
	}
	g.mu.Unlock()
	if snap.Len() > most {
		return nil
	}
	text := mhText(snap)
	sum := sha256.Sum256(text)
	g.mu.Lock()
	defer g.mu.Unlock()
	q := sl.sequences
	if q == nil || q.sum != sum {
		now := time.Now()
		if q != nil && !now.After(q.changed) {
			now = q.changed.Add(1) // mutt reads again what has another mtime
		}
		g.last++
		q = &sequences{id: g.last, slot: sl, sum: sum, changed: now}
		sl.sequences = q
	}
	q.text, q.gen = text, snap.Gen()
	return g.give(q, lookups)
}

// hasSequences says that a name in a directory is that of its .mh_sequences, if
// it can have messages at all.
func (s *Server) hasSequences(d *directory, name string) bool {
	return name == mhSequencesName && s.naming.suffix == "" && !d.top
}

// lookupSequences answers LOOKUP of .mh_sequences. errWait: the mailbox has not
// been loaded, or has more than most messages, which takes its time.
func (s *Server) lookupSequences(sl *slot, snap *cache.Snapshot, most int) (fuse.LookupResponse, error) {
	d := sl.dir
	d.box.Touch()
	if snap == nil {
		if d.box.Selectable() {
			return fuse.LookupResponse{}, errWait
		}
		d.bare.Store(true)
		return fuse.LookupResponse{EntryValid: forever}, nil
	}
	q := s.render(sl, snap, 1, most)
	if q == nil {
		return fuse.LookupResponse{}, errWait
	}
	// The kernel asks again at each use: thus the mailbox is known to be in use,
	// and stays watched, where no OPEN would say so.
	return fuse.LookupResponse{Node: q.id, Attr: s.sequencesAttr(q)}, nil
}

// lookupSequencesWait loads and renders what lookupSequences did not.
func (s *Server) lookupSequencesWait(ctx context.Context, id fuse.NodeID) (fuse.LookupResponse, error) {
	sl, _, err := s.node(id)
	if err != nil {
		return fuse.LookupResponse{}, err
	}
	if sl.dir.box.Snapshot() == nil {
		if err := s.load(ctx, id); err != nil {
			return fuse.LookupResponse{}, err
		}
	}
	snap, _, err := s.snapshot(sl)
	if err != nil {
		return fuse.LookupResponse{}, err
	}
	resp, err := s.lookupSequences(sl, snap, math.MaxInt)
	return resp, loaded(err)
}

func (s *Server) sequencesAttr(q *sequences) fuse.Attr {
	size := uint64(len(s.generated.textOf(q)))
	return fuse.Attr{
		Valid:     forever,
		Inode:     sequencesInode(q.slot.dir.path),
		Size:      size,
		Blocks:    (size + statBlock - 1) / statBlock,
		Atime:     q.changed,
		Mtime:     q.changed,
		Ctime:     q.changed,
		Mode:      s.fileMode &^ 0o222,
		Nlink:     1,
		Uid:       s.options.UID,
		Gid:       s.options.GID,
		BlockSize: preferredRead,
	}
}

func (s *Server) getattrSequences(q *sequences) (fuse.Attr, error) {
	if q.slot.over() {
		return fuse.Attr{}, errStale
	}
	return s.sequencesAttr(q), nil
}

// turnedBack is how long it is remembered that OPEN of an old state was answered
// ESTALE, upon which the kernel looks the name up again. A second time in a row
// its caller would get that error.
const turnedBack = time.Second

// openSequences refreshes the mailbox, as opendir does. If the flags are others
// now than the node says, the kernel is sent to look for the new one.
func (s *Server) openSequences(ctx context.Context, q *sequences) (fuse.OpenResponse, error) {
	sl := q.slot
	if _, err := sl.dir.box.Load(ctx); err != nil {
		return fuse.OpenResponse{}, err
	}
	snap, _, err := s.snapshot(sl)
	if err != nil {
		return fuse.OpenResponse{}, err
	}
	if now := s.render(sl, snap, 0, math.MaxInt); now != q {
		s.generated.mu.Lock()
		defer s.generated.mu.Unlock()
		if q.changed.Before(sl.turned) || time.Since(sl.turned) >= turnedBack {
			sl.turned = now.changed
			return fuse.OpenResponse{}, errStale
		}
	}
	return fuse.OpenResponse{Flags: fuse.OpenKeepCache | noFlush}, nil
}

func (s *Server) readSequences(q *sequences, n int, off int64, pieces [][]byte) ([][]byte, error) {
	if q.slot.over() {
		return nil, errStale
	}
	text := s.generated.textOf(q)
	if text = text[min(off, int64(len(text))):]; len(text) == 0 {
		return pieces, nil
	}
	return append(pieces, text[:min(n, len(text))]), nil
}
