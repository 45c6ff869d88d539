package fs

import (
	"context"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"bazil.org/fuse"
)

// serveSetattr is chmod, chown, utimens and truncate.
func (s *Server) serveSetattr(r *fuse.SetattrRequest) {
	if s.edits == nil {
		s.fail(r, syscall.EROFS)
		return
	}
	if s.generated.find(r.Node) != nil {
		s.fail(r, syscall.EPERM)
		return
	}
	reply := func() (func(), error) {
		attr, err := s.getattr(r.Node)
		if err != nil {
			return nil, err
		}
		return func() { r.Respond(&fuse.SetattrResponse{Attr: attr}) }, nil
	}
	l := s.edits.find(r.Node)
	if l == nil {
		if _, uid, err := s.node(r.Node); err != nil {
			s.fail(r, err)
			return
		} else if uid == 0 {
			s.setDirectory(r, reply)
			return
		}
	}
	if r.Valid.Size() {
		if l == nil || !s.isOpen(l) {
			s.fail(r, syscall.EPERM) // truncate(2): nothing is replaced by zero octets
			return
		}
		resize := func() (func(), error) {
			if err := s.resize(l, int64(r.Size)); err != nil {
				return nil, err
			}
			s.remember(r, l)
			return reply()
		}
		if r.Size == 0 {
			answer, err := resize()
			if err != nil {
				s.fail(r, err)
				return
			}
			answer()
			return
		}
		s.filled(r, l, resize, func() {})
		return
	}
	s.remember(r, l)
	if _, err := s.getattr(r.Node); err == errWait {
		s.changing(r, nil, func() (func(), error) {
			if err := s.loadOf(s.ctx, r.Node); err != nil {
				return nil, err
			}
			c, sent := s.dated(r, l)
			return s.carryDate(r, c, sent)
		})
		return
	}
	c, sent := s.dated(r, l)
	if c.step.kind == stepOver {
		err := c.err
		var answer func()
		if err == nil {
			answer, err = reply()
		}
		if err != nil {
			s.fail(r, err)
			return
		}
		answer()
		return
	}
	s.changing(r, nil, func() (func(), error) { return s.carryDate(r, c, sent) })
}

// carryDate carries out what dated has begun.
func (s *Server) carryDate(r *fuse.SetattrRequest, c *change, sent *file) (reply func(), err error) {
	if err := s.carry(c); err != nil {
		return nil, err
	}
	// The message has another UID now, and the name leads to it. The kernel would take ESTALE
	// for a reason to try once more, and the program, where that is said twice, for a failure.
	id := r.Node
	if sent != nil {
		s.edits.mu.Lock()
		id = s.messageNode(sent.base)
		s.edits.mu.Unlock()
	}
	attr, err := s.getattrWait(s.ctx, id)
	return func() { r.Respond(&fuse.SetattrResponse{Attr: attr}) }, err
}

func (s *Server) isOpen(l *local) bool {
	s.edits.mu.Lock()
	defer s.edits.mu.Unlock()
	return l.file.opens > 0
}

// setDirectory answers for a mailbox: its rights are shown, its times are its own.
func (s *Server) setDirectory(r *fuse.SetattrRequest, reply func() (func(), error)) {
	s.remember(r, nil)
	answer, err := reply()
	if err != nil {
		s.fail(r, err)
		return
	}
	answer()
}

// remember keeps what chmod and chown say.
func (s *Server) remember(r *fuse.SetattrRequest, l *local) {
	if !r.Valid.Mode() && !r.Valid.Uid() && !r.Valid.Gid() {
		return
	}
	e := s.edits
	e.mu.Lock()
	defer e.mu.Unlock()
	id := r.Node
	o := e.owners[id]
	if l != nil {
		o = l.owner
		id = s.messageNode(l.file.base)
	}
	if !o.set {
		mode := s.fileMode
		if l == nil && uint32(id) == 0 || id == fuse.RootID {
			mode = s.dirMode
		}
		o = owner{true, uint32(mode), s.options.UID, s.options.GID}
	}
	if r.Valid.Mode() {
		o.mode = uint32(r.Mode & os.ModePerm)
	}
	if r.Valid.Uid() {
		o.uid = r.Uid
	}
	if r.Valid.Gid() {
		o.gid = r.Gid
	}
	if l != nil {
		l.owner = o
	}
	if id != 0 {
		e.owners[id] = o
	}
}

