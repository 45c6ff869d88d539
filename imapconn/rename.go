package imapconn

import "context"

// Rename gives a mailbox and those below it another name (RFC 3501 §6.3.5). The
// server refuses one that is taken. INBOX is not renamed but emptied into the new
// mailbox. Neither the mailbox nor one below it should be selected: Dovecot ends
// such sessions.
func (c *Client) Rename(ctx context.Context, from, to string) error {
	cmd := c.mailboxCommand("RENAME", from)
	cmd.enc.Raw(" ").String(to)
	cmd.alone = true
	return c.do(ctx, cmd)
}
