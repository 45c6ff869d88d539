package fs

import (
	"context"
	"slices"
	"sync"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
)

// edits is what a writable mount remembers of itself: names (given.go), and for
// each of its files the text and the nodes that the kernel knows it by. nil on a
// read-only mount.
type edits struct {
	w writer

	mu     sync.Mutex // held over no disk and no network
	names  *names
	locals map[*file]*local
	nodes  map[fuse.NodeID]*local // of slot 0; and of messages, while open for writing
	given  map[fuse.NodeID]uint64 // how often the kernel was given a node of slot 0, less what it has forgotten
	drafts map[draft]*local
	over   map[*change]chan struct{} // closed when it is; of those that are waited for
	told   chan struct{}             // closed at the next news of a text
	owners map[fuse.NodeID]owner
}

func newEdits(w writer, n naming) *edits {
	return &edits{
		w:      w,
		names:  newNames(n),
		locals: make(map[*file]*local),
		nodes:  make(map[fuse.NodeID]*local),
		given:  make(map[fuse.NodeID]uint64),
		drafts: make(map[draft]*local),
		over:   make(map[*change]chan struct{}),
		told:   make(chan struct{}),
		owners: make(map[fuse.NodeID]owner),
	}
}

// A local is what is kept for each file of names.
type local struct {
	file *file

	// text guards the two drafts. It is held over the disk, and taken before edits.mu.
	text  sync.Mutex
	draft draft // nil: the text is the message's
	kept  draft // what it was before it was cut (file.kept)

	// guarded by edits.mu
	node    fuse.NodeID // by which the kernel is given it
	nodes   []fuse.NodeID
	inode   uint64
	wrote   time.Time
	size    func() int64 // of draft; nil: there is none
	owner   owner
	copied  bool // began as a message, and was not cut since
	flagged bool // a program has set its flags
	timer   *time.Timer
	again   *time.Timer // commits it once more; nil: that is not due
}

// redateFor is how long after its arrival a text can be given another date.
const redateFor = time.Minute

// A snapshotView is what a mailbox holds, for names.
type snapshotView struct {
	snap  *cache.Snapshot
	names *children
}

func (v snapshotView) message(uid cache.UID) presence {
	if _, ok := v.snap.Find(uid); ok {
		return here
	}
	if uid < v.snap.UIDNext() || v.snap.Len() > 0 && uid < v.snap.At(v.snap.Len()-1).UID {
		return gone
	}
	return unheard
}

func (v snapshotView) mailbox(listed string) bool { return v.names.index[listed] != nil }

// look tells names what a mailbox holds now, and gives it; nil: it is not loaded.
// edits.mu is held.
func (s *Server) look(d *directory) *cache.Snapshot {
	e := s.edits
	snap := d.box.Snapshot()
	if snap == nil {
		return nil
	}
	c := s.children(d)
	b := e.names.box(boxID(d.number))
	if v, ok := b.view.(snapshotView); !ok || v.snap != snap || v.names != c || b.validity != snap.Validity() {
		e.names.see(boxID(d.number), snap.Validity(), snapshotView{snap, c})
	}
	return snap
}

// dirOf gives the directory of a mailbox of names; nil: it is gone.
func (s *Server) dirOf(id boxID) *directory {
	all := *s.slots.Load()
	if int(id) >= len(all) {
		return nil
	}
	return all[id].dir
}

// lookAll has names see the mailboxes that a step is about. edits.mu is held.
func (s *Server) lookAll(st step) {
	boxes := []boxID{st.box, st.message.box, st.other.box, st.like.box}
	if st.file != nil {
		boxes = append(boxes, st.file.at.box, st.file.base.box)
	}
	for _, m := range st.replaces {
		boxes = append(boxes, m.box)
	}
	for i, id := range boxes {
		if d := s.dirOf(id); d != nil && !d.top && !slices.Contains(boxes[:i], id) {
			s.look(d)
		}
	}
}

// start begins a change.
func (s *Server) start(dirs []*directory, begin func(n *names) *change) *change {
	e := s.edits
	e.mu.Lock()
	for _, d := range dirs {
		s.look(d)
	}
	c := begin(e.names)
	owed := s.owed()
	e.mu.Unlock()
	owed()
	return c
}

