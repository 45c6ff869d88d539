package imapconn

import (
	"context"
	"fmt"
)

// Move moves the messages of set from the selected mailbox to another: each is
// copied and then expunged, and nothing else is (RFC 6851 §3.3). ErrNotOffered
// where the server has no MOVE; it is not made of other commands here. A message
// that is gone is left out, without error. A NO may come when part of the set was
// moved: with an error the result says what was moved for certain, and of the rest
// nothing is known.
func (c *Client) Move(ctx context.Context, set UIDSet, mailbox string) (CopyData, error) {
	if have := c.Caps(); !have.Has("MOVE") && !have.Has("IMAP4rev2") {
		return CopyData{}, fmt.Errorf("move: %w", ErrNotOffered)
	}
	return c.copy(ctx, "UID MOVE", moving, set, mailbox)
}
