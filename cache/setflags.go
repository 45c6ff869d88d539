package cache

import (
	"context"
	"errors"
)

// SetFlags adds flags to those of a message, known under UIDVALIDITY v, and takes others
// away (RFC 3501 §6.4.6). What others it has stays. Flags compare without regard to
// case. Only what differs from what is known is sent. \Recent is left out; so is what
// the mailbox does not keep (PERMANENTFLAGS), which is logged once for a mailbox. The
// snapshot has the flags when SetFlags returns nil.
//
// NotOffered: \Deleted, which is Delete's; or nothing that was asked for is kept.
// Invalid: what cannot be a flag. Else as Delete.
func (m *Mailbox) SetFlags(ctx context.Context, v UIDValidity, uid UID, add, remove []string) error {
	return failure("flag", m, uid, errors.ErrUnsupported)
}