// carry carries a change out, whoever still waits for it. Call it once.
func (s *Server) carry(c *change) error {
	e := s.edits
	for c.step.kind != stepOver {
		st := c.step
		r := s.do(st)
		e.mu.Lock()
		s.lookAll(st)
		e.names.done(c, r)
		if c.step.kind == stepOver {
			if over := e.over[c]; over != nil {
				close(over)
				delete(e.over, c)
			}
		}
		owed := s.owed()
		e.mu.Unlock()
		owed()
	}
	return c.err
}

// await waits for another change.
func (s *Server) await(c *change) result {
	e := s.edits
	e.mu.Lock()
	if c.step.kind == stepOver {
		e.mu.Unlock()
		return result{}
	}
	over := e.over[c]
	if over == nil {
		over = make(chan struct{})
		e.over[c] = over
	}
	e.mu.Unlock()
	select {
	case <-over:
		return result{}
	case <-s.ctx.Done():
		return result{err: errEnding}
	}
}

// finish carries a change out behind the program that caused it.
func (s *Server) finish(c *change) {
	if c == nil {
		return
	}
	if c.step.kind == stepOver {
		return
	}
	s.waits.spawn(func() {
		if err := s.carry(c); err != nil {
			s.causes.report("write", err)
		}
	})
}

// owed takes what names owes, as something to be done when edits.mu is no longer
// held. edits.mu is held.
func (s *Server) owed() func() {
	e := s.edits
	a := e.names.after()
	if len(a.changed)+len(a.noted)+len(a.spent) == 0 {
		return func() {}
	}
	var todo []func()
	for _, f := range a.noted {
		l := e.locals[f]
		if l == nil {
			continue
		}
		s.keepOwner(l)
		if e.names.recent[f.base] == f {
			s.letBe(l)
			continue
		}
		todo = append(todo, func() { s.place(l) })
	}
	for _, f := range a.spent {
		l := e.locals[f]
		if l == nil {
			continue
		}
		s.keepOwner(l)
		// What has arrived is let go; what has not is not wanted.
		unwanted, equal := f.dirty() || !f.arrived, f.equal
		e.unlist(l)
		todo = append(todo, func() { s.letGo(l, unwanted, equal) })
	}
	byDir := make(map[*directory][]string)
	for _, p := range a.changed {
		if d := s.dirOf(p.box); d != nil && !slices.Contains(byDir[d], p.name) {
			byDir[d] = append(byDir[d], p.name)
		}
	}
	return func() {
		for _, f := range todo {
			f()
		}
		for d, names := range byDir {
			s.tellGiven(d, names)
		}
	}
}

// tellGiven tells that names may mean something else now.
func (s *Server) tellGiven(d *directory, names []string) {
	d.given.Add(1)
	d.givenAt.Store(time.Now().UnixNano())
	s.enqueue(d, func(k kernel) {
		sl := d.slot.Load()
		for _, name := range names {
			k.InvalidateEntry(sl.node(0), name)
		}
		k.InvalidateNode(sl.node(0), 0, -1)
	})
}

// letBe keeps a text that has arrived for a while. edits.mu is held.
func (s *Server) letBe(l *local) {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(redateFor, func() {
		e := s.edits
		e.mu.Lock()
		e.names.forget(l.file)
		owed := s.owed()
		e.mu.Unlock()
		owed()
	})
}

// place has the spool know where a text belongs.
func (s *Server) place(l *local) {
	l.text.Lock()
	defer l.text.Unlock()
	e := s.edits
	e.mu.Lock()
	at, scratch, dirty := l.file.at, l.file.scratch, l.file.dirty()
	e.mu.Unlock()
	d := s.dirOf(at.box)
	if l.draft == nil || at.name == "" || d == nil || !dirty && !scratch {
		return
	}
	if box, name := l.draft.Place(); box == d.box && name == at.name && l.draft.Scratch() == scratch {
		return
	}
	if err := l.draft.Move(d.box, at.name, scratch); err != nil {
		s.log.Debug("the spool keeps the former name of a text", "name", at.name, "err", err)
	}
}

// letGo ends a text: one that is equal to a message was not sent, and nobody needs it.
func (s *Server) letGo(l *local, unwanted, equal bool) {
	l.text.Lock()
	defer l.text.Unlock()
	for _, d := range []draft{l.draft, l.kept} {
		if d == nil {
			continue
		}
		if unwanted || equal && d.Sent() == (cache.Sent{}) {
			if err := d.Discard(); err != nil {
				s.log.Warn("a text stays in the spool", "err", err)
			}
		}
		if err := d.Close(); err != nil {
			s.log.Debug("closing a text", "err", err)
		}
	}
	s.edits.mu.Lock()
	l.setText(nil)
	s.edits.mu.Unlock()
	l.kept = nil
}

