package cache

import (
	"context"
	"errors"
)

// RenameMailbox gives a mailbox, and all below it, another name (RFC 3501 §6.3.5): name,
// decoded, one level, below parent. It stays the same value, and what is known of it
// stays known.
//
// Exists: the name is taken. Invalid: as with CreateMailbox, or parent lies within m.
// NotOffered: INBOX, which RENAME would empty and not rename. NotExist, Access.
func (a *Account) RenameMailbox(ctx context.Context, m, parent *Mailbox, name string) error {
	return failure("rename", m, 0, errors.ErrUnsupported)
}
