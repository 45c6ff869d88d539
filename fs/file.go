package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"bazil.org/fuse"
)

// Handles say what RELEASE ends. Text and state belong to the file, not to them.
const (
	handleRead fuse.HandleID = iota // of a message: no FLUSH
	handleText                      // of a local text, open for reading
	handleWrite
)

// lookupLocal answers LOOKUP of a file. edits.mu is held.
func (s *Server) lookupLocal(l *local) fuse.LookupResponse {
	e := s.edits
	if l.node == 0 {
		e.know(l, s.generated.next())
	}
	if l.node>>32 == 0 {
		e.given[l.node]++
	}
	// The kernel asks at each use: the name may mean a message at any moment.
	return fuse.LookupResponse{Node: l.node, Attr: s.localAttr(l)}
}

// localAttr is what stat says of a file whose text is local. edits.mu is held.
func (s *Server) localAttr(l *local) fuse.Attr {
	date := l.wrote
	if !l.file.date.IsZero() {
		date = l.file.date
	}
	var size uint64
	if d := l.size; d != nil && l.file.whole {
		size = uint64(d())
	}
	if l.inode == 0 {
		l.inode = s.newInode(l.file.id)
	}
	a := s.fileAttr(l.inode, size, date)
	l.owner.apply(&a)
	return a
}

// apply shows what chmod and chown have said.
func (o owner) apply(a *fuse.Attr) {
	if o.set {
		a.Mode = a.Mode&^os.ModePerm | os.FileMode(o.mode)
		a.Uid, a.Gid = o.uid, o.gid
	}
}

