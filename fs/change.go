package fs

import (
	"context"
	"errors"
	"syscall"
	"time"

	"bazil.org/fuse"

	"imapfs/cache"
)

// spawn runs f in a goroutine that close waits for; false: the mount has ended.
func (ws *waits) spawn(f func()) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.off {
		return false
	}
	ws.wg.Add(1)
	go func() { // joined by waits.close
		defer ws.wg.Done()
		f()
	}()
	return true
}

// changeLimit is how long a change may take as long as its octets move: package cache bounds
// the silence, and each command that sends no text, by Options.Timeout.
const changeLimit = time.Hour

// changeGrace is how long what is being changed may still end when the program that asked has had
// a signal. The runtime of Go sends signals to its own threads, and calls again what has
// answered EINTR: its mkdir then found the mailbox that it had just made, its unlink nothing.
// Of 300 os.Rename and os.Remove each beside a busy collector one to two failed so.
const changeGrace = time.Second

// changing answers a request that changes something. work is done to its end, also
// when the program that asked is interrupted, or its deadline is over. Until the kernel
// has its answer it holds the directories, so their news is held back.
func (s *Server) changing(r fuse.Request, dirs []*directory, work func() (reply func(), err error)) {
	for _, d := range dirs {
		d.hold()
	}
	w := s.newWaiting(r.Hdr().Node)
	w.limit, w.grace = changeLimit, changeGrace
	w.then = func() {
		for _, d := range dirs {
			s.release(d)
		}
	}
	type outcome struct {
		reply func()
		err   error
	}
	s.wait(r, w, func(ctx context.Context) (func(), error) {
		done := make(chan outcome, 1)
		ok := s.waits.spawn(func() {
			reply, err := work()
			if err != nil && ctx.Err() != nil {
				s.causes.report(opName(r), err)
			}
			done <- outcome{reply, err}
		})
		if !ok {
			return nil, syscall.ENOTCONN
		}
		select {
		case o := <-done:
			return o.reply, o.err
		case <-ctx.Done():
			return nil, syscall.EINTR // nobody hears it
		}
	})
}

// change answers a request with what comes of a change: at once where nothing needs doing.
func (s *Server) change(r fuse.Request, dirs []*directory, reply func(), begin func(n *names) *change) {
	for _, d := range dirs {
		d.hold()
	}
	c := s.start(dirs, begin)
	if c.step.kind == stepOver {
		if c.err != nil {
			s.fail(r, c.err)
		} else {
			reply()
		}
		for _, d := range dirs {
			s.release(d)
		}
		return
	}
	s.changing(r, dirs, func() (func(), error) { return reply, s.carry(c) })
	for _, d := range dirs {
		s.release(d)
	}
}

// changeable gives the directory of a node, where it can be changed.
func (s *Server) changeable(id fuse.NodeID) (*directory, error) {
	if s.edits == nil {
		return nil, syscall.EROFS
	}
	if s.generated.find(id) != nil || s.edits.find(id) != nil {
		return nil, syscall.ENOTDIR
	}
	sl, uid, err := s.node(id)
	switch {
	case err != nil:
		return nil, err
	case uid != 0:
		return nil, syscall.ENOTDIR
	case sl.over():
		return nil, errStale
	}
	return sl.dir, nil
}

// place is a name in a directory.
func (d *directory) place(name string) place { return place{boxID(d.number), name} }

func (s *Server) serveRemove(r *fuse.RemoveRequest) {
	d, err := s.changeable(r.Node)
	if err != nil {
		s.fail(r, err)
		return
	}
	if r.Dir {
		s.serveRmdir(r, d)
		return
	}
	if s.hasSequences(d, r.Name) {
		s.fail(r, syscall.EPERM)
		return
	}
	s.change(r, []*directory{d}, func() { r.Respond() }, func(n *names) *change { return n.unlink(d.place(r.Name)) })
}

// kid gives the mailbox that a name means in a directory; nil if it means none.
func (s *Server) kid(d *directory, name string) *directory {
	c := s.children(d)
	kid := c.index[name]
	if kid == nil {
		if listed, ok := s.naming.alias(name, d.top); ok {
			kid = c.index[listed]
		}
	}
	return kid
}

// holdsFiles reports whether a mailbox has files that only this mount knows.
func (s *Server) holdsFiles(d *directory) bool {
	e := s.edits
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.names.box(boxID(d.number)).names {
		if x.file != nil {
			return true
		}
	}
	return false
}

func (s *Server) serveRmdir(r *fuse.RemoveRequest, d *directory) {
	kid := s.kid(d, r.Name)
	switch {
	case kid == nil:
		s.fail(r, syscall.ENOENT)
		return
	case s.holdsFiles(kid):
		s.fail(r, syscall.ENOTEMPTY)
		return
	}
	s.changing(r, []*directory{d, kid}, func() (func(), error) {
		return func() { r.Respond() }, s.edits.w.RemoveMailbox(s.ctx, kid.box)
	})
}

// levelOf is the decoded name of a mailbox that is to be called name in a directory.
func (s *Server) levelOf(d *directory, name string) (string, error) {
	if len(name) > maxName {
		return "", syscall.ENAMETOOLONG
	}
	if name[0] == '.' || s.naming.isScratch(name) {
		return "", syscall.EPERM // what programs want for themselves is no mailbox
	}
	level := unescapeName(name)
	if listed := s.naming.mailboxName(level, d.top); listed != name {
		if plain, ok := s.naming.alias(name, d.top); !ok || plain != listed {
			return "", syscall.EINVAL // it would be listed under another name
		}
	}
	return level, nil
}

