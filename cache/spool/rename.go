package spool

import (
	"errors"
	"slices"
)

// RenameMailbox follows a RENAME that the server has done (RFC 3501 §6.3.5): every
// entry and every change in flight that names the mailbox, or one below it, names
// the new one. That it is to be done is on the disk first, so that a crash leaves no
// half of it. delim is the delimiter of the names, 0 where there is none.
//
// An error is the disk's; the next Open goes on then.
func (s *Spool) RenameMailbox(old, new Mailbox, delim rune) error {
	s.renaming.Lock()
	defer s.renaming.Unlock()
	r := renaming{old, new, delim}
	id := s.newID()
	err := s.note(true, change{key: "rename", id: id, mailbox: old.Wire, to: new.Wire, delim: delim, path: new.Path})
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range s.Entries() {
		errs = append(errs, e.renamed(&r, false))
	}
	errs = append(errs, s.Flush())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.End(id)
}

// renamed gives the entry the new names if it has old ones.
func (e *Entry) renamed(r *renaming, durable bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return nil
	}
	in := *e.Info()
	wire, ok := r.rename(in.Mailbox.Wire)
	if ok {
		// The levels below the renamed one stay.
		levels := len(in.Mailbox.Path) - below(in.Mailbox.Wire[len(r.old.Wire):], r.delim)
		path := slices.Clone(r.new.Path)
		if levels >= 0 {
			path = append(path, in.Mailbox.Path[levels:]...)
		}
		in.Mailbox = Mailbox{wire, path}
	}
	also := false
	in.Replaces = slices.Clone(in.Replaces)
	for i := range in.Replaces {
		m := &in.Replaces[i]
		name, is := r.rename(m.Mailbox)
		m.Mailbox, also = name, also || is
	}
	in.inherited = nil // it is compared by name
	if !ok && !also {
		return nil
	}
	if err := in.Attrs.check(); err != nil {
		return err
	}
	return e.put(&in, durable)
}

// below counts the levels of what stands behind the renamed name.
func below(rest string, delim rune) int {
	n := 0
	for _, c := range rest {
		if delim != 0 && c == delim {
			n++
		}
	}
	return n
}
