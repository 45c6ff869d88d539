package fs

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"bazil.org/fuse"

	"imapfs/cache"
)

// A kernel is told what it must no longer believe. *fuse.Conn is the real one.
//
// InvalidateEntry and NotifyDelete wait for every request inside the directory;
// InvalidateNode with an offset of 0 or more waits for the READs of the node. So
// these three are only called from a directory's own goroutine, with no lock
// held and no reply owed. InvalidateNode(id, -1, 0) drops attributes alone and
// waits for nothing.
type kernel interface {
	InvalidateNode(id fuse.NodeID, off, size int64) error
	InvalidateEntry(parent fuse.NodeID, name string) error
	NotifyDelete(parent, child fuse.NodeID, name string) error
}

// A queue is what the kernel is still to be told about one directory, in
// order. It has a goroutine while it has work, so that a directory that is slow
// to let go stops nothing but its own news.
type queue struct {
	mu      sync.Mutex
	jobs    []func(k kernel)    // one at most for the messages of a slot, and for the mailboxes
	names   map[string]struct{} // of mailboxes, which one of the jobs tells; nil: none does
	running bool
	// held counts the LOOKUPs that wait for the first load, and the changes under way:
	// they hold the directory, so nothing is sent before they are answered.
	held  int
	quiet sync.Cond // L is &mu; told when held is 0
}

// considerate is a kernel that is told of a directory only while no request that we know
// of holds it. To be told sooner would do no good, and who waits in the kernel cannot be
// killed: a daemon that is killed then leaves a mount that only umount -f ends, and programs
// that nothing ends.
type considerate struct {
	kernel
	d *directory
}

func (c considerate) InvalidateEntry(parent fuse.NodeID, name string) error {
	c.d.awaitQuiet()
	return c.kernel.InvalidateEntry(parent, name)
}

func (c considerate) NotifyDelete(parent, child fuse.NodeID, name string) error {
	c.d.awaitQuiet()
	return c.kernel.NotifyDelete(parent, child, name)
}

func (d *directory) awaitQuiet() {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	for d.queue.held > 0 {
		d.queue.quiet.Wait()
	}
}

// enqueue gives a directory's goroutine one thing more to say.
func (s *Server) enqueue(d *directory, job func(k kernel)) {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	d.queue.jobs = append(d.queue.jobs, job)
	s.startQueue(d)
}

// hold keeps a directory's news back until release.
func (d *directory) hold() {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	d.queue.held++
}

func (s *Server) release(d *directory) {
	d.queue.mu.Lock()
	defer d.queue.mu.Unlock()
	if d.queue.held--; d.queue.held == 0 {
		d.queue.quiet.Broadcast()
	}
	s.startQueue(d)
}

// startQueue starts the goroutine where there is work for it. d.queue.mu is held.
func (s *Server) startQueue(d *directory) {
	if d.queue.running || d.queue.held > 0 || len(d.queue.jobs) == 0 || !s.notifiers.add() {
		return
	}
	d.queue.running = true
	go func() { // joined by notifiers.close
		defer s.notifiers.done()
		for {
			d.queue.mu.Lock()
			jobs := d.queue.jobs
			d.queue.jobs = nil
			if len(jobs) == 0 || d.queue.held > 0 {
				d.queue.jobs = jobs
				d.queue.running = false
				d.queue.mu.Unlock()
				return
			}
			d.queue.mu.Unlock()
			for _, job := range jobs {
				job(considerate{s.kernel, d})
			}
		}
	}()
}

// mailboxChanged is told by package cache when it has published a snapshot.
func (s *Server) mailboxChanged(box mailbox) {
	if d := s.known(box); d != nil {
		s.snapshot(s.current(d))
	}
}

// see takes note that the kernel is answered from snap, and has it told what
// that changes. Each snapshot from which an answer was made is a step of its own,
// whether or not its publication was told: a message that came and went between two
// of package cache's tellings may have been looked up.
func (s *Server) see(sl *slot, snap *cache.Snapshot) {
	wanted := s.generated.wanted(sl)
	sl.mu.Lock()
	old, new := sl.seen.Load(), snap
	switch {
	case old == new:
		sl.mu.Unlock()
		return
	case old != nil && new.Gen() < old.Gen():
		// A handler that was slow. The kernel will hear what has changed since: it
		// is answered first, as the news waits for whoever is inside the directory.
		old, new = new, old
	default:
		sl.seen.Store(new)
	}
	for _, uid := range cache.Resized(old, new) {
		if sl.resized == nil {
			sl.resized = make(map[cache.UID]struct{})
		}
		sl.resized[uid] = struct{}{}
		sl.news.resized = true
	}
	if old == nil {
		sl.news.first = new
	} else {
		sl.news.sequences = sl.news.sequences || wanted
		sl.news.add(old, new)
	}
	sl.mu.Unlock()
	s.announce(sl)
}

