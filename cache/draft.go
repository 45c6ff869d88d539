package cache

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imapfs/cache/spool"
)

// Draft is a text that the server does not have yet: a file from its first octet on.
// It lies in the spool, and outlives the process. Its methods may be called from any
// goroutine; none but Send waits for the server.
//
// Errors of the disk are in what is returned, so that errors.As finds the
// syscall.Errno (ENOSPC, EDQUOT, EFBIG).
type Draft struct {
	a    *Account
	text atomic.Pointer[generation] // the newest: what is read and written
	kick chan struct{}              // wakes the worker; holds one

	mu        sync.Mutex    // held over the disk, never over the network; before drafts.mu and the spool's
	gens      []*generation // that are in the spool, the oldest first
	box       *Mailbox      // nil: looked for by its name on the wire
	opens     int
	working   bool // there is a goroutine that sends
	held      bool // Config.HoldDrafts: none is to be yet
	discarded bool
	failures  int   // how often a try has failed
	putOffs   int   // how often it could not be checked
	failure   error // the last one; nil: the last try has not
	next      time.Time
	said      Kind      // what the log has of failure
	where     *Mailbox  // of sent
	sent      Sent      // the last message that it became
	origin    *original // the message that it began as; nil: none
	past      bool      // nothing of it is in the spool any more
}

// generation is one text of a draft: what was committed at one time.
type generation struct {
	*spool.Entry
	dirty atomic.Bool // written to since it was made

	// Guarded by Draft.mu.
	same     bool      // it is the message that it began as: not to be sent
	checked  bool      // the server's octets are these
	date     time.Time // that it is sent with where it was given none; zero: not sent yet
	arrived  time.Time // zero: it has not
	answered bool      // whoever sends is told that it has
	kept     error     // why what it replaces is still there; nil: that was not tried, or done
}

// original is a message as it was when a draft was made of it.
type original struct {
	ref  MessageRef
	date time.Time
	size int64
	sum  [32]byte
	all  bool // size and sum are those of the whole text
}

// is reports whether a text that is committed is the message that it began as, and to be
// no other. wire is how the spool knows that message.
func (o *original) is(in *spool.Info, wire []spool.Message) bool {
	stays := len(in.Replaces) == 0 || slices.Equal(in.Replaces, wire)
	return o.all && stays && o.size == in.Length && o.sum == in.Sum && in.Date.Equal(o.date)
}

var (
	// ErrDraftGone: the draft has arrived, or was discarded, and its text is no longer here.
	ErrDraftGone = errors.New("the text is no longer in the spool (open the file again)")

	errNoSpool = errors.New("there is no spool to write to")
	errOnWay   = errors.New("the text is on its way to the server, or there already")
)

// NewDraft makes an empty text that belongs in box. It is open once (Draft.Close).
func (a *Account) NewDraft(box *Mailbox, name string) (*Draft, error) {
	return a.makeDraft(box, func(s *spool.Spool) (*spool.Entry, error) {
		return s.Create(spool.Attrs{Mailbox: box.place(), Name: name})
	})
}

// NewScratch makes an empty text that is no mail until Send says otherwise; box may be
// nil. It is open once.
func (a *Account) NewScratch(box *Mailbox, name string) (*Draft, error) {
	return a.makeDraft(box, func(s *spool.Spool) (*spool.Entry, error) {
		return s.Scratch(spool.Attrs{Mailbox: box.place(), Name: name})
	})
}

// place is how the spool knows a mailbox; none for nil.
func (m *Mailbox) place() spool.Mailbox {
	if m == nil {
		return spool.Mailbox{}
	}
	l := m.listed.Load()
	return spool.Mailbox{Wire: l.wire, Path: l.path}
}

func (a *Account) makeDraft(box *Mailbox, create func(*spool.Spool) (*spool.Entry, error)) (*Draft, error) {
	if a.spool == nil {
		return nil, &Error{Op: "create", Kind: ReadOnly, Err: errNoSpool}
	}
	e, err := create(a.spool)
	if err != nil {
		return nil, failure("create", box, 0, err)
	}
	d := a.newDraft(box, e)
	d.opens = 1
	a.drafts.add(d)
	return d, nil
}

func (a *Account) newDraft(box *Mailbox, gens ...*spool.Entry) *Draft {
	d := &Draft{a: a, box: box, kick: make(chan struct{}, 1)}
	for _, e := range gens {
		d.push(e)
	}
	return d
}

