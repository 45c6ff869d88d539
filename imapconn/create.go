package imapconn

import (
	"context"
	"strings"
)

// Create makes a mailbox (RFC 3501 §6.3.3). mailbox is a wire name; some servers
// make its parents too. id is the server's name for it that outlives a RENAME
// (MAILBOXID, RFC 8474 §4.1), where it gives one.
func (c *Client) Create(ctx context.Context, mailbox string) (id string, err error) {
	cmd := c.mailboxCommand("CREATE", mailbox)
	if err := c.do(ctx, cmd); err != nil {
		return "", err
	}
	if cmd.code.Name == "MAILBOXID" {
		id = strings.Trim(cmd.code.Args, "() ")
	}
	return id, nil
}

// mailboxCommand begins a command about a mailbox.
func (c *Client) mailboxCommand(op, mailbox string) *command {
	cmd := c.newCommand(op)
	cmd.mailbox = mailbox
	cmd.enc.Raw(" ").String(mailbox)
	return cmd
}
