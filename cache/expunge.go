package cache

import (
	"context"
	"errors"
)

// Expunge removes all messages of m that are marked \Deleted, whoever has marked them
// (RFC 3501 §6.4.3), if confirm, which is called with those that are known, says so.
// What another client marks meanwhile goes with them. It is the only way to be rid of
// what Delete has hidden.
func (a *Account) Expunge(ctx context.Context, m *Mailbox, confirm func([]Message) bool) error {
	return failure("expunge", m, 0, errors.ErrUnsupported)
}
