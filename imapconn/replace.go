package imapconn

import (
	"context"
	"fmt"
)

// Replace stores a message in a mailbox and removes the message uid from the
// selected one, both or neither (UID REPLACE, RFC 8508 §3.3). Nothing is taken
// over from the old message: flags and date are m's. All that Append says of
// errors, the text and ctx holds here too; ErrNotOffered where the server has no
// REPLACE.
func (c *Client) Replace(ctx context.Context, uid UID, mailbox string, m NewMessage) (AppendData, error) {
	if !c.Caps().Has("REPLACE") {
		return AppendData{}, &AppendError{NotSent, fmt.Errorf("replace: %w", ErrNotOffered)}
	}
	a := &changing{kind: replacing, set: UIDSet{{First: uid, Last: uid}}}
	cmd := c.newCommand("UID REPLACE")
	cmd.mailbox = mailbox
	cmd.enc.Raw(" ").Number(int64(uid)).Raw(" ").String(mailbox)
	cmd.selected, cmd.changes, cmd.answer = true, true, a
	data, err := c.upload(ctx, cmd, m)
	if err == nil && data.UID == 0 { // it comes untagged, before the EXPUNGE (§4.3)
		data = a.appended
	}
	return data, err
}
