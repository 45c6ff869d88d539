package spool

import (
	"io"
	"math"
	"os"
	"syscall"
)

// span is the octets of a text from one offset up to another; the zero span is none.
type span struct{ from, to int64 }

func (s span) empty() bool { return s.from >= s.to }

// everything is the span of a text of which nothing is sure.
var everything = span{0, math.MaxInt64}

// openText opens the text for reading and writing. mu is held.
func (e *Entry) openText(create bool) error {
	if e.text != nil {
		return nil
	}
	flag := os.O_RDWR
	switch {
	case create:
		flag |= os.O_CREATE | os.O_TRUNC
	case e.Info().Damage == Lost:
		flag |= os.O_CREATE // the file itself may be lost
	}
	f, err := e.dir.disk.open(e.dir.file(e.name(textExt)), flag)
	if err == nil {
		e.text = f
	}
	return err
}

// closeText closes the file. mu is held.
func (e *Entry) closeText() error {
	if e.text == nil {
		return nil
	}
	f := e.text
	e.text = nil
	return f.Close()
}

// Close says that no program has the text open. It closes the file, which opens by
// itself when it is needed again, and notes of a scratch file that it is whole.
func (e *Entry) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return err
	}
	err := e.closeText()
	in := *e.Info()
	if s := in.State; (s == Local || s == Aside) && !in.rest && in.Damage == Whole {
		in.rest, in.Size = true, e.Size()
		if putting := e.put(&in, false); err == nil {
			err = putting
		}
	}
	return err
}

// change prepares for octets to be changed. mu is held.
func (e *Entry) change() error {
	if err := e.alive(); err != nil {
		return err
	}
	in := *e.Info()
	if !in.State.Writable() {
		return ErrFrozen
	}
	if in.rest || e.stale { // a crash from here on leaves it not whole
		// Where it is durable that the text is whole, so it must be that it is not.
		durable := in.rest && e.durable || e.stale
		in.rest = false
		if err := e.put(&in, durable); err != nil {
			return err
		}
	}
	return e.openText(false)
}

// WriteAt writes octets at an offset; what lies between the end and it becomes NUL.
// ErrFrozen: the text is committed. EFBIG: it would be over 4 GiB. Any other error
// is the disk's (ENOSPC), and marks the text: until these octets are written or
// cut off it is not whole, and Commit is ErrTorn.
func (e *Entry) WriteAt(p []byte, off int64) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.change(); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	end := off + int64(len(p))
	if off > maxText || end > maxText {
		return 0, syscall.EFBIG
	}
	n, err := e.text.WriteAt(p, off)
	at := off + int64(n)
	e.heal(off, at)
	if at > e.Size() && n > 0 {
		e.size.Store(at)
	}
	if err != nil {
		e.harm(WriteFailed, span{at, max(end, at+1)})
		return n, err
	}
	return n, e.whole(e.hurt.empty() || e.hurt.to == math.MaxInt64 && e.hurt.from >= e.Size())
}

// Truncate makes the text size octets long, with NUL where it grows. Errors as
// with WriteAt.
func (e *Entry) Truncate(size int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.change(); err != nil {
		return err
	}
	switch {
	case size < 0:
		return syscall.EINVAL
	case size > maxText:
		return syscall.EFBIG
	}
	if err := e.text.Truncate(size); err != nil {
		if n, err := e.text.size(); err == nil {
			e.size.Store(n)
		}
		e.harm(WriteFailed, span{min(size, e.Size()), math.MaxInt64})
		return err
	}
	e.size.Store(size)
	return e.whole(e.hurt.empty() || size <= e.hurt.from)
}

// harm notes that octets are not what they should be. mu is held.
func (e *Entry) harm(d Damage, s span) {
	if e.hurt.empty() {
		e.hurt = s
	} else {
		e.hurt = span{min(e.hurt.from, s.from), max(e.hurt.to, s.to)}
	}
	in := *e.Info()
	if in.Damage == Whole {
		in.Damage = d
		e.info.Store(&in) // on the disk it is a text that is being written, which is enough
	}
}

// heal notes that octets have been written. mu is held.
func (e *Entry) heal(from, to int64) {
	if from <= e.hurt.from && to > e.hurt.from {
		e.hurt.from = to
	}
}

// whole takes the mark off if all that was not whole is written anew or cut off.
// mu is held.
func (e *Entry) whole(is bool) error {
	in := *e.Info()
	if in.Damage == Whole || !is {
		return nil
	}
	e.hurt = span{}
	in.Damage = Whole
	return e.put(&in, false)
}

// Accept takes the text for whole as it is, because the user says so: Writing,
// Local or Aside. ErrState else.
func (e *Entry) Accept() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in("accept", Writing, Local, Aside)
	if err != nil {
		return err
	}
	e.hurt = span{}
	in.Damage = Whole
	return e.put(&in, false)
}

// ReadAt reads the text as it was written, in any state. io.EOF as io.ReaderAt says.
func (e *Entry) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, syscall.EINVAL
	}
	e.mu.RLock()
	if e.text != nil {
		defer e.mu.RUnlock()
		return e.text.ReadAt(p, off)
	}
	e.mu.RUnlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return 0, err
	}
	if err := e.openText(false); err != nil {
		return 0, err
	}
	return e.text.ReadAt(p, off)
}

// Edit gives an entry that can be written to, with the first octets of this text,
// at most keep. It is this one where that can be written to, whose text stays as it
// is. Else it is the next generation: once that is committed it is sent in place of
// this one, or replaces it on the server; until then this one goes on as if nothing
// was. What replaces what is then known without the caller.
//
// ErrSuperseded: there is a next generation already. Else as with Create.
func (e *Entry) Edit(keep int64) (*Entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return nil, err
	}
	in := e.Info()
	if in.State.Writable() {
		return e, nil
	}
	if e.next.Load() != nil {
		return nil, ErrSuperseded
	}
	keep = max(0, min(keep, e.Size()))
	n, err := e.spool.create(in.Attrs, Writing, func(n *Entry) error {
		to := *n.Info()
		was := *in
		_, _, unlock := e.older(&was)
		unlock()
		to.follows, to.inherited = append([]string{in.ID}, was.follows...), in.Replaces
		if keep > 0 {
			if err := e.openText(false); err != nil {
				return err
			}
			if err := copyText(n.text, e.text, keep); err != nil {
				return err
			}
			if in.Damage != Whole {
				to.Damage, n.hurt = in.Damage, everything
			}
		}
		n.size.Store(keep)
		n.follows = e
		return n.put(&to, false)
	})
	if err == nil {
		e.next.Store(n)
	}
	return n, err
}

// check looks once whether the octets are those that were committed. mu is held.
func (e *Entry) check() error {
	in := e.Info()
	if in.Damage != Whole {
		return ErrTorn
	}
	if e.checked {
		return nil
	}
	if err := e.openText(false); err != nil {
		return err
	}
	s, err := scan(e.text, in.Size, chunk, in.Mixed)
	switch {
	case err == io.ErrUnexpectedEOF || err == nil && s.sum != in.Sum:
		lost := *in
		lost.Damage = Lost
		e.info.Store(&lost)
		return ErrTorn
	case err == nil:
		e.checked = true
	}
	return err
}
