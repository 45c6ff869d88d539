package imapconn

import (
	"context"
	"errors"
)

// startTLS protects a connection that began in the clear (RFC 3501 §6.2.1). The
// server's offer is looked for first, so that its absence has a name. The reader
// makes the handshake itself when it has read the OK: whatever came behind the
// OK in the clear is discarded, and what was said before is forgotten: anybody may
// have said it.
func (d *Dialer) startTLS(ctx context.Context, c *Client) error {
	if err := c.knowCaps(ctx); err != nil {
		return err
	}
	if !c.Caps().Has("STARTTLS") {
		return &TLSError{c.addr, errors.New("server does not offer STARTTLS"), "use imaps://, or --tls none to send the password in the clear"}
	}
	err := c.do(ctx, &command{
		op:    "STARTTLS",
		alone: true,
		resolved: func(ok bool) error {
			if !ok {
				return nil
			}
			conn, err := d.handshake(ctx, c, d.metered(c, c.raw))
			if err != nil {
				c.dec.Fail(err)
				return err
			}
			c.conn = conn
			c.dec.Reset(c.traced(conn))
			c.sink.reset(conn)
			c.forgetClear()
			return nil
		},
	})
	var refused *StatusError
	if errors.As(err, &refused) {
		return &TLSError{c.addr, err, "use imaps://, or --tls none to send the password in the clear"}
	}
	return err
}

// forgetClear drops what was said before TLS.
func (c *Client) forgetClear() {
	c.unproved, c.alerts = false, 0
	c.mu.Lock()
	defer c.mu.Unlock()
	c.caps, c.enabled = Caps{}, Caps{}
}
