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
		box, name := text.Place()
		if box == nil || ctx.Err() != nil {
			continue // imapfs pending has it
		}
		d := s.reach(box)
		if d == nil || !s.holdsMail(d) {
			continue
		}
		if err := text.Open(); err != nil {
			continue
		}
		name = strings.ReplaceAll(name, "/", "_")
		e.mu.Lock()
		s.look(d)
		f := e.names.adopt(orphan{at: d.place(name)})
		l := e.list(f)
		f.empty = text.Size() == 0
		f.date = text.Date()
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
