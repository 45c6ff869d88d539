package imapconn

import (
	"context"
	"fmt"
)

// Unselect leaves the mailbox and expunges nothing (RFC 3691). CLOSE is never
// sent. ErrNotOffered where the server has no UNSELECT: Examine another then.
func (c *Client) Unselect(ctx context.Context) error {
	if have := c.Caps(); !have.Has("UNSELECT") && !have.Has("IMAP4rev2") {
		return fmt.Errorf("unselect: %w", ErrNotOffered)
	}
	return c.do(ctx, &command{
		op:       "UNSELECT",
		alone:    true,
		selected: true,
		resolved: func(ok bool) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if ok {
				c.box = nil
			}
			return nil
		},
	})
}
