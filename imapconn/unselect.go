package imapconn

import (
	"context"
	"fmt"
)

// Unselect leaves the mailbox and expunges nothing (RFC 3691). On a server of
// RFC 1730 CLOSE does that, but only after EXAMINE (§6.4.2): it is sent then, and
// never else. ErrNotOffered where there is no such way: Examine another then.
func (c *Client) Unselect(ctx context.Context) error {
	cmd := &command{op: "UNSELECT", selected: true}
	switch have := c.Caps(); {
	case have.Has("UNSELECT"), have.Has("IMAP4rev2"):
	case have.Has("IMAP4") && !have.Rev1():
		cmd = &command{op: "CLOSE", examined: true}
	default:
		return fmt.Errorf("unselect: %w", ErrNotOffered)
	}
	cmd.alone = true
	cmd.resolved = func(ok bool) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if ok {
			c.box = nil
		}
		return nil
	}
	return c.do(ctx, cmd)
}
