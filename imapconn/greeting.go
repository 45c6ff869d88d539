package imapconn

import (
	"context"
	"fmt"

	"imapfs/imapconn/imapwire"
)

// greeting waits for the server's first words (RFC 3501 §7.1.5). A server may
// say several OKs (`* OK Waiting for authentication process`): the first is
// taken as the greeting, capabilities in a later one are recorded like any.
type greeting struct{ preauth bool }

func (*greeting) confusable(answerer) bool { return true }

// awaitGreeting returns when the server has greeted, and whether it takes us as
// logged in already. The place in flight was made by start.
func (c *Client) awaitGreeting(ctx context.Context, cmd *command) (preauth bool, err error) {
	select {
	case <-cmd.done:
	case <-ctx.Done():
		return false, fmt.Errorf("connect to %s: %w", c.addr, ctx.Err())
	}
	return cmd.answer.(*greeting).preauth, cmd.err
}

// greet gives an untagged status to whoever waits for the greeting; it reports
// false if nobody does.
func (c *Client) greet(s imapwire.Status, code imapwire.Code, text string) bool {
	g, cmd := answering[*greeting](c)
	if cmd == nil {
		return false
	}
	switch s {
	case imapwire.OK, imapwire.PREAUTH:
		g.preauth = s == imapwire.PREAUTH
		c.land(cmd, nil)
	default:
		c.fail(c.broken(&StatusError{Op: "greeting", Type: s.String(), Code: code.Name, Text: text}))
	}
	return true
}
