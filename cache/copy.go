package cache

import (
	"context"
	"errors"
)

// CopyTo copies a message to another mailbox, or to the same one (RFC 3501 §6.4.7), and
// gives the UID of the copy; 0 where the server does not say. Else as MoveTo.
func (m *Mailbox) CopyTo(ctx context.Context, v UIDValidity, uid UID, to *Mailbox) (UID, error) {
	return 0, failure("copy", m, uid, errors.ErrUnsupported)
}