// news is what the kernel is still to be told about the messages of a slot. However
// many snapshots are published before that is done, it is told once, and of each
// message that came or went in any of them.
type news struct {
	told      bool            // a turn of the directory's queue will tell it
	first     *cache.Snapshot // the mailbox has been loaded
	sequences bool            // .mh_sequences may be another
	changed   []cache.UID     // the messages that came or went, one or more times each
	distinct  int             // of changed, when it was last made short
	resized   bool            // slot.resized has some
}

// newsSlack is how many UIDs named twice may stand in news.changed beside as many as
// are distinct.
const newsSlack = 4096

// add notes what came and what went between two snapshots. slot.mu is held.
func (n *news) add(old, new *cache.Snapshot) {
	added, removed := cache.Diff(old, new)
	n.changed = append(append(n.changed, removed...), added...)
	if len(n.changed) > 2*n.distinct+newsSlack {
		n.shorten()
	}
}

func (n *news) shorten() {
	slices.Sort(n.changed)
	n.changed = slices.Compact(n.changed)
	n.distinct = len(n.changed)
}

// announce has the news of a slot told, if there is any and nobody is about to.
func (s *Server) announce(sl *slot) {
	sl.mu.Lock()
	n := &sl.news
	needed := !n.told && (n.first != nil || n.sequences || n.resized || len(n.changed) > 0)
	n.told = n.told || needed
	sl.mu.Unlock()
	if needed {
		s.enqueue(sl.dir, func(k kernel) { s.tell(k, sl) })
	}
}

// tell tells all that is news of a slot.
func (s *Server) tell(k kernel, sl *slot) {
	sl.mu.Lock()
	n, now := sl.news, sl.seen.Load()
	sl.news = news{}
	var resized []cache.UID
	if n.resized {
		resized = slices.Sorted(maps.Keys(sl.resized))
	}
	sl.mu.Unlock()

	if n.first != nil {
		s.firstNews(k, sl, n.first)
	}
	if n.sequences {
		k.InvalidateEntry(sl.node(0), mhSequencesName)
	}
	n.shorten()
	s.tellGivenTo(k, sl, n.changed)
	s.tellNames(k, sl, n.changed, now)
	for _, uid := range resized {
		k.InvalidateNode(sl.node(uid), -1, 0)
		sl.settle(uid)
	}
}

// firstNews tells that a mailbox has been loaded: its mtime is known. Nothing else
// was told before, unless the mailbox was then a mere place in the tree.
func (s *Server) firstNews(k kernel, sl *slot, new *cache.Snapshot) {
	if !sl.dir.bare.Swap(false) {
		k.InvalidateNode(sl.node(0), -1, 0)
		return
	}
	k.InvalidateEntry(sl.node(0), mhSequencesName)
	for i := range new.Len() {
		k.InvalidateEntry(sl.node(0), s.naming.messageName(new.At(i).UID))
	}
	k.InvalidateNode(sl.node(0), 0, -1)
}

// tellNames tells what the names of messages have become: first of those that are
// gone, then of those that are there. Flags are no names: where only they changed,
// nothing is said.
func (s *Server) tellNames(k kernel, sl *slot, changed []cache.UID, now *cache.Snapshot) {
	if len(changed) == 0 {
		return
	}
	for _, uid := range changed {
		if _, there := find(now, uid); there {
			continue
		}
		name := s.naming.messageName(uid)
		if err := k.NotifyDelete(sl.node(0), sl.node(uid), name); err != nil && !errors.Is(err, fuse.ErrNotCached) {
			k.InvalidateEntry(sl.node(0), name)
		}
	}
	for _, uid := range changed {
		if _, there := find(now, uid); there {
			k.InvalidateEntry(sl.node(0), s.naming.messageName(uid))
		}
	}
	// Last: each of the calls above has waited for the listings under way, so
	// none made from the old snapshot can be stored behind this.
	k.InvalidateNode(sl.node(0), 0, -1)
}

// tellGivenTo tells of the names that programs have given to messages that came or went,
// and of the numbers that are escaped for one of those.
func (s *Server) tellGivenTo(k kernel, sl *slot, changed []cache.UID) {
	e := s.edits
	if e == nil || len(changed) == 0 {
		return
	}
	var names []string
	e.mu.Lock()
	b := e.names.box(boxID(sl.dir.number))
	for _, uid := range changed {
		if snap := sl.dir.box.Snapshot(); snap != nil {
			if _, there := find(snap, uid); !there {
				delete(e.owners, sl.node(uid))
			}
		}
	}
	if len(b.names) > 0 {
		for _, uid := range changed {
			if x := b.byUID[uid]; x != nil {
				names = append(names, x.name)
			}
			if b.names[s.naming.messageName(uid)] != nil {
				names = append(names, s.naming.escaped(uid, 0), s.naming.escaped(uid, 1))
			}
		}
	}
	s.look(sl.dir)
	owed := s.owed()
	e.mu.Unlock()
	owed()
	for _, name := range names {
		k.InvalidateEntry(sl.node(0), name)
	}
}

