package imapconn

import (
	"context"

	"imapfs/imapconn/imapwire"
)

// Copy copies the messages of set from the selected mailbox to another
// (RFC 3501 §6.4.7), which may have been examined. mailbox is a wire name. A
// message that is gone is left out, without error. A long set goes in several
// commands: with an error the result says what was copied for certain, and of the
// rest nothing is known.
func (c *Client) Copy(ctx context.Context, set UIDSet, mailbox string) (CopyData, error) {
	return c.copy(ctx, "UID COPY", copying, set, mailbox)
}

func (c *Client) copy(ctx context.Context, op string, kind change, set UIDSet, mailbox string) (CopyData, error) {
	cmds, answers := c.changes(op, kind, set, func(e *imapwire.Encoder) { e.Raw(" ").String(mailbox) })
	if len(cmds) == 0 {
		return CopyData{}, nil
	}
	for _, cmd := range cmds {
		cmd.mailbox = mailbox
	}
	err := c.doAll(ctx, cmds...)
	return copyData(answers), err
}
