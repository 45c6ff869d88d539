package imapconn

import "context"

// Subscribe puts a mailbox on the list that LSUB gives (RFC 3501 §6.3.6).
func (c *Client) Subscribe(ctx context.Context, mailbox string) error {
	return c.do(ctx, c.mailboxCommand("SUBSCRIBE", mailbox))
}

// Unsubscribe takes it off (RFC 3501 §6.3.7).
func (c *Client) Unsubscribe(ctx context.Context, mailbox string) error {
	return c.do(ctx, c.mailboxCommand("UNSUBSCRIBE", mailbox))
}
