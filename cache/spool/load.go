package spool

import (
	"errors"
	"slices"
	"strings"
)

// recovered is how the name of a text begins whose entry is lost.
const recovered = "recovered-"

// load reads a directory: each entry, and each text that has none. What it changes
// on the disk it may change again after a crash.
func (s *Spool) load(d *dir) error {
	names, err := d.disk.list(d.path, false)
	if err != nil {
		return err
	}
	var entries, texts, done []string
	for _, name := range names {
		id, ext := name, ""
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			id, ext = name[:i], name[i:]
		}
		_, _, _, isDone := parseDone(name)
		switch {
		case ext == tmpExt:
			if err := d.remove(name); err != nil { // nobody has been answered for it
				return err
			}
		case isDone:
			done = append(done, name)
		case ext == entryExt && goodID(id):
			entries = append(entries, id)
		case ext == textExt && goodID(id):
			texts = append(texts, id)
		case name == lockName || name == journalName || ext == tornExt && goodID(id):
		default:
			s.problem("%s: not a file of a spool", d.file(name))
		}
	}
	for _, name := range done {
		id, v, uid, _ := parseDone(name)
		in, err := s.readEntry(d, name, id)
		if err != nil {
			return err
		}
		if in != nil && (in.State == Sending || in.State == Unknown) {
			in.State, in.Validity, in.UID = Done, v, uid
		}
		now, err := s.newerEntry(d, id, slices.Contains(entries, id))
		if err != nil {
			return err
		}
		if now != nil { // it was done, and something else since
			if err := d.remove(name); err != nil {
				return err
			}
			continue
		}
		entries = slices.DeleteFunc(entries, func(e string) bool { return e == id })
		if in == nil || in.State != Done {
			s.problem("%s: the entry cannot be read", d.file(name))
			if err := d.disk.rename(d.file(name), d.file(id+tornExt)); err != nil {
				return err
			}
			continue
		}
		if err := s.adopt(d, in, name); err != nil {
			return err
		}
	}
	for _, id := range entries {
		in, err := s.readEntry(d, id+entryExt, id)
		if err != nil {
			return err
		}
		if in == nil {
			s.problem("%s: the entry cannot be read; its text is listed as %s%s", d.file(id+entryExt), recovered, id)
			if err := d.disk.rename(d.file(id+entryExt), d.file(id+tornExt)); err != nil {
				return err
			}
			continue
		}
		if err := s.adopt(d, in, ""); err != nil {
			return err
		}
	}
	for _, id := range texts {
		if s.entries[id] == nil {
			if err := s.recover(d, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// readEntry reads an entry; nil if it cannot be trusted. An error is the disk's.
func (s *Spool) readEntry(d *dir, name, id string) (*Info, error) {
	b, err := d.read(name, maxEntry)
	if err != nil && !errors.Is(err, errRecord) {
		return nil, err
	}
	in, err := parse(b)
	if err != nil || in.ID != id {
		return nil, nil
	}
	return in, nil
}

// newerEntry gives the entry beside one that is done if it is newer.
func (s *Spool) newerEntry(d *dir, id string, there bool) (*Info, error) {
	if !there {
		return nil, nil
	}
	in, err := s.readEntry(d, id+entryExt, id)
	if in == nil || in.State == Sending || in.State == Unknown {
		return nil, err
	}
	return in, nil
}

// adopt takes an entry over, whose process is gone. done is the name of its file if
// it is done.
func (s *Spool) adopt(d *dir, in *Info, done string) error {
	e := &Entry{spool: s, dir: d, durable: true, done: done}
	size, err := d.textSize(in.ID)
	if err != nil {
		return err
	}
	e.size.Store(max(size, 0))
	if s.entries[in.ID] != nil {
		s.problem("%s: two entries of one name", d.file(in.ID+entryExt))
		return nil
	}
	lost := size < 0
	switch in.State {
	case discarded, Done:
		if in.State == discarded || lost {
			e.info.Store(in)
			e.erase()
			return nil
		}
	case Writing, Local, Aside:
		if lost {
			// Its entry was written first, and the machine stopped.
			s.problem("%s: the text %q is lost before it was whole", d.file(in.ID+textExt), in.Name)
			e.info.Store(in)
			e.erase()
			return nil
		}
		if in.State == Writing && in.Size == 0 && size == 0 {
			// A file that was made and not written to is one of its mount. No message has no octets.
			e.info.Store(in)
			e.erase()
			return nil
		}
		if !in.rest || in.Size != size {
			if in.Damage == Whole {
				in.Damage = Interrupted
			}
			e.hurt = everything
		}
	case Sending:
		in.State = Unknown // nobody knows how far it went
	}
	if !in.State.Writable() && size != in.Size && in.Damage == Whole {
		s.problem("%s: the text %q is not what was committed", d.file(in.ID+textExt), in.Name)
		in.Damage = Lost
	}
	if in.Damage != Whole {
		e.hurt = everything
		if in.State == Ready {
			in.State = Refused
			in.fail(Failure{Kind: "lost", Words: ErrTorn.Error()})
		}
	}
	e.info.Store(in)
	s.entries[in.ID] = e // more than maxEntries, if there were several daemons
	return nil
}

// recover lists a text that has no entry. One of length 0 holds nothing.
func (s *Spool) recover(d *dir, id string) error {
	size, err := d.textSize(id)
	if err != nil {
		return err
	}
	if size <= 0 {
		return d.remove(id + textExt)
	}
	e := &Entry{spool: s, dir: d, hurt: everything}
	e.size.Store(size)
	in := &Info{ID: id, State: Local, Attrs: Attrs{Name: recovered + id}, Size: size, Damage: Interrupted}
	if err := e.show(in); err != nil {
		return err
	}
	s.problem("%s: a text without an entry; it is listed as %s", d.file(id+textExt), in.Name)
	s.entries[id] = e
	return nil
}

// show is put for an entry that nobody else knows yet.
func (e *Entry) show(in *Info) error {
	e.info.Store(in)
	return e.put(in, true)
}

// chain finds the generations again: who follows whom.
func (s *Spool) chain() error {
	all := s.Entries()
	for _, e := range all {
		for _, id := range e.Info().follows {
			p := s.entries[id]
			if p == nil || p == e || p.Info().State.Writable() || p.next.Load() != nil {
				continue
			}
			e.follows = p
			p.next.Store(e)
			break
		}
	}
	// A circle, which none of us has written, is cut where it is found.
	for _, e := range all {
		seen := map[*Entry]bool{}
		for p := e; p != nil; p = p.follows {
			if seen[p] {
				p.follows.next.Store(nil)
				p.follows = nil
				break
			}
			seen[p] = true
		}
	}
	for _, e := range all {
		if err := e.settle(); err != nil {
			return err
		}
	}
	return nil
}

// settle removes what a committed text replaces and a crash has left. Where it is
// not whole itself, the one before it stands for itself again.
func (e *Entry) settle() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in := *e.Info()
	if e.gone || e.follows == nil || in.State.Writable() {
		return nil
	}
	old, _, unlock := e.older(&in)
	defer unlock()
	if in.State == Ready || in.State == Refused {
		if e.check() != nil {
			e.follows.next.Store(nil)
			e.follows = nil
			in = *e.Info()
			in.follows = nil
			return e.put(&in, true)
		}
	}
	for i, p := range old {
		if s := p.Info().State; s != Ready && s != Refused {
			old = old[:i]
			break
		}
	}
	e.leave(old)
	return nil
}
