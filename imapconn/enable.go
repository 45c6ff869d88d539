package imapconn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imapfs/imapconn/imapwire"
)

// Enable switches extensions on (RFC 5161), before the first Select or Examine.
// ErrNotOffered where the server has no ENABLE or leaves one of them off.
func (c *Client) Enable(ctx context.Context, caps ...string) error {
	if !c.hasEnable() {
		return notOffered("enable")
	}
	for _, name := range caps {
		if !imapwire.IsAtom(name) {
			return fmt.Errorf("enable: %q is no capability", name)
		}
	}
	c.mu.Lock()
	late := c.everOpen
	c.mu.Unlock()
	if late {
		return errors.New("enable: comes before the first SELECT or EXAMINE of a connection")
	}
	if err := c.do(ctx, c.enableCommand(caps...)); err != nil {
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

func (c *Client) hasEnable() bool {
	have := c.Caps()
	return have.Has("ENABLE") || have.Has("IMAP4rev2")
}

func (c *Client) enableCommand(caps ...string) *command {
	cmd := c.newCommand("ENABLE")
	cmd.enc.Raw(" " + strings.Join(caps, " "))
	return cmd
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
