package fs

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
)

// A node ID is slot<<32 | UID; UID 0 is the mailbox itself. Slot 0 has the root,
// whose ID the kernel fixes, and what is generated (sequences.go). No other node
// needs a record of its own, so FORGET has nothing to do there, and a slot is never
// used for anything else later.

// A directory is what is kept for each mailbox that the kernel has heard of.
type directory struct {
	box    mailbox
	path   []string // as inode numbers are made from it: where it was first seen
	inode  uint64   // stays when the mailbox is renamed
	number uint32   // its place among its siblings (dirent.go): the ID of its first slot
	top    bool     // is the root

	slot   atomic.Pointer[slot]     // the current one
	naming sync.Mutex               // held while names is replaced
	names  atomic.Pointer[children] // the newest that the kernel was answered from
	gone   atomic.Bool              // no longer in the tree
	bare   atomic.Bool              // messages were denied before the first load, as it had none

	given   atomic.Uint64 // counts what programs have done to the names of messages
	givenAt atomic.Int64  // when they did last, Unix nanoseconds

	listed atomic.Pointer[listedFrom] // what the kernel's stored listing begins with

	queue queue // see invalidate.go
}

// listedFrom is what a listing was made from.
type listedFrom struct {
	snap  *cache.Snapshot
	tree  uint64
	given uint64
}

// A slot is one life of a mailbox: the mailbox under one UIDVALIDITY. It is
// bound to it when the first snapshot is seen, before which none of its
// messages can have been looked up. A new UIDVALIDITY gets a new slot, and what
// the kernel holds of the old one answers ESTALE.
type slot struct {
	id      uint32
	dir     *directory
	bound   atomic.Pointer[binding]
	retired atomic.Bool

	// mu guards what follows; the atomic ones are read without it. It is held
	// for what memory can do at once.
	mu       sync.Mutex
	open     map[cache.UID]int              // how often each message is open
	failed   map[cache.UID]failure          // see read.go
	failures atomic.Int32                   // len(failed)
	seen     atomic.Pointer[cache.Snapshot] // the newest that the kernel was answered from
	resized  map[cache.UID]struct{}         // whose size in seen is not what the kernel was last told
	news     news                           // what it is still to be told; see invalidate.go

	// guarded by generated.mu; see sequences.go
	sequences *sequences // the newest; nil: nobody has asked
	turned    time.Time  // the change for which an OPEN was turned back last
}

type binding struct {
	validity cache.UIDValidity
	seed     uint64 // of the inode numbers
}

func (sl *slot) node(uid cache.UID) fuse.NodeID {
	if sl.id == 0 {
		return fuse.RootID
	}
	return fuse.NodeID(uint64(sl.id)<<32 | uint64(uid))
}

// snapshot gives the messages of a slot's life of the mailbox: nil before the
// first load, ESTALE when that life is over. What is answered from it is news to
// the kernel, and so is what was answered before: see takes care of that.
func (s *Server) snapshot(sl *slot) (*cache.Snapshot, *binding, error) {
	if sl.over() {
		return nil, nil, errStale
	}
	snap := sl.dir.box.Snapshot()
	if snap == nil {
		return nil, nil, nil
	}
	b := sl.bind(snap.Validity())
	if b.validity != snap.Validity() {
		return nil, nil, errStale
	}
	if sl.seen.Load() != snap {
		s.see(sl, snap)
	}
	return snap, b, nil
}

func (sl *slot) over() bool { return sl.retired.Load() || sl.dir.gone.Load() }

// bind gives the life of a mailbox that a slot stands for: v, if it has none yet.
func (sl *slot) bind(v cache.UIDValidity) *binding {
	if b := sl.bound.Load(); b != nil {
		return b
	}
	sl.bound.CompareAndSwap(nil, &binding{validity: v, seed: mailboxSeed(sl.dir.path, v)})
	return sl.bound.Load()
}

// directory gives the record of a mailbox, which it makes if there is none. path is
// where it is. One that takes the name of a mailbox that was renamed in this mount
// needs numbers of its own.
func (s *Server) directory(box mailbox, path []string) *directory {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dirs[box]
	if d == nil {
		d = &directory{box: box}
		d.queue.quiet.L = &d.queue.mu
		d.slot.Store(s.newSlot(d))
		d.number = d.slot.Load().id
		for d.path, d.inode = path, mailboxInode(path); s.inodes[d.inode] != nil; d.inode = mailboxInode(d.path) {
			d.path = append(slices.Clip(d.path), "\x00"+strconv.FormatUint(uint64(d.number), 10))
		}
		s.dirs[box], s.inodes[d.inode] = d, d
	}
	return d
}

// known gives the record of a mailbox if the kernel has heard of it, else nil.
func (s *Server) known(box mailbox) *directory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirs[box]
}

// newSlot makes the next slot. s.mu is held.
func (s *Server) newSlot(d *directory) *slot {
	all := *s.slots.Load()
	sl := &slot{id: uint32(len(all)), dir: d}
	// Readers have no lock: they never look behind the length that they loaded.
	all = append(all, sl)
	s.slots.Store(&all)
	return sl
}

// node finds what a node ID means.
func (s *Server) node(id fuse.NodeID) (*slot, cache.UID, error) {
	if id == fuse.RootID {
		return s.root.slot.Load(), 0, nil
	}
	all := *s.slots.Load()
	n := uint64(id) >> 32
	if n == 0 || n >= uint64(len(all)) {
		return nil, 0, errStale
	}
	return all[n], cache.UID(uint32(id)), nil
}

// current gives the slot of a mailbox, a new one where its UIDVALIDITY is no
// longer that of the last.
func (s *Server) current(d *directory) *slot {
	sl := d.slot.Load()
	snap := d.box.Snapshot()
	if snap == nil || sl.bind(snap.Validity()).validity == snap.Validity() {
		return sl
	}
	return s.renew(d, sl)
}

// renew ends the life of a slot: its waiting requests are answered, then the
// kernel is told to forget what it has of it.
func (s *Server) renew(d *directory, old *slot) *slot {
	s.mu.Lock()
	if sl := d.slot.Load(); sl != old || d.top {
		s.mu.Unlock()
		return sl
	}
	sl := s.newSlot(d)
	d.slot.Store(sl)
	old.retired.Store(true)
	s.mu.Unlock()

	s.waits.endSlot(old, errStale)
	s.dropSlot(d, old)
	return sl
}

// countOpen adds n to how often a message is open.
func (s *Server) countOpen(id fuse.NodeID, n int) {
	sl, uid, err := s.node(id)
	if err != nil {
		return
	}
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.open == nil {
		sl.open = make(map[cache.UID]int)
	}
	if sl.open[uid] += n; sl.open[uid] <= 0 {
		delete(sl.open, uid)
	}
}

func (sl *slot) openNodes() []fuse.NodeID {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	ids := make([]fuse.NodeID, 0, len(sl.open))
	for uid := range sl.open {
		ids = append(ids, sl.node(uid))
	}
	return ids
}

// A failure is the errno that a READ got and that its reader has not seen yet.
type failure struct {
	errno syscall.Errno
	until time.Time
}
