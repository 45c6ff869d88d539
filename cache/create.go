package cache

import (
	"context"
	"errors"
)

// CreateMailbox makes a mailbox below parent, which is the tree's root or any other
// (RFC 3501 §6.3.3), and subscribes to it. name is decoded, one level. The tree has it
// when CreateMailbox returns nil.
//
// Exists: the name is taken. Invalid: it cannot be a level's name: empty, with a control
// character or the server's delimiter in it. NotOffered: parent takes none below it, or
// CANNOT. NotExist: parent is gone. Access, Quota.
func (a *Account) CreateMailbox(ctx context.Context, parent *Mailbox, name string) (*Mailbox, error) {
	return nil, failure("create", parent, 0, errors.ErrUnsupported)
}
