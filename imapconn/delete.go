package imapconn

import "context"

// Delete removes a mailbox with all its messages (RFC 3501 §6.3.4): every server
// that was tried takes a mailbox that is not empty, and the mail that has arrived
// since one looked. It must not be selected, here or on another connection.
func (c *Client) Delete(ctx context.Context, mailbox string) error {
	cmd := c.mailboxCommand("DELETE", mailbox)
	cmd.alone = true
	return c.do(ctx, cmd)
}
