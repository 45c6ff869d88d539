package fs

import (
	"errors"

	"imapfs/cache"
)

var errOpen = errors.New("a program has it open, or it is just being sent (try again behind that)")

// Discard ends for ever the text that has this ID (cache.Pending) and is a file of the
// mount: its name goes, and where it was an edit the message is as the server has it.
// False: it is no file of the mount. Busy: a program has it open, or it is being sent.
func (s *Server) Discard(id string) (bool, error) {
	e := s.edits
	if e == nil {
		return false, nil
	}
	e.mu.Lock()
	var l *local
	for d, of := range e.drafts {
		if named, ok := d.(interface{ ID() string }); ok && named.ID() == id {
			l = of
		}
	}
	if l == nil || l.file.at.name == "" {
		e.mu.Unlock()
		return false, nil
	}
	ended := e.names.discard(l.file)
	owed := s.owed()
	e.mu.Unlock()
	owed()
	if !ended {
		return true, &cache.Error{Op: "discard", Kind: cache.Busy, Err: errOpen}
	}
	return true, nil
}

// discard ends a file whose text is not wanted any more; its base stays. False: it is in use.
func (n *names) discard(f *file) bool {
	if f.opens > 0 || n.claims[f] != nil {
		return false
	}
	n.remove(f)
	return true
}
