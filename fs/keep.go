package fs

import "time"

// recommitEvery is how often a text is tried again that could not even be compared.
const recommitEvery = 15 * time.Second

// keepText makes a text safe that the server could not be asked about: a program is told that
// it is not there, package cache has not been told that it is to be, and it is to outlive
// the mount, as it is, and to be tried again.
func (s *Server) keepText(f *file) {
	e := s.edits
	e.mu.Lock()
	l := e.locals[f]
	e.mu.Unlock()
	if l == nil {
		return
	}
	l.text.Lock()
	text := l.draft
	l.text.Unlock()
	if text == nil {
		return
	}
	if err := text.Sync(); err != nil {
		s.log.Error("a text that the server does not have may be lost if the machine stops", "err", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.again == nil {
		l.again = time.AfterFunc(recommitEvery, func() { s.recommit(l) })
	}
}

// recommit tries once more to send what is owed of a file.
func (s *Server) recommit(l *local) {
	e := s.edits
	e.mu.Lock()
	l.again = nil
	f := l.file
	d := s.dirOf(f.at.box)
	if e.locals[f] != l || d == nil || !f.owed || !f.dirty() {
		e.mu.Unlock()
		return
	}
	s.look(d)
	c := e.names.commit(f)
	owed := s.owed()
	e.mu.Unlock()
	owed()
	s.finish(c)
}