// ownerOf gives what was said of a message. Fast where nothing was.
func (s *Server) ownerOf(id fuse.NodeID) owner {
	e := s.edits
	if e == nil {
		return owner{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.owners[id]
}

// openLocal answers OPEN of a local text for reading.
func (s *Server) openLocal(l *local) (fuse.OpenResponse, bool) {
	e := s.edits
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.file.at.name == "" || e.locals[l.file] != l {
		return fuse.OpenResponse{}, false
	}
	l.file.opens++
	return fuse.OpenResponse{Handle: handleText, Flags: fuse.OpenKeepCache | noFlush}, true
}

// openForWriting makes of a message a file, or opens the file once more.
func (s *Server) openForWriting(id fuse.NodeID) (fuse.OpenResponse, error) {
	at, d, err := s.placeOf(id)
	if err != nil {
		return fuse.OpenResponse{}, err
	}
	e := s.edits
	e.mu.Lock()
	s.look(d)
	f, err := e.names.open(at)
	if err == nil {
		l := e.list(f)
		if l.timer != nil {
			l.timer.Stop()
		}
		if e.nodes[id] != l {
			if len(l.nodes) == 0 {
				l.inode = s.inodeOf(id)
			}
			l.owner = e.owners[id]
			l.copied = l.copied || f.arrived // unless it is cut
			e.know(l, id)
		}
	}
	owed := s.owed()
	e.mu.Unlock()
	owed()
	return fuse.OpenResponse{Handle: handleWrite, Flags: fuse.OpenKeepCache}, err
}

// inodeOf is the number that the kernel has for a node that is no file any more, or was none; 0:
// nobody knows. edits.mu is held.
func (s *Server) inodeOf(id fuse.NodeID) uint64 {
	if was := s.edits.nodes[id]; was != nil {
		return was.inode
	}
	attr, _ := s.plainAttr(id)
	return attr.Inode
}

func (s *Server) serveOpenForWriting(r *fuse.OpenRequest) {
	if s.edits == nil || s.generated.find(r.Node) != nil {
		s.fail(r, syscall.EROFS)
		return
	}
	answer := func() (func(), error) {
		resp, err := s.openForWriting(r.Node)
		return func() { r.Respond(&resp) }, err
	}
	l, id := s.resolve(r.Node)
	if l != nil {
		reply, err := answer()
		if err != nil {
			s.fail(r, err)
			return
		}
		reply()
		return
	}
	if _, _, _, err := s.openable(id, fuse.OpenReadOnly); err != nil && err != errWait {
		s.fail(r, err)
		return
	}
	// The length must be the true one: >> writes at the end.
	s.wait(r, s.newWaiting(id), func(ctx context.Context) (func(), error) {
		if _, err := s.openWait(ctx, id, fuse.OpenReadOnly); err != nil {
			return nil, err
		}
		return answer()
	})
}

// roomFor gives the directory in which a file of that name may be made.
func (s *Server) roomFor(parent fuse.NodeID, name string) (*directory, error) {
	d, err := s.changeable(parent)
	switch {
	case err != nil:
	case len(name) > maxName:
		err = syscall.ENAMETOOLONG
	case !s.holdsMail(d), s.hasSequences(d, name):
		err = syscall.EPERM
	case s.kid(d, name) != nil:
		err = syscall.EEXIST
	}
	return d, err
}

func (s *Server) serveCreate(r *fuse.CreateRequest) {
	d, err := s.roomFor(r.Node, r.Name)
	if err != nil {
		s.fail(r, err)
		return
	}
	d.hold()
	defer s.release(d)
	resp, err := s.create(d, r.Name)
	if err != nil {
		s.fail(r, err)
		return
	}
	r.Respond(&fuse.CreateResponse{LookupResponse: resp, OpenResponse: fuse.OpenResponse{Handle: handleWrite, Flags: fuse.OpenKeepCache}})
}

// create makes an empty file. Its text is in the spool from now on.
func (s *Server) create(d *directory, name string) (fuse.LookupResponse, error) {
	e := s.edits
	text, err := e.w.NewText(d.box, name, s.naming.isScratch(name))
	if err != nil {
		return fuse.LookupResponse{}, err
	}
	e.mu.Lock()
	s.look(d)
	f, err := e.names.create(d.place(name))
	var resp fuse.LookupResponse
	if err == nil {
		l := e.list(f)
		l.setText(text)
		e.drafts[text] = l
		resp = s.lookupLocal(l)
	}
	owed := s.owed()
	e.mu.Unlock()
	owed()
	if err != nil {
		text.Discard()
		text.Close()
	}
	return resp, err
}

// setText gives a file another text. edits.mu is held; so is l.text, unless nobody knows l yet.
func (l *local) setText(d draft) {
	l.draft = d
	l.size = nil
	if d != nil {
		l.size = d.Size
	}
}

// serveMknod makes an empty file, as CREATE does, and opens it not: for who writes files without
// CREATE.
func (s *Server) serveMknod(r *fuse.MknodRequest) {
	d, err := s.roomFor(r.Node, r.Name)
	if err == nil && !r.Mode.IsRegular() {
		err = syscall.EPERM
	}
	if err != nil {
		s.fail(r, err)
		return
	}
	d.hold()
	defer s.release(d)
	resp, err := s.create(d, r.Name)
	if err != nil {
		s.fail(r, err)
		return
	}
	s.closeFile(resp.Node)
	r.Respond(&resp)
}

func (s *Server) serveWrite(r *fuse.WriteRequest) {
	l := s.edits.find(r.Node)
	if l == nil {
		s.fail(r, s.refused(errStale))
		return
	}
	data := r.Data
	s.filled(r, l, func() (func(), error) {
		n, err := s.writeAt(l, data, r.Offset)
		return func() { r.Respond(&fuse.WriteResponse{Size: n}) }, err
	}, func() { data = append([]byte(nil), data...) })
}

// filled does something to the text of a file, which is fetched first where it is with the
// server only. keep is called before waiting: the request's buffer is not ours any longer.
func (s *Server) filled(r fuse.Request, l *local, do func() (func(), error), keep func()) {
	e := s.edits
	e.mu.Lock()
	whole := l.file.whole
	e.mu.Unlock()
	if whole {
		reply, err := do()
		if err != nil {
			s.fail(r, err)
			return
		}
		reply()
		return
	}
	keep()
	s.changing(r, nil, func() (func(), error) {
		c := s.start(nil, func(n *names) *change { return n.fill(l.file) })
		if err := s.carry(c); err != nil {
			return nil, err
		}
		return do()
	})
}

func (s *Server) writeAt(l *local, p []byte, off int64) (int, error) {
	l.text.Lock()
	defer l.text.Unlock()
	if l.draft == nil {
		return 0, errTextGone
	}
	n, err := l.draft.WriteAt(p, off)
	if n > 0 || err == nil {
		s.written(l)
	}
	return n, err
}

// written tells names of a change. l.text is held.
func (s *Server) written(l *local) {
	e := s.edits
	kept := l.kept
	l.kept = nil
	e.mu.Lock()
	e.names.written(l.file)
	l.wrote = time.Now()
	e.mu.Unlock()
	if kept != nil {
		// What was cut is not wanted any more, as there is another text.
		kept.Discard()
		kept.Close()
	}
	s.behind(func() {
		e.mu.Lock()
		owed := s.owed()
		e.mu.Unlock()
		owed()
	}, l)
}

// behind does what needs l.text, when it is not held.
func (s *Server) behind(f func(), l *local) {
	e := s.edits
	e.mu.Lock()
	due := len(e.names.pending.noted)+len(e.names.pending.spent)+len(e.names.pending.changed) > 0
	e.mu.Unlock()
	if due {
		l.text.Unlock()
		f()
		l.text.Lock()
	}
}

// resize is ftruncate.
func (s *Server) resize(l *local, size int64) error {
	l.text.Lock()
	defer l.text.Unlock()
	e := s.edits
	if size > 0 {
		if l.draft == nil {
			return errTextGone
		}
		if l.draft.Size() == size {
			return nil
		}
		if err := l.draft.Truncate(size); err != nil {
			return err
		}
		s.written(l)
		return nil
	}
	if l.draft != nil && l.draft.Size() == 0 {
		return nil
	}
	e.mu.Lock()
	at, scratch := l.file.at, l.file.scratch
	e.mu.Unlock()
	d := s.dirOf(at.box)
	if d == nil {
		return errStale
	}
	name := at.name
	if name == "" {
		name = "deleted"
	}
	// The text that was there stays until there is another.
	text, err := e.w.NewText(d.box, name, scratch || at.name == "")
	if err != nil {
		return err
	}
	old := l.draft
	e.mu.Lock()
	keep := e.names.truncated(l.file)
	l.copied = false
	l.wrote = time.Now()
	delete(e.drafts, old)
	l.setText(text)
	e.drafts[text] = l
	arrived := l.file.arrived && !keep
	e.mu.Unlock()
	switch {
	case old == nil:
	case keep:
		l.kept = old
	default:
		if !arrived {
			old.Discard()
		}
		old.Close()
	}
	s.behind(func() {
		e.mu.Lock()
		owed := s.owed()
		e.mu.Unlock()
		owed()
	}, l)
	return nil
}

// readLocal reads a local text.
func (s *Server) readLocal(l *local, p []byte, off int64) (int, error) {
	l.text.Lock()
	text := l.draft
	l.text.Unlock()
	if text == nil {
		return 0, errStale
	}
	n, err := text.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// serveFlush commits what was written, and says what came of it.
func (s *Server) serveFlush(r fuse.Request, reply func()) {
	l := s.edits.find(r.Hdr().Node)
	if l == nil {
		reply()
		return
	}
	e := s.edits
	e.mu.Lock()
	d := s.dirOf(l.file.at.box)
	e.mu.Unlock()
	if d == nil {
		reply()
		return
	}
	c := s.start([]*directory{d}, func(n *names) *change { return n.commit(l.file) })
	if c.step.kind == stepOver {
		if c.err != nil {
			s.fail(r, c.err)
			return
		}
		reply()
		return
	}
	s.changing(r, nil, func() (func(), error) { return reply, s.carry(c) })
}

// closeFile ends a handle that is counted.
func (s *Server) closeFile(id fuse.NodeID) {
	e := s.edits
	l := e.find(id)
	if l == nil {
		return
	}
	l.text.Lock()
	e.mu.Lock()
	if d := s.dirOf(l.file.at.box); d != nil {
		s.look(d)
	}
	at := l.file.at
	done := e.names.close(l.file)
	last := l.file.opens <= 0
	var dropped draft
	if done.restore && l.kept != nil {
		dropped = l.draft
		delete(e.drafts, dropped)
		l.setText(l.kept)
		l.kept = nil
		e.drafts[l.draft] = l
	}
	if last {
		s.keepOwner(l)
		if l.file.at.name == "" {
			e.closeNodes(l)
		}
	}
	owed := s.owed()
	e.mu.Unlock()
	l.text.Unlock()
	if dropped != nil {
		dropped.Discard()
		dropped.Close()
	}
	owed()
	if last {
		if d := s.dirOf(at.box); d != nil && at.name != "" {
			// The name means the message; what the kernel has of the text may have other line ends.
			s.enqueue(d, func(k kernel) {
				k.InvalidateEntry(d.slot.Load().node(0), at.name)
				k.InvalidateNode(id, 0, -1)
			})
		}
	}
	s.finish(done.commit)
}