func (s *Server) serveMkdir(r *fuse.MkdirRequest) {
	d, err := s.changeable(r.Node)
	var level string
	if err == nil {
		level, err = s.levelOf(d, r.Name)
	}
	if err != nil {
		s.fail(r, err)
		return
	}
	s.changing(r, []*directory{d}, func() (func(), error) {
		box, err := s.edits.w.CreateMailbox(s.ctx, d.box, level)
		if err != nil {
			return nil, err
		}
		s.children(d)
		kid := s.known(box)
		if kid == nil {
			return nil, errStale
		}
		resp := fuse.MkdirResponse{LookupResponse: fuse.LookupResponse{
			Node: s.current(kid).node(0), EntryValid: forever, Attr: s.directoryAttr(kid)}}
		return func() { r.Respond(&resp) }, nil
	})
}

func (s *Server) serveRename(r *fuse.RenameRequest) {
	from, err := s.changeable(r.Node)
	var to *directory
	if err == nil {
		to, err = s.changeable(r.NewDir)
	}
	if err == nil && len(r.NewName) > maxName {
		err = syscall.ENAMETOOLONG
	}
	if err == nil && (s.hasSequences(from, r.OldName) || s.hasSequences(to, r.NewName)) {
		err = syscall.EPERM
	}
	if err != nil {
		s.fail(r, err)
		return
	}
	dirs := []*directory{from}
	if to != from {
		dirs = append(dirs, to)
	}
	e := s.edits
	e.mu.Lock()
	s.look(from)
	kind := foundNone
	if !from.top {
		kind = e.names.lookup(from.place(r.OldName)).kind
	}
	e.mu.Unlock()
	if kind == foundNone {
		if kid := s.kid(from, r.OldName); kid != nil {
			s.renameMailbox(r, dirs, kid, to)
			return
		}
	}
	if !s.holdsMail(to) {
		s.fail(r, syscall.EPERM)
		return
	}
	reply := func() {
		if sl, uid, ok := s.messageNamed(from, r.OldName); ok {
			// What the kernel keeps under the new name is asked about anew.
			s.kernel.InvalidateNode(sl.node(uid), -1, 0)
		}
		r.Respond()
	}
	s.change(r, dirs, reply, func(n *names) *change { return n.rename(from.place(r.OldName), to.place(r.NewName)) })
}

// messageNamed gives the node that the kernel may have under a message's number.
func (s *Server) messageNamed(d *directory, name string) (*slot, cache.UID, bool) {
	uid, ok := s.naming.parseMessage(name)
	return d.slot.Load(), uid, ok
}

// holdsMail says that messages can be in a directory.
func (s *Server) holdsMail(d *directory) bool { return !d.top && d.box.Selectable() }

func (s *Server) renameMailbox(r *fuse.RenameRequest, dirs []*directory, kid, to *directory) {
	level, err := s.levelOf(to, r.NewName)
	if err == nil {
		if other := s.kid(to, r.NewName); other != nil && other != kid {
			err = syscall.EEXIST
		}
	}
	if err != nil {
		s.fail(r, err)
		return
	}
	s.changing(r, dirs, func() (func(), error) {
		err := s.edits.w.RenameMailbox(s.ctx, kid.box, to.box, level)
		return func() { r.Respond() }, err
	})
}

func (s *Server) serveLink(r *fuse.LinkRequest) {
	to, err := s.changeable(r.Node)
	if err == nil && len(r.NewName) > maxName {
		err = syscall.ENAMETOOLONG
	}
	if err == nil && !s.holdsMail(to) {
		err = syscall.EPERM
	}
	var from place
	var d *directory
	if err == nil {
		from, d, err = s.placeOf(r.OldNode)
	}
	if err != nil {
		s.fail(r, err)
		return
	}
	dirs := []*directory{to}
	if d != to {
		dirs = append(dirs, d)
	}
	s.changing(r, dirs, func() (func(), error) {
		c := s.start(dirs, func(n *names) *change { return n.link(from, to.place(r.NewName)) })
		if err := s.carry(c); err != nil {
			return nil, err
		}
		resp, err := s.lookup(r.Node, r.NewName)
		if err == errWait {
			if err = s.load(s.ctx, r.Node); err == nil {
				resp, err = s.lookup(r.Node, r.NewName)
			}
		}
		if err == nil && resp.Node == 0 {
			err = errUnseen
		}
		return func() { r.Respond(&resp) }, loaded(err)
	})
}

// placeOf gives the name that a node is listed under.
func (s *Server) placeOf(id fuse.NodeID) (place, *directory, error) {
	e := s.edits
	if s.generated.find(id) != nil {
		return place{}, nil, syscall.EPERM
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.nodes[id]; l != nil {
		if at := l.file.at; at.name != "" {
			return at, s.dirOf(at.box), nil
		}
		id = s.messageNode(l.file.base)
	}
	sl, uid, err := s.node(id)
	switch {
	case err != nil || id == 0:
		return place{}, nil, errStale
	case uid == 0:
		return place{}, nil, syscall.EPERM
	case sl.over():
		return place{}, nil, errStale
	}
	s.look(sl.dir)
	box := boxID(sl.dir.number)
	name, listed := e.names.nameOf(box, uid)
	if !listed {
		return e.names.box(box).behind[uid].at, sl.dir, nil
	}
	return place{box, name}, sl.dir, nil
}

// errUnseen: what was just made is not to be seen yet.
var errUnseen = &cache.Error{Op: "look up", Kind: cache.IO, Err: errors.New("the server has not said what the copy is called (list the directory)")}
