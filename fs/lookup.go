package fs

import (
	"slices"
	"syscall"

	"bazil.org/fuse"

	"imapfs/cache"
)

// children is the naming of the mailboxes in one directory of one tree.
type children struct {
	gen   uint64
	boxes []mailbox   // as the tree gives them
	parts []component // what these are called there
	list  []child     // by number: the order of the directory offsets
	index map[string]*directory
}

type child struct {
	name string
	dir  *directory
}

// children gives the names of the mailboxes in d now. The naming is kept until
// the tree changes; what it then no longer says, the kernel is told.
func (s *Server) children(d *directory) *children {
	if last := d.names.Load(); last != nil && last.gen == s.account.Tree().Gen() {
		return last
	}
	d.naming.Lock()
	defer d.naming.Unlock()
	t := s.account.Tree()
	boxes := t.Children(d.box)
	c := &children{gen: t.Gen(), boxes: boxes, parts: make([]component, len(boxes))}
	for i, b := range boxes {
		c.parts[i] = component{t.Name(b), t.WireName(b)}
	}
	last := d.names.Load()
	if last.same(c) {
		c.list, c.index = last.list, last.index
		d.names.Store(c)
		return c
	}
	c.list = make([]child, len(boxes))
	c.index = make(map[string]*directory, len(boxes))
	for i, name := range s.naming.assign(c.parts, d.top) {
		level := c.parts[i].name
		if name != s.naming.mailboxName(level, d.top) {
			level = name // another has the same
		}
		kid := s.directory(boxes[i], append(slices.Clip(d.path), level))
		c.list[i] = child{name, kid}
		c.index[name] = kid
	}
	slices.SortFunc(c.list, func(a, b child) int { return int(int64(a.dir.number) - int64(b.dir.number)) })
	d.names.Store(c)
	if last != nil {
		s.notifyChildren(d, last, c)
	}
	return c
}

// same reports whether two name the same mailboxes in the same way.
func (c *children) same(o *children) bool {
	return c != nil && slices.Equal(c.boxes, o.boxes) && slices.Equal(c.parts, o.parts)
}

// lookup answers from memory. errWait: the name may be that of a message, and
// the mailbox has not been loaded yet.
func (s *Server) lookup(id fuse.NodeID, name string) (fuse.LookupResponse, error) {
	if s.generated.find(id) != nil || s.edits.find(id) != nil {
		return fuse.LookupResponse{}, syscall.ENOTDIR
	}
	sl, uid, err := s.node(id)
	switch {
	case err != nil:
		return fuse.LookupResponse{}, err
	case uid != 0:
		return fuse.LookupResponse{}, syscall.ENOTDIR
	case len(name) > maxName:
		return fuse.LookupResponse{}, syscall.ENAMETOOLONG
	}
	d := sl.dir
	snap, b, err := s.snapshot(sl)
	if err != nil {
		return fuse.LookupResponse{}, err
	}
	if s.hasSequences(d, name) {
		return s.lookupSequences(sl, snap, renderAtOnce)
	}
	if s.edits != nil && !d.top {
		if resp, done, err := s.lookupGiven(sl, name); done || err != nil {
			return resp, err
		}
	} else if uid, ok := s.naming.parseMessage(name); ok && !d.top {
		switch {
		case snap != nil:
		case d.box.Selectable():
			return fuse.LookupResponse{}, errWait
		default:
			d.bare.Store(true)
		}
		d.box.Touch() // entries are kept by the kernel until news comes
		if m, ok := find(snap, uid); ok {
			return fuse.LookupResponse{Node: sl.node(uid), EntryValid: forever, Attr: s.messageAttr(b, m)}, nil
		}
	}
	c := s.children(d)
	kid := c.index[name]
	if kid == nil {
		if listed, ok := s.naming.alias(name, d.top); ok {
			kid = c.index[listed]
		}
	}
	if kid == nil {
		// A node of 0 is a negative entry, kept until it is invalidated.
		return fuse.LookupResponse{EntryValid: forever}, nil
	}
	return fuse.LookupResponse{Node: s.current(kid).node(0), EntryValid: forever, Attr: s.directoryAttr(kid)}, nil
}

func find(snap *cache.Snapshot, uid cache.UID) (cache.Message, bool) {
	if snap == nil {
		return cache.Message{}, false
	}
	return snap.Find(uid)
}

// message finds the message that a node ID means, as it is now. errWait as with getattr.
func (s *Server) message(id fuse.NodeID) (*slot, *binding, cache.Message, error) {
	sl, uid, err := s.node(id)
	if err != nil || uid == 0 {
		return nil, nil, cache.Message{}, errStale
	}
	snap, b, err := s.snapshot(sl)
	switch {
	case err != nil:
		return nil, nil, cache.Message{}, errStale
	case snap == nil && sl.dir.box.Selectable():
		return nil, nil, cache.Message{}, errWait
	case snap == nil:
		return nil, nil, cache.Message{}, errStale
	}
	m, ok := snap.Find(uid)
	if !ok {
		return nil, nil, cache.Message{}, errStale
	}
	return sl, b, m, nil
}

// lookupGiven answers for messages and files of a writable mount; false: the name may be
// a mailbox's. errWait as with lookup.
func (s *Server) lookupGiven(sl *slot, name string) (resp fuse.LookupResponse, done bool, err error) {
	e, d := s.edits, sl.dir
	e.mu.Lock()
	defer e.mu.Unlock()
	snap := s.look(d)
	what := e.names.lookup(d.place(name))
	switch what.kind {
	case foundFile:
		return s.lookupLocal(e.list(what.file)), true, nil
	case foundUnknown:
		if d.box.Selectable() {
			return resp, false, errWait
		}
		d.bare.Store(true)
		return resp, false, nil
	case foundMessage:
		d.box.Touch()
		if snap == nil {
			return resp, false, errWait
		}
		m, ok := find(snap, what.msg.uid)
		b := sl.bind(snap.Validity())
		if !ok || b.validity != snap.Validity() {
			return fuse.LookupResponse{}, true, nil // not for long
		}
		attr := s.messageAttr(b, m)
		e.owners[sl.node(m.UID)].apply(&attr)
		return fuse.LookupResponse{Node: sl.node(m.UID), EntryValid: forever, Attr: attr}, true, nil
	}
	d.box.Touch()
	return resp, false, nil
}
