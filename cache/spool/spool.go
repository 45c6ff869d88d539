package spool

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Spool is what one daemon has of one account that the server does not have yet.
// Its methods and those of its entries may be called from any goroutine.
type Spool struct {
	disk     disk
	base     string
	newID    func() string
	dirs     []*dir // ours first, then those of daemons that are gone; set by Open
	journal  journal
	problems []string // of Open

	renaming sync.Mutex // one RenameMailbox at a time; before every Entry.mu

	mu      sync.Mutex
	entries map[string]*Entry // nil: closed
}

// Open takes a directory in base for this daemon, which is that of a daemon that
// is gone or a new one, and all that other daemons have left which are gone.
// base and what is made in it have mode 0700.
//
// What cannot be read is an error only if it is the disk that fails; all else is
// kept, and [Spool.Problems] names it.
func Open(base string) (*Spool, error) { return open(osDisk{}, base, newID) }

func open(d disk, base string, ids func() string) (*Spool, error) {
	s := &Spool{disk: d, base: base, newID: ids, entries: map[string]*Entry{}}
	err := s.takeAll()
	for _, dir := range s.dirs {
		if err == nil {
			err = s.load(dir)
		}
	}
	if err == nil {
		err = s.chain()
	}
	if err == nil {
		err = s.openJournal()
	}
	if err != nil {
		s.journal.close()
		s.release()
		return nil, err
	}
	return s, nil
}

// takeAll takes every directory that is free, or makes one.
func (s *Spool) takeAll() error {
	if err := s.disk.mkdir(s.base); err != nil {
		return err
	}
	names, err := s.disk.list(s.base, true)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !goodID(name) {
			s.problem("%s: not a directory of a spool", filepath.Join(s.base, name))
		} else if err := s.take(name); err != nil {
			return err
		}
	}
	for len(s.dirs) == 0 {
		name := s.newID()
		if err := s.disk.mkdir(filepath.Join(s.base, name)); err != nil {
			return err
		}
		if err := s.take(name); err != nil { // nothing taken: another Open was faster
			return err
		}
		if err := s.disk.syncDir(s.base); err != nil {
			return err
		}
		for up, n := filepath.Dir(s.base), 0; n < 3; up, n = filepath.Dir(up), n+1 {
			s.disk.syncDir(up) // base may be new, and the two above; what is not ours may refuse
		}
	}
	return nil
}

// take takes the directory if nobody else has it.
func (s *Spool) take(name string) error {
	path := filepath.Join(s.base, name)
	lock, err := s.disk.lock(path)
	if err == nil && lock != nil {
		s.dirs = append(s.dirs, newDir(s.disk, path, lock))
	}
	return err
}

// newID is 64 bits of chance.
func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (s *Spool) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// Problems is what Open found that was torn, lost or not ours, a line for each.
func (s *Spool) Problems() []string { return s.problems }

// Create makes an empty text that belongs in a mailbox: Writing. ErrTooLong,
// ErrFull, or the disk's error.
func (s *Spool) Create(a Attrs) (*Entry, error) { return s.create(a, Writing, nil) }

// Scratch makes an empty text that is no mail: Local, or Aside if it is to hold a
// copy of a.Replaces. Errors as with Create.
func (s *Spool) Scratch(a Attrs) (*Entry, error) {
	if len(a.Replaces) > 0 {
		return s.create(a, Aside, nil)
	}
	return s.create(a, Local, nil)
}

// create makes an entry, with the text that fill writes.
func (s *Spool) create(a Attrs, state State, fill func(*Entry) error) (*Entry, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	e := &Entry{spool: s, dir: s.dirs[0], checked: true}
	in := &Info{ID: s.newID(), State: state, Attrs: a, Since: time.Now().Round(0)}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.info.Store(in)
	err := s.add(e)
	if err != nil {
		return nil, err
	}
	// The entry first: a text without one is taken for a loss at the next Open.
	if err = e.put(in, false); err == nil {
		err = e.openText(true)
	}
	if err == nil && fill != nil {
		err = fill(e)
	}
	if err != nil {
		e.erase()
		return nil, err
	}
	return e, nil
}

func (s *Spool) add(e *Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.entries == nil:
		return ErrGone
	case len(s.entries) >= maxEntries:
		return ErrFull
	}
	s.entries[e.Info().ID] = e
	return nil
}

// Entries are all entries, the oldest first.
func (s *Spool) Entries() []*Entry {
	s.mu.Lock()
	all := make([]*Entry, 0, len(s.entries))
	for _, e := range s.entries {
		all = append(all, e)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *Entry) int {
		x, y := a.Info(), b.Info()
		return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.ID, y.ID))
	})
	return all
}

// Flush makes durable what needed no sync when it was done: that texts are with
// the server and need not be looked for. Useful when there is time, and after a
// message is deleted that was appended a moment ago.
func (s *Spool) Flush() error {
	var errs []error
	for _, d := range s.dirs {
		errs = append(errs, d.sync.do())
	}
	return errors.Join(errs...)
}

// Close gives the directories back, those that hold nothing by removing them. The
// entries are ErrGone from then on; what they hold is for the next Open. No other
// method may be running.
func (s *Spool) Close() error {
	err := s.Flush()
	s.mu.Lock()
	entries := s.entries
	s.entries = nil
	s.mu.Unlock()
	used := map[*dir]bool{}
	for _, e := range entries {
		e.mu.Lock()
		used[e.dir] = true
		e.gone = true
		e.closeText()
		e.mu.Unlock()
	}
	empty := s.journal.close()
	for i, d := range s.dirs {
		if used[d] || i == 0 && !empty {
			continue
		}
		d.remove(journalName)
		d.remove(lockName)
		d.disk.remove(d.path) // not if it holds anything
	}
	s.release()
	return err
}

// release gives the locks back.
func (s *Spool) release() {
	for _, d := range s.dirs {
		d.lock.Close()
	}
	s.dirs = nil
}
