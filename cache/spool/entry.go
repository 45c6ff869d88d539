package spool

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Entry is one text of the spool: a file from its first octet until the server has
// it. A committed text never changes; what a program writes then is another entry,
// its next generation ([Entry.Edit]).
//
// After Remove or Discard all but Info is ErrGone.
type Entry struct {
	spool *Spool
	dir   *dir
	info  atomic.Pointer[Info]
	next  atomic.Pointer[Entry] // the generation after, if any; set under mu
	size  atomic.Int64          // of the text, in octets

	// A later generation is locked before the one it follows.
	mu      sync.RWMutex
	follows *Entry // the generation before, while it matters
	text    file   // nil: not open
	hurt    span   // what is not whole of it
	checked bool   // its octets are those that were committed, as far as this process knows
	durable bool   // there is an entry on the disk that a crash of the machine leaves
	failed  error  // of a sync of the text: the kernel says it once
	done    string // the name of the file that holds the entry, if that is not ID.entry
	stale   bool   // a put failed: the disk may hold what Info does not say
	gone    bool
}

// Info is what is known, from memory. Not to be modified.
func (e *Entry) Info() *Info { return e.info.Load() }

// Gone reports whether it has been removed.
func (e *Entry) Gone() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.gone
}

// Next is the generation after this one; nil: there is none.
func (e *Entry) Next() *Entry { return e.next.Load() }

// Size is the length of the text as written, in octets, from memory.
func (e *Entry) Size() int64 { return e.size.Load() }

func (e *Entry) name(ext string) string { return e.Info().ID + ext }

// alive is ErrGone for an entry that was removed. mu is held.
func (e *Entry) alive() error {
	if e.gone {
		return ErrGone
	}
	return nil
}

// put writes the entry to the disk and then shows it. mu is held.
func (e *Entry) put(in *Info, durable bool) error {
	b, err := format(in)
	if err != nil {
		return err
	}
	durable = durable || e.done != "" // one of the two names is there at any time
	if err := e.dir.write(e.name(entryExt), b, e.durable, durable); err != nil {
		e.stale = true
		return err
	}
	e.stale = false
	if e.done != "" {
		e.dir.remove(e.done) // if it stays the next Open takes the newer
		e.done = ""
	}
	e.durable = e.durable || durable
	e.info.Store(in)
	return nil
}

// keep makes text and entry durable and shows the entry. mu is held.
func (e *Entry) keep(in *Info) error {
	if err := e.syncText(); err != nil {
		return err
	}
	return e.put(in, true)
}

// syncText makes the text durable, its name excepted. mu is held.
func (e *Entry) syncText() error {
	if e.failed != nil {
		return e.failed
	}
	if err := e.openText(false); err != nil {
		return err
	}
	e.failed = e.text.Sync()
	return e.failed
}

// Keep makes text and entry durable as they are. Whoever is about to answer a
// program with an error, and has not called Unsent, Uncertain, Refuse or Differ for
// it, calls Keep before: from then on the text must outlive anything. One that can be
// written to is whole after a crash, too, if nothing was written since.
func (e *Entry) Keep() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return err
	}
	in := *e.Info()
	if in.State.Writable() {
		in.Size, in.rest = e.Size(), in.Damage == Whole
	}
	return e.keep(&in)
}

// Set has change give the text another name, place, date or flags, or another
// message to replace. From Sending on it can get no more than another name: what was
// sent was sent. ErrState, ErrTooLong, or the disk's error; then it is as it was.
func (e *Entry) Set(change func(*Attrs)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return err
	}
	in := *e.Info()
	was := in.Attrs
	change(&in.Attrs)
	switch in.State {
	case Sending, Unknown, Done, Changed:
		if !was.sameButName(&in.Attrs) {
			return stateError("change", in.State)
		}
	}
	return e.become(&in, in.State)
}

// ToMail makes a scratch file mail, which is being written: Local or Aside to
// Writing. Commit comes next. Errors as with Set.
func (e *Entry) ToMail(change func(*Attrs)) error {
	return e.turn("make mail of", change, Writing, Local, Aside)
}

// ToScratch makes a scratch file of what is not with the server: Writing, Ready or
// Refused to Local. Errors as with Set.
func (e *Entry) ToScratch(change func(*Attrs)) error {
	return e.turn("make a scratch file of", change, Local, Writing, Ready, Refused)
}

func (e *Entry) turn(op string, change func(*Attrs), to State, from ...State) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in(op, from...)
	if err != nil {
		return err
	}
	if e.follows != nil || e.next.Load() != nil {
		return stateError(op+" one of several generations", in.State)
	}
	change(&in.Attrs)
	in.Size, in.rest = e.Size(), to == Local && in.State != Writing
	return e.become(&in, to)
}

// become puts an entry of other attributes. mu is held.
func (e *Entry) become(in *Info, to State) error {
	if err := in.Attrs.check(); err != nil {
		return err
	}
	in.State = to
	return e.put(in, false)
}

// in gives a copy of the Info if the state is one of some. mu is held.
func (e *Entry) in(op string, states ...State) (Info, error) {
	if err := e.alive(); err != nil {
		return Info{}, err
	}
	in := *e.Info()
	for _, s := range states {
		if in.State == s {
			return in, nil
		}
	}
	return Info{}, stateError(op, in.State)
}

// Discard removes the text for ever, whatever its state is but Sending. An Unknown
// one may be with the server. Where a later generation needs to know what becomes
// of this one, ErrState.
func (e *Entry) Discard() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.alive(); err != nil {
		return err
	}
	in := *e.Info()
	if in.State == Sending || e.next.Load() != nil && !in.State.Writable() && in.State != Ready && in.State != Refused {
		return stateError("discard", in.State)
	}
	e.discard()
	return nil
}

// discard removes what is on the disk in such an order that it does not come back
// as something else. On a full disk it goes without: then a crash in the middle leaves
// an entry without a text, which is never sent. mu is held.
func (e *Entry) discard() {
	in := *e.Info()
	if in.State != Done {
		in.State = discarded
		if b, err := format(&in); err == nil {
			e.dir.write(e.name(entryExt), b, e.durable, e.durable)
		}
	}
	e.erase()
}

// erase removes the files, the text first. What fails is done at the next Open,
// which finds an entry that is done or discarded. mu is held.
func (e *Entry) erase() {
	e.closeText()
	e.gone = true
	s := e.spool
	s.mu.Lock()
	delete(s.entries, e.Info().ID)
	s.mu.Unlock()
	if err := e.dir.remove(e.name(textExt)); err != nil {
		return
	}
	if e.done != "" {
		e.dir.remove(e.done)
	}
	e.dir.remove(e.name(tornExt))
	e.dir.remove(e.name(entryExt))
}

// Export writes the text as it is, whole or not, to w. It gives the octets written.
func (e *Entry) Export(w io.Writer) (int64, error) {
	f, err := e.own()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.size()
	if err != nil {
		return 0, err
	}
	return io.Copy(w, io.NewSectionReader(f, 0, n))
}

// own opens the text for a reader of its own.
func (e *Entry) own() (file, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := e.alive(); err != nil {
		return nil, err
	}
	return e.dir.disk.open(e.dir.file(e.name(textExt)), os.O_RDONLY)
}

// fail notes a failure, in one line of bounded length.
func (in *Info) fail(f Failure) {
	f.Words = cut(f.Words, maxWords)
	f.Kind = cut(f.Kind, maxName)
	if f.When.IsZero() {
		f.When = time.Now()
	}
	f.When = f.When.Round(0)
	in.Failure = f
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}
