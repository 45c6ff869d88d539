package fs

import (
	"context"
	"strings"
)

// readopt lists what an earlier mount has left in the spool, and has what is mail sent.
// It is called when the mount serves.
func (s *Server) readopt(ctx context.Context) {
	e := s.edits
	if e == nil {
		return
	}
	for _, text := range e.w.Texts() {
		if !s.readoptText(ctx, text) {
			text.Resume() // imapfs pending has it
		}
	}
}

// readoptText does it for one text; false: nothing here can list it.
func (s *Server) readoptText(ctx context.Context, text draft) bool {
	box, name := text.Place()
	if box == nil || ctx.Err() != nil {
		return false
	}
	d := s.reach(box)
	if d == nil || !s.holdsMail(d) {
		return false
	}
	if err := text.Open(); err != nil {
		return false
	}
	name = strings.ReplaceAll(name, "/", "_")
	if s.naming.isScratch(name) {
		s.adopt(d, name, text, ref{})
		text.Resume() // it was to have another name, and may have arrived
		return true
	}
	return s.waits.spawn(func() {
		d.box.Load(ctx) // if that fails a name may be taken that a message has
		s.adopt(d, name, text, s.original(d, text))
		text.Resume() // adopt has nothing sent that may have arrived
	})
}

// original gives the message of a mailbox that a text takes the place of; none: it is gone,
// or the mailbox is not known, or the text is not whole: then it is nobody's edit any more.
func (s *Server) original(d *directory, text draft) ref {
	if !text.Whole() {
		return ref{}
	}
	for _, r := range text.Replaces() {
		if r.box == d.box {
			return ref{boxID(d.number), r.validity, r.uid}
		}
	}
	return ref{}
}

// adopt lists one text, as an edit of base if that stands, and has it sent if it is mail.
func (s *Server) adopt(d *directory, name string, text draft, base ref) {
	e := s.edits
	e.mu.Lock()
	s.look(d)
	f := e.names.adopt(orphan{at: d.place(name), base: base})
	l := e.list(f)
	f.empty = text.Size() == 0
	f.date = text.Date()
	l.copied = base.uid != 0 && f.base == base
	l.setText(text)
	e.drafts[text] = l
	c := finished(nil)
	if !f.scratch && !f.empty {
		c = e.names.commit(f)
	}
	owed := s.owed()
	e.mu.Unlock()
	owed()
	s.finish(c)
}

// reach gives the directory of a mailbox, also where the kernel has not heard of it.
func (s *Server) reach(box mailbox) *directory {
	if d := s.known(box); d != nil {
		return d
	}
	parent := s.account.Tree().Parent(box)
	if parent == nil {
		return nil
	}
	p := s.reach(parent)
	if p == nil {
		return nil
	}
	s.children(p)
	return s.known(box)
}
