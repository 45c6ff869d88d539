package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"imapfs/cache/spool"
)

// Pending is a text that the server does not have, or has with other octets, or that is to
// replace a message which could not be deleted yet (State is done then).
type Pending struct {
	ID      string    `json:"id"`
	Mailbox string    `json:"mailbox"` // decoded, levels joined with /
	Name    string    `json:"name"`
	Size    int64     `json:"size"`  // octets
	State   string    `json:"state"` // spool.State's word
	Since   time.Time `json:"since"`
	Error   string    `json:"error,omitzero"` // of the last try, or why it is not whole
	Tries   int       `json:"tries"`
	Next    time.Time `json:"next,omitzero"` // when it is tried again; zero: not by itself, or now
	UID     UID       `json:"uid,omitzero"`  // where the server has other octets
	Path    string    `json:"path,omitzero"` // of the text as it was written; of Orphans
}

// PendingStatus is what Pending comes to.
type PendingStatus struct {
	Texts  int       `json:"texts"`
	Octets int64     `json:"octets"`
	Oldest time.Time `json:"oldest,omitzero"`
	Error  string    `json:"error,omitzero"` // of what was tried last
}

// pendingStatus sums up what is pending.
func (a *Account) pendingStatus() (s PendingStatus) {
	var last time.Time
	for _, d := range a.drafts.list() {
		d.mu.Lock()
		for _, g := range d.gens {
			p, ok := d.pending(g)
			if !ok {
				continue
			}
			s.Texts++
			s.Octets += p.Size
			if s.Oldest.IsZero() || p.Since.Before(s.Oldest) {
				s.Oldest = p.Since
			}
			if tried := g.Info().Tried; p.Error != "" && (s.Error == "" || tried.After(last)) {
				s.Error, last = p.Error, tried
			}
		}
		d.mu.Unlock()
	}
	return s
}

// Orphans lists the texts in a spool (Config.State) whose daemon is gone, the oldest first.
// The next Open sends them, or has them in its Pending. Nothing is changed by looking.
func Orphans(state string) ([]Pending, error) {
	found, err := spool.Orphans(state)
	if err != nil {
		return nil, &Error{Op: "spool", Kind: IO, Err: fmt.Errorf("%w (see the rights of %s)", err, state)}
	}
	all := make([]Pending, 0, len(found))
	for _, o := range found {
		p := pendingOf(o.Info)
		p.Path = o.Path
		all = append(all, p)
	}
	return all, nil
}

func pendingOf(in *spool.Info) Pending {
	return Pending{ID: in.ID, Mailbox: pathOf(in.Mailbox), Name: in.Name, Size: in.Size, State: in.State.String(),
		Since: in.Since, Error: spoolRefusal(in), Tries: in.Tries, UID: in.UID}
}

// Pending lists them, the oldest first, from memory. Scratch files are not among them, nor
// what a program has open and has not closed or synced yet.
func (a *Account) Pending() []Pending {
	var all []Pending
	for _, d := range a.drafts.list() {
		d.mu.Lock()
		for _, g := range d.gens {
			if p, ok := d.pending(g); ok {
				all = append(all, p)
			}
		}
		d.mu.Unlock()
	}
	return all
}

// pending says what is pending of a generation. mu is held.
func (d *Draft) pending(g *generation) (Pending, bool) {
	in := g.Info()
	switch in.State {
	case spool.Ready, spool.Sending, spool.Unknown, spool.Refused, spool.Changed:
	case spool.Done:
		if g.kept == nil || len(in.Replaces) == 0 {
			return Pending{}, false
		}
	case spool.Writing:
		switch {
		case in.Damage == spool.Interrupted: // whoever wrote it is gone
		case d.opens > 0, in.Damage == spool.Whole && !g.dirty.Load():
			return Pending{}, false
		}
	default:
		return Pending{}, false
	}
	if g.same || g.Gone() {
		return Pending{}, false
	}
	p := pendingOf(in)
	p.Size, p.Next = g.Size(), d.next
	if in.State == spool.Done {
		p.Next, p.Error = time.Time{}, fmt.Sprintf("it has arrived, and what it replaces is still there: %v", g.kept)
	}
	if p.Error == "" && d.failure != nil && in.State != spool.Writing {
		p.Error = d.failure.Error() // the spool notes only what a server has said
	}
	return p, true
}

// pendingByID finds a text of Pending.
func (a *Account) pendingByID(id string) (*Draft, *generation) {
	for _, d := range a.drafts.list() {
		d.mu.Lock()
		for _, g := range d.gens {
			if _, ok := d.pending(g); ok && g.Info().ID == id {
				d.mu.Unlock()
				return d, g
			}
		}
		d.mu.Unlock()
	}
	return nil, nil
}

