package cache

import (
	"context"
	"time"

	"imapfs/imapconn"
)

// conn is one connection of the pool. Its fields are guarded by pool.mu.
type conn struct {
	client *imapconn.Client
	sel    *selection // what is selected or being selected; nil: nothing
	users  int        // who use it now; while there are any, sel stays
	bulk   int        // those of them who fetch ahead: others would wait behind that
	wanted bool       // somebody waits to select another mailbox on it: nobody joins
	idler  func()     // asks the one who idles, and is one of the users, to stop; nil: nobody idles
	used   time.Time  // when it was last released

	selections int  // how often a mailbox was selected on it, or refused
	dead       bool // no longer in the pool
	given      bool // somebody has used it
	doubts     int  // how often it was to be asked for a sign of life since that began; 0: it is not
}

// selection is one mailbox selected on one connection, from its EXAMINE on.
type selection struct {
	box   *Mailbox
	moves uint32    // of the mailbox when this was begun
	since time.Time // when that was
	hear  *hearing

	sampling chan struct{} // closed when the sample is on its way and supposed is set; entered may be closed without
	supposed *epoch        // what epoch will be if the sample agrees

	entered chan struct{} // closed when what follows is set
	epoch   *epoch
	err     error // the mailbox could not be selected
}

// newSelection is made before the EXAMINE: where the mailbox is renamed meanwhile it
// is taken for one of the old name, and made anew.
func newSelection(m *Mailbox) *selection {
	return &selection{box: m, moves: m.moves.Load(), since: time.Now(), hear: newHearing(m),
		sampling: make(chan struct{}), entered: make(chan struct{})}
}

// suppose says that only the sample is waited for.
func (s *selection) suppose(e *epoch) {
	s.supposed = e
	close(s.sampling)
}

// awaitSampling waits until only the sample is waited for, and reports whether it is: false
// where the mailbox is entered or refused, where UIDs have come to mean others meanwhile,
// and where ctx has ended.
func (s *selection) awaitSampling(ctx context.Context) bool {
	select {
	case <-s.entered:
		return false
	default:
	}
	select {
	case <-s.sampling:
		return s.supposed == s.box.current.Load()
	case <-s.entered:
	case <-ctx.Done():
	}
	return false
}

// judged says why what came before the mailbox was entered is to be thrown away; nil: it
// is of the messages that were meant. entered is closed.
func (s *selection) judged() error {
	switch {
	case s.err != nil:
		return s.err
	case s.epoch != s.supposed:
		return errValidity
	}
	return nil
}

// writes reports whether a mailbox is selected for changes.
func (c *conn) writes() bool { return c.sel != nil && c.sel.hear.write }

// renamed reports whether the mailbox has had another name since. The server may
// go on with what was selected under the old one, or end it, or follow the name.
func (s *selection) renamed() bool { return s.moves != s.box.moves.Load() }

// ready reports whether the mailbox was selected, under the name that it has now,
// and its UIDs are those of now.
func (s *selection) ready() bool {
	select {
	case <-s.entered:
		return s.err == nil && !s.renamed() && s.epoch == s.box.current.Load()
	default:
		return false
	}
}

// joinable reports whether one more who needs the mailbox may use the connection.
func (s *selection) joinable() bool {
	select {
	case <-s.entered:
		return s.ready()
	default:
		return !s.renamed() // who joins waits for entered
	}
}

// alive reports whether the connection has not died; the pool may not know yet.
func (c *conn) alive() bool {
	if c.dead {
		return false
	}
	select {
	case <-c.client.Done():
		return false
	default:
		return true
	}
}

// busy counts the users but for the one who idles.
func (c *conn) busy() int {
	if c.idler != nil {
		return c.users - 1
	}
	return c.users
}

// has reports whether m is selected, or being selected.
func (c *conn) has(m *Mailbox) bool { return c.sel != nil && c.sel.box == m }

// apart reports whether a mailbox is not selected, nor one that had its name before and is gone:
// to the server that may be the same.
func (c *conn) apart(m *Mailbox) bool { return c.sel == nil || c.sel.box.WireName() != m.WireName() }

// lookedInto is when somebody looked into the selected mailbox last, Unix
// nanoseconds; 0: never, or there is none.
func (c *conn) lookedInto() int64 {
	if c.sel == nil {
		return 0
	}
	return c.sel.box.touched.Load()
}

// lease is the use of a connection until release. While it lasts, the mailbox
// that was asked for stays selected.
type lease struct {
	pool   *pool
	conn   *conn
	client *imapconn.Client
	hear   *hearing  // nil where no mailbox was asked for
	since  time.Time // when the selection was begun
	epoch  *epoch
	bulk   bool

	unproven *selection // whose sample is not judged yet: epoch is what is supposed; nil: there is none
}

// proven waits until it is known whether the UIDs mean the messages that were meant. An
// error: what came over the lease before may be of others.
func (l *lease) proven(ctx context.Context) error {
	if l.unproven == nil {
		return nil
	}
	select {
	case <-l.unproven.entered:
		return l.unproven.judged()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release gives the connection back.
func (l *lease) release() {
	if l.bulk {
		l.pool.mu.Lock()
		l.conn.bulk--
		l.pool.mu.Unlock()
	}
	l.pool.release(l.conn)
}
