package spool

// Commit says that the text is whole and is to be sent: Writing to Ready. From now
// on it does not change. It reads the text once, a piece at a time, for its traits, and
// for length and sum as they are sent.
//
// An earlier generation that was not sent is removed, for this one replaces it.
// Nothing is synced but where that one was: a crash of the machine may lose what
// nobody has been answered for.
//
// ErrEmpty, ErrTorn, or the disk's error: then it is Writing as before.
func (e *Entry) Commit() error {
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
	s, err := scan(e.text, e.Size())
	if err != nil {
		return err
	}
	if s.length > maxText {
		return ErrTooLong
	}
	in.State, in.Size, in.Traits, in.Length, in.Sum = Ready, e.Size(), s.Traits, s.length, s.sum
	old, unlock := e.older(&in)
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
// nobody needs once in is on the disk, and writes into in what they leave behind: the
// message to replace, and the ID of the one whose fate is not known. mu is held.
func (e *Entry) older(in *Info) (old []*Entry, unlock func()) {
	var locked []*Entry
	in.follows = ""
walk:
	for p := e.follows; p != nil; p = p.follows {
		p.mu.Lock()
		locked = append(locked, p)
		was := p.Info()
		switch {
		case was.State == Ready || was.State == Refused:
			in.Replaces = was.Replaces
		case was.UID != 0:
			in.Replaces = was.Where()
		case p.gone:
			break walk
		default:
			in.follows = was.ID
			break walk
		}
		if !p.gone {
			old = append(old, p)
		}
		if was.UID != 0 {
			break // what that one replaced is replaced
		}
	}
	return old, func() {
		for _, p := range locked {
			p.mu.Unlock()
		}
	}
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