var errNoPending = errors.New("nothing of that name is pending (imapfs pending lists what is)")

// Export writes a text of Pending, or of a draft (Draft.ID), as it is, whole or not.
// NotExist: there is none.
func (a *Account) Export(id string, w io.Writer) error {
	_, g := a.pendingByID(id)
	for _, d := range a.drafts.list() {
		if g == nil && d.ID() == id {
			g = d.text.Load()
		}
	}
	if g == nil {
		return &Error{Op: "export", Kind: NotExist, Err: errNoPending}
	}
	_, err := g.Export(w)
	return failure("export", nil, 0, err)
}

// DiscardPending removes a text of Pending for ever. What one that has arrived was to replace
// stays. NotExist: there is none. Busy: it is just being sent.
func (a *Account) DiscardPending(id string) error {
	d, g := a.pendingByID(id)
	if d == nil {
		return &Error{Op: "discard", Kind: NotExist, Err: errNoPending}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := g.Entry.Discard()
	if errors.Is(err, spool.ErrState) {
		return &Error{Op: "discard", Kind: Busy, Err: err}
	}
	d.prune()
	wake(d.kick)
	a.drafts.tell()
	return failure("discard", nil, 0, err)
}

// flushPace is how often the octets that went out are told, at most.
const flushPace = 200 * time.Millisecond

// FlushDrafts tries at once to send whatever is owed, and returns when all is with the
// server and what it replaces is gone, each has failed once more (checkTries times to be
// checked, or to have what it replaces deleted), or ctx ends: for unmount. progress, which
// may be nil, is called with the octets that are sent and those that there are. The error
// says what is left: it is in the spool, and the next mount goes on with it.
func (a *Account) FlushDrafts(ctx context.Context, progress func(done, total int64)) error {
	ds := a.drafts
	ds.mu.Lock()
	ds.hurry++
	before := ds.octets.Load()
	ds.mu.Unlock()
	defer func() {
		ds.mu.Lock()
		ds.hurry--
		ds.mu.Unlock()
	}()
	ds.hasten()
	failures := make(map[*Draft][2]int)
	var total int64
	for _, d := range ds.list() {
		d.mu.Lock()
		failures[d] = [2]int{d.failures, d.putOffs}
		due := d.due()
		for _, g := range d.gens {
			if in := g.Info(); g == due || in.State == spool.Sending {
				total += in.Length
			}
		}
		d.start()
		d.release()
		d.mu.Unlock()
		wake(d.kick)
	}
	for {
		news := ds.news()
		wake(ds.check)
		wake(ds.now)
		if progress != nil {
			progress(min(ds.octets.Load()-before, total), total)
		}
		if !a.busyDrafts(failures) {
			break
		}
		t := time.NewTimer(flushPace)
		select {
		case <-news:
		case <-t.C:
		case <-a.ctx.Done():
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil || a.ctx.Err() != nil {
			break
		}
	}
	for _, d := range ds.list() {
		d.mu.Lock()
		d.release()
		d.mu.Unlock()
	}
	return a.left()
}

// left says what a flush has left; nil: nothing.
func (a *Account) left() error {
	texts, replaced := 0, 0
	for _, p := range a.Pending() {
		if p.State != spool.Done.String() {
			texts++
		}
	}
	for _, d := range a.drafts.list() {
		d.mu.Lock()
		for _, g := range d.gens {
			if in := g.Info(); in.State == spool.Done && len(in.Replaces) > 0 && !g.Gone() {
				replaced++
			}
		}
		d.mu.Unlock()
	}
	var errs error
	if texts > 0 {
		errs = fmt.Errorf("%d texts are not with the server (they are in the spool, and sent by the next mount; see imapfs pending)", texts)
	}
	if replaced > 0 {
		errs = joint(errs, fmt.Errorf("what %d texts replace is still there beside them (the next mount deletes it; see imapfs pending)", replaced))
	}
	if errs == nil {
		return nil
	}
	return &Error{Op: "flush", Kind: IO, Err: errs}
}

// busyDrafts reports whether something is still to be sent or checked that has not failed
// since it had failed so often, to be sent (once more) and to be checked (checkTries times).
func (a *Account) busyDrafts(failures map[*Draft][2]int) bool {
	for _, d := range a.drafts.list() {
		d.mu.Lock()
		busy := d.due() != nil && d.failures <= failures[d][0]
		for _, g := range d.gens {
			in := g.Info()
			open := !g.checked || len(in.Replaces) > 0
			busy = busy || in.State == spool.Sending || in.State == spool.Done && !g.Gone() && open && d.putOffs < failures[d][1]+checkTries
		}
		d.mu.Unlock()
		if busy {
			return true
		}
	}
	return false
}