// dated is utimens. sent is the file whose message the node is, where no file is listed for it:
// it has another one behind the change.
func (s *Server) dated(r *fuse.SetattrRequest, l *local) (c *change, sent *file) {
	if !r.Valid.Mtime() && !r.Valid.MtimeNow() {
		return finished(nil), nil
	}
	t := r.Mtime
	if r.Valid.MtimeNow() {
		t = time.Now()
	}
	t = t.Truncate(time.Second)
	e := s.edits
	e.mu.Lock()
	settled, at := false, (*directory)(nil)
	if l != nil {
		settled, at = l.file.opens <= 0 && l.file.at.name == "", s.dirOf(l.file.at.box)
	}
	e.mu.Unlock()
	if l != nil && !settled {
		if at == nil {
			return finished(nil), nil
		}
		return s.start([]*directory{at}, func(n *names) *change {
			if l.file.date.Equal(t) {
				return finished(nil)
			}
			if !l.file.whole { // nothing was written
				return s.datedBase(n, l, t)
			}
			return n.dated(l.file, t)
		}), nil
	}
	id := r.Node
	if l != nil {
		e.mu.Lock()
		id = s.messageNode(l.file.base)
		e.mu.Unlock()
	}
	sl, b, m, err := s.message(id)
	switch {
	case err != nil:
		return finished(err), nil
	case m.Date == t.Unix():
		return finished(nil), nil
	}
	d := sl.dir
	c = s.start([]*directory{d}, func(n *names) *change {
		of := ref{boxID(d.number), b.validity, m.UID}
		sent = n.recent[of]
		return n.datedMessage(of, t)
	})
	return c, sent
}

// datedBase is utimens of a file that says what its message does.
func (s *Server) datedBase(n *names, l *local, t time.Time) *change {
	if d := s.dirOf(l.file.base.box); d != nil {
		if m, ok := find(d.box.Snapshot(), l.file.base.uid); ok && m.Date == t.Unix() {
			return finished(nil)
		}
	}
	if l.file.ours {
		return n.dated(l.file, t)
	}
	return finished(syscall.EPERM)
}

// serveSetxattr sets the flags of a message: the difference to what it has.
func (s *Server) serveSetxattr(r *fuse.SetxattrRequest) {
	s.setFlags(r, r.Name, strings.Fields(string(r.Xattr)), func() { r.Respond() })
}

func (s *Server) serveRemovexattr(r *fuse.RemovexattrRequest) {
	s.setFlags(r, r.Name, nil, func() { r.Respond() })
}

func (s *Server) setFlags(r fuse.Request, name string, flags []string, reply func()) {
	id := r.Hdr().Node
	switch {
	case s.edits == nil || !strings.HasPrefix(name, xattrPrefix):
		s.fail(r, setxattr(name))
		return
	case name != xattrFlags || s.generated.find(id) != nil:
		s.fail(r, syscall.EPERM)
		return
	}
	if l, base := s.resolve(id); l != nil {
		s.flagText(r, l, flags, reply)
		return
	} else if base != 0 {
		id = base
	}
	s.changing(r, nil, func() (func(), error) {
		sl, b, m, err := s.message(id)
		if err == errWait {
			if err := s.load(s.ctx, id); err != nil {
				return nil, err
			}
			sl, b, m, err = s.message(id)
		}
		if err != nil {
			return nil, loaded(err)
		}
		add, remove := difference(m.Flags, flags)
		if len(add)+len(remove) == 0 {
			return reply, nil
		}
		return reply, s.edits.w.SetFlags(s.ctx, sl.dir.box, b.validity, m.UID, add, remove)
	})
}

// difference says which flags are to be added and which taken away.
func difference(was, is []string) (add, remove []string) {
	in := func(all []string, f string) bool {
		return slices.ContainsFunc(all, func(x string) bool { return strings.EqualFold(x, f) })
	}
	for _, f := range is {
		if !in(was, f) && !in(add, f) {
			add = append(add, f)
		}
	}
	for _, f := range was {
		if !in(is, f) {
			remove = append(remove, f)
		}
	}
	return add, remove
}

// flagText gives a local text flags: for its APPEND, or of the message that it has become.
func (s *Server) flagText(r fuse.Request, l *local, flags []string, reply func()) {
	l.text.Lock()
	text := l.draft
	l.text.Unlock()
	if text == nil {
		s.fail(r, errStale)
		return
	}
	e := s.edits
	e.mu.Lock()
	base, dirty := l.file.base, l.file.dirty()
	d := s.dirOf(base.box)
	var has []string
	stands := d != nil && e.names.stands(base)
	if stands {
		m, _ := find(d.box.Snapshot(), base.uid)
		has = m.Flags
	}
	l.flagged = l.flagged || dirty
	e.mu.Unlock()
	if dirty {
		if err := text.SetFlags(flags); err == nil || !stands {
			if err != nil {
				s.fail(r, err)
				return
			}
			reply()
			return
		}
	}
	if !stands {
		s.fail(r, syscall.EBUSY)
		return
	}
	add, remove := difference(has, flags)
	s.changing(r, nil, func() (func(), error) {
		return reply, s.edits.w.SetFlags(context.WithoutCancel(s.ctx), d.box, base.validity, base.uid, add, remove)
	})
}
