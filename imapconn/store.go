package imapconn

import (
	"context"
	"fmt"

	"imapfs/imapconn/imapwire"
)

// AddFlags sets flags of the messages of set and leaves their others
// (RFC 3501 §6.4.6, +FLAGS.SILENT). A message that is gone is left out, without
// error. After a NO some may have been changed. What the flags are then is not
// said: the server tells others, not who asked.
func (c *Client) AddFlags(ctx context.Context, set UIDSet, flags ...string) error {
	return c.store(ctx, set, "+", flags)
}

// RemoveFlags takes flags away (-FLAGS.SILENT), else as AddFlags.
func (c *Client) RemoveFlags(ctx context.Context, set UIDSet, flags ...string) error {
	return c.store(ctx, set, "-", flags)
}

// store never sends FLAGS: it would take away what another client sets meanwhile.
func (c *Client) store(ctx context.Context, set UIDSet, sign string, flags []string) error {
	if len(flags) == 0 {
		return nil
	}
	args := storeArgs(sign, flags)
	var e imapwire.Encoder
	if args(&e); len(e.Octets()) > maxSetOctets/2 {
		return fmt.Errorf("store: %w", errManyFlags)
	}
	_, err := c.change(ctx, "UID STORE", flagging, set, args)
	return err
}

// storeArgs is what STORE has behind its set.
func storeArgs(sign string, flags []string) func(*imapwire.Encoder) {
	return func(e *imapwire.Encoder) { e.Raw(" " + sign + "FLAGS.SILENT ").Flags(flags) }
}
