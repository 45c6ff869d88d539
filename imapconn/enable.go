package imapconn

import (
	"context"
	"errors"
	"fmt"

	"imapfs/imapconn/imapwire"
)

// Enable switches extensions on (RFC 5161), before the first Select or Examine.
// ErrNotOffered where the server has no ENABLE or leaves one of them off.
func (c *Client) Enable(ctx context.Context, caps ...string) error {
	if have := c.Caps(); !have.Has("ENABLE") && !have.Has("IMAP4rev2") {
		return fmt.Errorf("enable: %w", ErrNotOffered)
	}
	cmd := c.newCommand("ENABLE")
	cmd.alone = true
	for _, name := range caps {
		if !imapwire.IsAtom(name) {
			return fmt.Errorf("enable: %q is no capability", name)
		}
		cmd.enc.Raw(" " + name)
	}
	c.mu.Lock()
	late := c.everOpen
	c.mu.Unlock()
	if late {
		return errors.New("enable: comes before the first SELECT or EXAMINE of a connection")
	}
	if err := c.do(ctx, cmd); err != nil {
		return err
	}
	c.mu.Lock()
	enabled := c.enabled
	c.mu.Unlock()
	for _, name := range caps {
		if !enabled.Has(name) {
			return fmt.Errorf("enable %s: %w", name, ErrNotOffered)
		}
	}
	return nil
}

// enabledGiven records ENABLED.
func (c *Client) enabledGiven(caps imapwire.Caps) {
	if c.dec.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append(c.enabled.Names(), caps.Names()...)
	if len(all) > imapwire.MaxCaps { // some say ENABLED again and again
		c.dec.Fail(&imapwire.LimitError{What: "MaxCaps", Limit: imapwire.MaxCaps})
		return
	}
	c.enabled = imapwire.NewCaps(all...)
}
