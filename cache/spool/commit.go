package spool

import "slices"

// Commit says that the text is whole and is to be sent: Writing to Ready. From now
// on it does not change. It reads the text once, a piece at a time, for its traits, and
// for length and sum as they are sent.
//
// An earlier generation that was not sent is removed, for this one replaces it.
// Nothing is synced but where that one was: a crash of the machine may lose what
// nobody has been answered for.
//
// ErrEmpty, ErrTorn, or the disk's error: then it is Writing as before.
func (e *Entry) Commit() error { return e.commit(false) }

// CommitLines is Commit for a text that was changed in place: each LF that stands
// alone is sent as CRLF, also where the text holds CRLF.
func (e *Entry) CommitLines() error { return e.commit(true) }

func (e *Entry) commit(lines bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in("commit", Writing)
	switch {
	case err != nil:
		return err
	case in.Damage != Whole:
		return ErrTorn
	case e.Size() == 0:
		return ErrEmpty
	}
	if err := e.openText(false); err != nil {
		return err
	}
	s, err := scan(e.text, e.Size(), chunk, lines)
	if err != nil {
		return err
	}
	if s.length > maxText {
		return ErrTooLong
	}
	in.State, in.Size, in.Traits, in.Length, in.Sum, in.rest = Ready, e.Size(), s.Traits, s.length, s.sum, false
	old, _, unlock := e.older(&in)
	defer unlock()
	put := e.put
	for _, p := range old {
		if p.durable { // then so must be what takes its place
			put = func(in *Info, _ bool) error { return e.keep(in) }
		}
	}
	if err := put(&in, false); err != nil {
		return err
	}
	e.checked = true
	e.leave(old)
	return nil
}

// older looks at the generations before this one, which it locks. It gives those that
// nobody needs once in is on the disk, and the one, if any, whose fate is not known. It
// writes into in which messages are to be replaced, and their IDs: a crash may leave any
// of them. What an earlier generation has become is replaced, and all that it was to
// replace and is not known to have. mu is held.
func (e *Entry) older(in *Info) (old []*Entry, open *Entry, unlock func()) {
	var locked []*Entry
	in.follows = nil
	mine := lacking(in.Replaces, in.inherited)
	var theirs []Message
	last := in
	for p := e.follows; p != nil && open == nil; p = p.follows {
		p.mu.Lock()
		locked = append(locked, p)
		was := p.Info()
		if p.gone && was.UID == 0 {
			continue
		}
		switch {
		case was.State == Ready || was.State == Refused || was.State == Changed && was.UID == 0:
			theirs = with(theirs, lacking(was.Replaces, was.inherited)...)
			last = was
		case was.UID != 0:
			theirs = with(theirs, was.Where())
			last = was
		default:
			open = p
		}
		if !p.gone && len(in.follows) < maxFollows {
			in.follows = append(in.follows, was.ID)
		}
		if open == nil && !p.gone {
			old = append(old, p)
		}
		if was.UID != 0 {
			break // what came before is among what that one replaces
		}
	}
	if last != in {
		in.inherited = lacking(with(theirs, last.Replaces...), mine)
		in.Replaces = with(mine, in.inherited...)
	}
	return old, open, func() {
		for _, p := range locked {
			p.mu.Unlock()
		}
	}
}

// lacking are the messages of all that are not among some.
func lacking(all, some []Message) []Message {
	return slices.DeleteFunc(slices.Clone(all), func(m Message) bool { return slices.Contains(some, m) })
}

// with are the messages of all, and the others of more.
func with(all []Message, more ...Message) []Message {
	return append(slices.Clip(all), lacking(more, all)...)
}

// leave removes what older gave, when the entry on the disk does without. mu is held,
// and theirs.
func (e *Entry) leave(old []*Entry) {
	for _, p := range old {
		e.follows = p.follows
		if p.Info().UID != 0 {
			e.follows = nil
		}
		p.discard()
	}
	if p := e.follows; p != nil {
		p.next.Store(e)
	}
}
