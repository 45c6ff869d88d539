package cache

import (
	"context"
	"errors"
	"io"
	"time"
)

// Pending is a text that the server does not have, or has with other octets.
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
}

// Pending lists them, the oldest first, from memory. Scratch files are not among them.
func (a *Account) Pending() []Pending { return nil }

// FlushDrafts tries at once to send whatever is owed, and returns when all is with the
// server, each has failed once more, or ctx ends: for unmount. progress, which may be
// nil, is called with the octets that are sent and those that there are. The error
// says what is left: it is in the spool and is sent by the next mount.
func (a *Account) FlushDrafts(ctx context.Context, progress func(done, total int64)) error {
	return errors.ErrUnsupported
}

// Export writes a text of Pending as it is, whole or not. NotExist: there is none.
func (a *Account) Export(id string, w io.Writer) error { return errors.ErrUnsupported }

// DiscardPending removes a text of Pending for ever. NotExist: there is none. Busy: it is
// just being sent.
func (a *Account) DiscardPending(id string) error { return errors.ErrUnsupported }