// notifyMessages tells once more what lies between two snapshots.
func (s *Server) notifyMessages(sl *slot, old, new *cache.Snapshot) {
	sl.mu.Lock()
	sl.news.add(old, new)
	sl.mu.Unlock()
	s.announce(sl)
}

// treeChanged is told by package cache when it has published a tree.
func (s *Server) treeChanged() {
	s.mu.Lock()
	dirs := make([]*directory, 0, len(s.dirs))
	for _, d := range s.dirs {
		dirs = append(dirs, d)
	}
	s.mu.Unlock()
	t := s.account.Tree()
	for _, d := range dirs {
		switch {
		case !d.top && t.Parent(d.box) == nil:
			s.removed(d)
		case d.names.Load() != nil: // else nothing was answered from them
			s.children(d)
		}
	}
}

// removed ends all that the kernel has of a mailbox that is no more. Its name
// is taken back by its parent's goroutine.
func (s *Server) removed(d *directory) {
	if d.gone.Swap(true) {
		return
	}
	sl := d.slot.Load()
	s.waits.endSlot(sl, errStale)
	s.dropNodes(d, sl)
	s.endGiven(d)
	s.mu.Lock()
	delete(s.dirs, d.box)
	delete(s.inodes, d.inode)
	s.mu.Unlock()
}

// notifyChildren tells what the names of mailboxes have become in one directory. Of a
// mailbox that was renamed both names are told: the kernel finds its node under the
// new one and moves what it has there.
func (s *Server) notifyChildren(d *directory, was, is *children) {
	var changed []string
	for name, dir := range was.index {
		if is.index[name] != dir {
			changed = append(changed, name)
		}
	}
	for name := range is.index {
		if was.index[name] == nil {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return
	}
	d.queue.mu.Lock()
	first := d.queue.names == nil
	if first {
		d.queue.names = make(map[string]struct{})
	}
	for _, name := range changed {
		d.queue.names[name] = struct{}{}
	}
	d.queue.mu.Unlock()
	if first {
		s.enqueue(d, func(k kernel) { s.tellChildren(k, d) })
	}
}

// tellChildren tells of all mailboxes in a directory whose names have changed.
func (s *Server) tellChildren(k kernel, d *directory) {
	d.queue.mu.Lock()
	names := slices.Sorted(maps.Keys(d.queue.names))
	d.queue.names = nil
	d.queue.mu.Unlock()
	sl := d.slot.Load()
	for _, name := range names {
		s.forgetName(k, d, sl, name)
	}
	k.InvalidateNode(sl.node(0), 0, -1)
}

// forgetName takes a mailbox's name back, and the number that means it too.
func (s *Server) forgetName(k kernel, d *directory, sl *slot, name string) {
	k.InvalidateEntry(sl.node(0), name)
	if plain, ok := s.naming.unalias(name, d.top); ok {
		k.InvalidateEntry(sl.node(0), plain)
	}
}

// dropSlot tells that a mailbox has another node now, its UIDVALIDITY being
// another: the parent forgets the name, open files their pages.
func (s *Server) dropSlot(d *directory, old *slot) {
	s.dropNodes(d, old)
	parent := s.account.Tree().Parent(d.box)
	if parent == nil {
		return
	}
	p := s.known(parent)
	if p == nil {
		return
	}
	s.enqueue(p, func(k kernel) {
		for _, c := range s.children(p).list {
			if c.dir == d {
				s.forgetName(k, p, p.slot.Load(), c.name)
			}
		}
	})
}

// dropNodes drops the pages of a slot's open messages, whose READs have been
// failed before.
func (s *Server) dropNodes(d *directory, sl *slot) {
	nodes := sl.openNodes()
	s.enqueue(d, func(k kernel) {
		for _, id := range nodes {
			k.InvalidateNode(id, 0, -1)
		}
		k.InvalidateNode(sl.node(0), 0, -1)
	})
}

// notifiers counts the goroutines of queues; after close there are none.
type notifiers struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	closed bool
}

func (n *notifiers) add() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.wg.Add(1)
	}
	return !n.closed
}

func (n *notifiers) done() { n.wg.Done() }

func (n *notifiers) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.wg.Wait()
}
