package imapconn

import "context"

// setCaps records what the server offers (RFC 3501 §7.2.1). The last word
// counts.
func (c *Client) setCaps(caps Caps) {
	if c.dec.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.caps = caps
}

// knowCaps asks for the capabilities unless the server has given them already,
// in its greeting or with a tagged OK.
func (c *Client) knowCaps(ctx context.Context) error {
	if c.Caps().Known() {
		return nil
	}
	return c.do(ctx, &command{op: "CAPABILITY"})
}
