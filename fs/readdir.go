package fs

import (
	"math"
	"sort"
	"syscall"

	"bazil.org/fuse"

	"imapfs/cache"
)

// A listing is one answer to READDIR, and what it was made from.
type listing struct {
	slot  *slot
	snap  *cache.Snapshot
	names *children
	given uint64
	data  []byte
}

// readdir lists what comes behind the offset, from memory, into buf[:0] and at
// most size octets. It keeps nothing between calls: the offset says which UID or
// mailbox was the last. errWait: not loaded yet.
func (s *Server) readdir(id fuse.NodeID, offset int64, size int, buf []byte) (listing, error) {
	sl, uid, err := s.node(id)
	switch {
	case err != nil:
		return listing{}, err
	case uid != 0:
		return listing{}, syscall.ENOTDIR
	case offset < 0:
		return listing{}, syscall.EINVAL
	}
	d := sl.dir
	snap, b, err := s.snapshot(sl)
	if err != nil {
		return listing{}, err
	}
	if snap == nil && d.box.Selectable() {
		return listing{}, errWait
	}
	l := listing{slot: sl, snap: snap, names: s.children(d), given: d.given.Load(), data: buf[:0]}
	off := uint64(offset)
	if off == 0 {
		d.listed.Store(&listedFrom{snap, l.names.gen, l.given})
	}
	ok := true
	add := func(ino, at uint64, typ direntType, name []byte) {
		l.data, ok = appendDirent(l.data, size, ino, at, typ, name)
	}

	var scratch [maxName]byte
	overlay := s.overlay(d)
	if overlay != nil {
		defer s.edits.mu.Unlock()
	}
	if snap != nil && off < math.MaxUint32 {
		for i := snap.Search(cache.UID(off) + 1); ok && i < snap.Len(); i++ {
			uid := snap.At(i).UID
			if overlay != nil {
				if name, ok := overlay.numbered(boxID(d.number), uid); ok {
					add(messageInode(b.seed, uid), uint64(uid), direntFile, append(scratch[:0], name...))
				}
				continue
			}
			add(messageInode(b.seed, uid), uint64(uid), direntFile, s.naming.appendMessageName(scratch[:0], uid))
		}
	}
	kids := l.names.list
	at := func(i int) uint64 { return offMailboxes + uint64(kids[i].dir.number) }
	for i := sort.Search(len(kids), func(i int) bool { return at(i) > off }); ok && i < len(kids); i++ {
		add(kids[i].dir.inode, at(i), direntDir, append(scratch[:0], kids[i].name...))
	}
	if ok && overlay != nil && off < offDot {
		overlay.named(boxID(d.number), off, func(at uint64, name string, what found) bool {
			var ino uint64
			switch {
			case what.kind == foundFile:
				l := s.edits.list(what.file)
				if l.inode == 0 {
					l.inode = s.newInode(what.file.id)
				}
				ino = l.inode
			case b != nil:
				if _, there := find(snap, what.msg.uid); !there {
					return true
				}
				ino = messageInode(b.seed, what.msg.uid)
			default:
				return true
			}
			add(ino, at, direntFile, append(scratch[:0], name...))
			return ok
		})
	}
	if ok && off < offDot {
		add(d.inode, offDot, direntDir, append(scratch[:0], '.'))
	}
	if ok && off < offDotDot {
		add(s.parentInode(d), offDotDot, direntDir, append(scratch[:0], '.', '.'))
	}
	return l, nil
}

// parentInode is the number of the directory above: the root's where that is gone.
func (s *Server) parentInode(d *directory) uint64 {
	if parent := s.account.Tree().Parent(d.box); parent != nil {
		if p := s.known(parent); p != nil {
			return p.inode
		}
	}
	return rootInode
}

// relisted is called when a listing has gone out: if its names were replaced
// meanwhile, the kernel may have stored it after it was told to forget.
func (s *Server) relisted(l listing) {
	if snap, _, err := s.snapshot(l.slot); err == nil && l.snap != nil && snap != l.snap {
		s.notifyMessages(l.slot, l.snap, snap)
	}
	if d := l.slot.dir; d.given.Load() != l.given {
		s.enqueue(d, func(k kernel) { k.InvalidateNode(l.slot.node(0), 0, -1) })
	}
	if c := s.children(l.slot.dir); !c.same(l.names) {
		s.notifyChildren(l.slot.dir, l.names, c)
	}
}

// overlay gives the names of a mailbox where they are not only numbers, with edits.mu
// held; else nil, and it is not held.
func (s *Server) overlay(d *directory) *names {
	e := s.edits
	if e == nil || d.top {
		return nil
	}
	e.mu.Lock()
	s.look(d)
	b := e.names.box(boxID(d.number))
	if len(b.names)+len(b.behind) == 0 {
		e.mu.Unlock()
		return nil
	}
	return e.names
}
