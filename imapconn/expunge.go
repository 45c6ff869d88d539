package imapconn

import (
	"context"
	"fmt"
	"slices"

	"imapfs/imapconn/imapwire"
)

// Expunge removes those messages of set that are marked \Deleted, and no others
// (UID EXPUNGE, RFC 4315 §2.1). It returns those that the server has named as gone,
// which is what counts: an OK alone is no proof, Dovecot says it and does nothing
// where another session is in the way. EXPUNGE names a message by a number, so only
// those are named whose UID this connection has met in a FETCH. ErrNotOffered
// where the server has no UIDPLUS: there is no other way to remove some and not all.
func (c *Client) Expunge(ctx context.Context, set UIDSet) (gone UIDSet, err error) {
	if err := c.needUIDPlus(); err != nil {
		return nil, err
	}
	answers, err := c.change(ctx, "UID EXPUNGE", expunging, set, func(*imapwire.Encoder) {})
	for _, a := range answers {
		add(&gone, a.gone)
	}
	return gone, err
}

func (c *Client) needUIDPlus() error {
	if have := c.Caps(); !have.Has("UIDPLUS") && !have.Has("IMAP4rev2") {
		return fmt.Errorf("expunge: %w", ErrNotOffered)
	}
	return nil
}

// removeTries bounds how often Remove sends UID EXPUNGE for what is still there, in
// times.
const removeTries = 3

// Remove removes the messages of set, and no others: it marks them \Deleted,
// expunges them and asks which of them are left, in one flight. What is left is
// expunged again, after a NOOP. It returns what is left then: messages that the
// server will not part with, or whose mark another client has taken off. With an
// error it is what is not known to be gone. ErrNotOffered where the server has no
// UIDPLUS.
func (c *Client) Remove(ctx context.Context, set UIDSet) (left UIDSet, err error) {
	if err := c.needUIDPlus(); err != nil {
		return set, err
	}
	mark, _ := c.changes("UID STORE", flagging, set, storeArgs("+", []string{`\Deleted`}))
	for range removeTries {
		if set, err = c.removeOnce(ctx, mark, set); err != nil || len(set) == 0 {
			return set, err
		}
		if err := c.Noop(ctx); err != nil {
			return set, err
		}
		mark = nil
	}
	return set, nil
}

// removeOnce sends first, UID EXPUNGE for set, and the question which of set are
// left.
func (c *Client) removeOnce(ctx context.Context, first []*command, set UIDSet) (left UIDSet, err error) {
	cmds, answers := c.changes("UID EXPUNGE", expunging, set, func(*imapwire.Encoder) {})
	ask := c.fetches(set, "(UID)", func(part UIDSet) answerer {
		return &metaAnswer{set: part, f: func(m Meta) { left.Add(m.UID) }}
	})
	if len(ask) == 0 {
		return nil, nil
	}
	for _, cmd := range ask { // nothing at all is sent where nothing can be changed
		cmd.changes = true
	}
	err = c.doAll(ctx, slices.Concat(first, cmds, ask)...)
	if err != nil {
		left = slices.Clone(set)
	}
	// One that was spoken of while the expunge was on its way may be gone since.
	for _, a := range answers {
		left = left.Without(a.gone)
	}
	return left, err
}

// ExpungeAll removes all messages of the selected mailbox that are marked \Deleted,
// whoever has marked them (EXPUNGE, RFC 3501 §6.4.3). Only who has shown a person
// what would go and was told to may call it: `imapfs expunge`.
func (c *Client) ExpungeAll(ctx context.Context) error {
	return c.do(ctx, &command{op: "EXPUNGE", alone: true, changes: true})
}