// A owner is what chmod and chown have said, which is shown in this mount.
type owner struct {
	set      bool
	mode     uint32
	uid, gid uint32
}

// keepOwner shows of a message what was said of its file. edits.mu is held.
func (s *Server) keepOwner(l *local) {
	if id := s.messageNode(l.file.base); id != 0 && l.owner.set {
		s.edits.owners[id] = l.owner
	}
}

// list makes the record of a file. edits.mu is held.
func (e *edits) list(f *file) *local {
	l := e.locals[f]
	if l == nil {
		l = &local{file: f, wrote: time.Now()}
		e.locals[f] = l
	}
	return l
}

// unlist forgets a file whose text is let go; its node in slot 0 stays until the kernel has
// forgotten it, and means the message. edits.mu is held.
func (e *edits) unlist(l *local) {
	delete(e.locals, l.file)
	for d, other := range e.drafts {
		if other == l {
			delete(e.drafts, d)
		}
	}
	for _, t := range []*time.Timer{l.timer, l.again} {
		if t != nil {
			t.Stop()
		}
	}
	e.closeNodes(l)
}

// closeNodes lets the messages be messages again as which a file is known to the kernel.
// edits.mu is held.
func (e *edits) closeNodes(l *local) {
	for _, id := range slices.Clone(l.nodes) {
		if id>>32 != 0 {
			e.lose(l, id)
		}
	}
}

// lose has a node mean a file no more. edits.mu is held.
func (e *edits) lose(l *local, id fuse.NodeID) {
	delete(e.nodes, id)
	l.nodes = slices.DeleteFunc(l.nodes, func(other fuse.NodeID) bool { return other == id })
	if l.node == id {
		l.node = 0
		if n := len(l.nodes); n > 0 {
			l.node = l.nodes[n-1]
		}
	}
}

// know has a node mean a file, and no other one. edits.mu is held.
func (e *edits) know(l *local, id fuse.NodeID) {
	if was := e.nodes[id]; was != nil && was != l {
		e.lose(was, id)
	}
	if !slices.Contains(l.nodes, id) {
		l.nodes = append(l.nodes, id)
	}
	e.nodes[id], l.node = l, id
}

// forget is told how many lookups of a node of slot 0 the kernel has forgotten.
func (e *edits) forget(id fuse.NodeID, n uint64) {
	if e == nil || id>>32 != 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.nodes[id]
	if l == nil {
		return
	}
	if e.given[id] -= min(n, e.given[id]); e.given[id] > 0 {
		return
	}
	delete(e.given, id)
	e.lose(l, id)
}

// find gives the file that a node means; nil: it is a message or a mailbox.
func (e *edits) find(id fuse.NodeID) *local {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nodes[id]
}

// messageNode gives the node of a message; 0: its mailbox has another life.
func (s *Server) messageNode(m ref) fuse.NodeID {
	d := s.dirOf(m.box)
	if d == nil || m.uid == 0 {
		return 0
	}
	sl := d.slot.Load()
	v := m.validity // as the server has said with its UID, where nobody has listed the mailbox yet
	if snap := d.box.Snapshot(); snap != nil {
		v = snap.Validity()
	}
	if m.validity == 0 || sl.bind(v).validity != m.validity {
		return 0
	}
	return sl.node(m.uid)
}

// resolve says what answers for a node: a local text, or else the message that has the
// node id2.
func (s *Server) resolve(id fuse.NodeID) (l *local, id2 fuse.NodeID) {
	e := s.edits
	if e == nil {
		return nil, id
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l = e.nodes[id]
	if l == nil {
		return nil, id
	}
	f := l.file
	if f.whole && e.locals[f] == l && (f.opens > 0 || f.at.name != "") {
		return l, id
	}
	return nil, s.messageNode(f.base)
}

// errEnding is answered to what waits when the mount ends.
var errEnding = &cache.Error{Op: "wait", Kind: cache.Interrupted, Err: context.Canceled}

// endGiven ends the names of a mailbox that is gone. What only the spool has of them stays
// there.
func (s *Server) endGiven(d *directory) {
	e := s.edits
	if e == nil {
		return
	}
	e.mu.Lock()
	for _, f := range e.names.gone(boxID(d.number)) {
		if l := e.locals[f]; l != nil {
			delete(e.locals, f)
			e.closeNodes(l)
		}
	}
	owed := s.owed()
	e.mu.Unlock()
	owed()
}