// push makes an entry the newest generation. mu is held, or nobody knows the draft yet.
func (d *Draft) push(e *spool.Entry) *generation {
	g := &generation{Entry: e}
	g.dirty.Store(e.Info().State == spool.Writing && e.Size() > 0) // what a daemon has left is not committed
	d.gens = append(d.gens, g)
	d.text.Store(g)
	return g
}

// Drafts gives what is in the spool and has not arrived, the oldest first: after Open what
// a daemon that is gone has left. None of these is open.
func (a *Account) Drafts() []*Draft {
	return slices.DeleteFunc(a.drafts.list(), func(d *Draft) bool {
		s := d.text.Load().Info().State
		return s == spool.Done || s == spool.Changed
	})
}

// ID names the draft in Pending, Export and DiscardPending: of the text as it is now.
func (d *Draft) ID() string { return d.text.Load().Info().ID }

// Place is where it belongs: the mailbox, nil where that is gone or there is none, and
// its name in it.
func (d *Draft) Place() (box *Mailbox, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mailbox(), d.text.Load().Info().Name
}

// mailbox is where it belongs; nil: that is gone. mu is held.
func (d *Draft) mailbox() *Mailbox {
	if d.box == nil || d.box.gone.Load() { // another may have its name by now
		if m := d.a.byWire(d.text.Load().Info().Mailbox.Wire); m != nil {
			d.box = m
		}
	}
	if d.box != nil && d.box.gone.Load() {
		return nil
	}
	return d.box
}

// Date is the date that it is to have, or has; zero: none was given.
func (d *Draft) Date() time.Time { return d.text.Load().Info().Date }

// Flags are those that it is to have. Not to be modified.
func (d *Draft) Flags() []string { return d.text.Load().Info().Flags }

// Scratch reports whether it is no mail.
func (d *Draft) Scratch() bool {
	s := d.text.Load().Info().State
	return s == spool.Local || s == spool.Aside
}

// Size is the length of the text as written, in octets, from memory.
func (d *Draft) Size() int64 { return d.text.Load().Size() }

// Dirty reports whether it was written to since it was committed.
func (d *Draft) Dirty() bool {
	g := d.text.Load()
	return g.dirty.Load() && g.Info().State.Writable()
}

// Sent is the message that it is, as far as is known; the zero Sent: none yet.
func (d *Draft) Sent() Sent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sent
}

// ReadAt reads the text as it was written. io.EOF as io.ReaderAt says. ErrDraftGone.
func (d *Draft) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.text.Load().ReadAt(p, off)
	return n, draftError(err)
}

func draftError(err error) error {
	if errors.Is(err, spool.ErrGone) {
		return ErrDraftGone
	}
	return err
}

// WriteAt writes octets at an offset. What was committed is not changed: it goes on
// its way, and what is written replaces it once that is committed. After an error the
// text is not whole and is never sent, until these octets are written or cut off.
func (d *Draft) WriteAt(p []byte, off int64) (n int, err error) {
	err = d.write(math.MaxInt64, func(g *generation) error {
		n, err = g.WriteAt(p, off)
		return err
	})
	return n, err
}

// Truncate makes the text size octets long. Else as WriteAt.
func (d *Draft) Truncate(size int64) error {
	return d.write(size, func(g *generation) error { return g.Truncate(size) })
}

// write changes the text by f; where that is committed, in the next generation, which
// begins as its first octets, at most keep.
func (d *Draft) write(keep int64, f func(*generation) error) error {
	for {
		g := d.text.Load()
		if !g.Info().State.Writable() {
			var err error
			if g, err = d.edit(keep); err != nil {
				return draftError(err)
			}
		}
		g.dirty.Store(true)
		err := f(g)
		if errors.Is(err, spool.ErrFrozen) {
			continue // it was committed just now
		}
		return draftError(err)
	}
}

// edit gives a generation that can be written to.
func (d *Draft) edit(keep int64) (*generation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.editLocked(keep)
}

func (d *Draft) editLocked(keep int64) (*generation, error) {
	g := d.text.Load()
	e, err := g.Edit(keep)
	if err != nil || e == g.Entry {
		return g, err
	}
	defer d.a.drafts.tell()
	return d.push(e), nil
}

// Whole reports whether all was written that was to be: false after a failed write, and of
// what was being written when a daemon ended. Such a text is never sent.
func (d *Draft) Whole() bool { return d.text.Load().Info().Damage == spool.Whole }

