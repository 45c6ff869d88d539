package cache

import (
	"context"
	"errors"
)

// OnDelete says what becomes of a message that is deleted.
type OnDelete int

const (
	// DeleteExpunge removes it from the server: the default. Gmail, where that would
	// only take a label off, moves it to the trash all the same.
	DeleteExpunge OnDelete = iota
	// DeleteTrash moves it to the trash: the mailbox with the attribute \Trash (RFC
	// 6154), else `Deleted Messages`, which is made where it is missing. What lies in the
	// trash is removed.
	DeleteTrash
)

// Delete deletes a message, known under UIDVALIDITY v, and no other one: by UID
// EXPUNGE (RFC 4315); where the server has only MOVE, by moving it to the trash; else it
// is marked \Deleted and hidden from then on, until another client expunges it or takes
// the mark off (hide.go). A plain EXPUNGE is never sent.
//
// The snapshot is without the message when Delete returns nil. When ctx ends first
// the work goes on, and what comes of it is published.
//
// NotExist: there is no such message any more. Stale: another UIDVALIDITY. ReadOnly,
// Access: the mailbox, or the server, does not let us. Busy: the server keeps it.
func (m *Mailbox) Delete(ctx context.Context, v UIDValidity, uid UID) error {
	return failure("delete", m, uid, errors.ErrUnsupported)
}
