package spool

import (
	"errors"
	"fmt"
)

// What a method refuses. Errors of the disk come as they are, so that ENOSPC and
// EDQUOT reach whoever writes.
var (
	// ErrState: the state does not allow it. It is wrapped with the state's name.
	ErrState = errors.New("not in this state")
	// ErrGone: the entry has been removed, or the spool closed.
	ErrGone = errors.New("the text is no longer in the spool")
	// ErrTorn: the text is not whole: a write failed, a program or the machine
	// stopped in the middle, or it is not what was committed.
	ErrTorn = errors.New("the text in the spool is not whole (write it anew, or export it and look)")
	// ErrEmpty: a text of length 0 is never committed.
	ErrEmpty = errors.New("the text is empty")
	// ErrFrozen: a committed text is not written to; Edit gives one that is.
	ErrFrozen = errors.New("the text is committed")
	// ErrEarlier: what became of an earlier generation is not known yet.
	ErrEarlier = errors.New("an earlier text of this name is on its way")
	// ErrSuperseded: a later generation is committed, which is sent instead.
	ErrSuperseded = errors.New("a later text of this name replaces it")
	// ErrFull: the spool holds as much as it may.
	ErrFull = errors.New("the spool is full (imapfs pending)")
	// ErrTooLong: a name, a flag or a set of UIDs is over its limit.
	ErrTooLong = errors.New("too long for the spool")
)

// stateError says what was tried in which state.
func stateError(op string, s State) error {
	return fmt.Errorf("%s: the text is %s: %w", op, s, ErrState)
}