// Sync makes the text durable on the local disk: as it is now it is whole after a crash.
func (d *Draft) Sync() error { return draftError(d.text.Load().Keep()) }

// Move gives a draft another place and name, and another kind: scratch or mail. What is
// with the server, or on its way, keeps its place and kind: Busy, and only the name
// may change.
func (d *Draft) Move(box *Mailbox, name string, scratch bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.text.Load()
	change := func(a *spool.Attrs) { a.Mailbox, a.Name = box.place(), name }
	s := g.Info().State
	var err error
	switch was := s == spool.Local || s == spool.Aside; {
	case was == scratch:
		err = g.Set(change)
	case scratch:
		err = g.ToScratch(change)
	default:
		if err = g.ToMail(change); err == nil {
			g.dirty.Store(true)
		}
	}
	switch {
	case errors.Is(err, spool.ErrState):
		return &Error{Op: "move", Mailbox: box.name(), Kind: Busy, Err: fmt.Errorf("%w: %w", errOnWay, err)}
	case err != nil:
		return failure("move", box, 0, draftError(err))
	}
	d.box = box
	if scratch {
		d.origin = nil
	}
	wake(d.kick)
	d.a.drafts.tell()
	return nil
}

// name is full, empty for nil.
func (m *Mailbox) name() string {
	if m == nil {
		return ""
	}
	return m.full()
}

// SetFlags gives it other flags: before it is sent. Busy: it is on its way or has arrived.
func (d *Draft) SetFlags(flags []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.text.Load().Set(func(a *spool.Attrs) { a.Flags = sendable(flags) })
	if errors.Is(err, spool.ErrState) {
		return &Error{Op: "flag", Mailbox: d.box.name(), Kind: Busy, Err: errOnWay}
	}
	return draftError(err)
}

// sendable are the flags that APPEND may have.
func sendable(flags []string) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(f string) bool {
		return strings.EqualFold(f, `\Recent`) || strings.EqualFold(f, `\Deleted`)
	})
}

// commit commits, as a text changed in place or not.
func (g *generation) commit(lines bool) error {
	if lines {
		return g.CommitLines()
	}
	return g.Commit()
}

// drop removes the newest generation. mu is held.
func (d *Draft) drop(g *generation) {
	if g.Discard() != nil || len(d.gens) == 1 {
		return
	}
	d.gens = d.gens[:len(d.gens)-1]
	d.text.Store(d.gens[len(d.gens)-1])
}

// prune forgets the generations that the spool has let go, but for the newest. mu is held.
func (d *Draft) prune() {
	last := d.gens[len(d.gens)-1]
	d.gens = slices.DeleteFunc(d.gens, func(g *generation) bool { return g != last && g.Gone() })
	if !d.past && len(d.gens) == 1 && last.Gone() {
		d.past = true
		d.a.drafts.remove(d)
	}
}

// Open opens it once more; ErrDraftGone.
func (d *Draft) Open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.past || d.discarded || d.text.Load().Gone() {
		return ErrDraftGone
	}
	d.opens++
	return nil
}

// Close undoes one Open. With the last one a text that was cut to nothing is dropped, and
// the one that was there before stays. What has arrived is let go by and by.
func (d *Draft) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opens--; d.opens > 0 || d.past {
		return nil
	}
	g := d.text.Load()
	if g.Info().State == spool.Writing && (g.Size() == 0 || !g.dirty.Load()) {
		switch {
		case len(d.gens) > 1:
			d.drop(g)
		case d.origin != nil:
			g.Discard()
			d.prune()
			return nil
		}
	}
	if g.same {
		g.Discard()
		d.prune()
		return nil
	}
	err := d.text.Load().Close()
	d.release()
	return draftError(err)
}

// Discard ends the draft: what has not arrived is removed for ever. One that is
// just being sent is deleted from the server if it arrives.
func (d *Draft) Discard() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.past {
		return nil
	}
	d.discarded = true
	var failed error
	for i := len(d.gens) - 1; i >= 0; i-- {
		g := d.gens[i]
		switch in := g.Info(); {
		case in.State.InFlight() && in.State != spool.Done:
			// The worker finds out whether it arrives.
		case in.State == spool.Done && in.UID == 0:
		default:
			if err := g.Entry.Discard(); err != nil && !errors.Is(err, spool.ErrGone) && !errors.Is(err, spool.ErrState) {
				failed = err
			}
		}
	}
	d.prune()
	d.start()
	d.a.drafts.tell()
	return failed
}
