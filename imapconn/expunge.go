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
const removeTries = 4

// Remove removes the messages of set, and no others: it marks them \Deleted, asks which of
// them this session knows, and expunges them, in one flight. Only what the server has named
// in EXPUNGE or VANISHED is gone, or what it does not list behind a NOOP: a session that
// has not heard of a message yet says OK to all three and does nothing. What is left is
// marked, where the session knew nothing of it, and expunged again. It returns what is left
// then: messages that the server will not part with, or whose mark another client has taken
// off. With an error it is what is not known to be gone. ErrNotOffered where the server has no
// UIDPLUS.
func (c *Client) Remove(ctx context.Context, set UIDSet) (left UIDSet, err error) {
	if err := c.needUIDPlus(); err != nil {
		return set, err
	}
	left, unmarked := slices.Clone(set), slices.Clone(set)
	for try := range removeTries {
		known, gone, err := c.removeOnce(ctx, unmarked, left)
		left = left.Without(gone)
		if err != nil {
			return left, err
		}
		if try > 0 { // the session is up to date
			left = left.And(known)
		}
		if len(left) == 0 {
			return nil, nil
		}
		unmarked = left.Without(known)
		if err := c.Noop(ctx); err != nil {
			return left, err
		}
	}
	return left, nil
}

// removeOnce marks some of set, and sends UID EXPUNGE for all. It gives those that the session
// knew before, and those that were named as gone.
func (c *Client) removeOnce(ctx context.Context, unmarked, set UIDSet) (known, gone UIDSet, err error) {
	mark, _ := c.changes("UID STORE", flagging, unmarked, storeArgs("+", []string{`\Deleted`}))
	// EXPUNGE names a message by its number, and this says which UID has which.
	ask := c.fetches(set, "(UID)", func(part UIDSet) answerer {
		return &metaAnswer{set: part, f: func(m Meta) { known.Add(m.UID) }}
	})
	cmds, answers := c.changes("UID EXPUNGE", expunging, set, func(*imapwire.Encoder) {})
	for _, cmd := range ask { // nothing at all is sent where nothing can be changed
		cmd.changes = true
	}
	err = c.doAll(ctx, slices.Concat(mark, ask, cmds)...)
	for _, a := range answers {
		add(&gone, a.gone)
	}
	return known, gone, err
}

// ExpungeAll removes all messages of the selected mailbox that are marked \Deleted,
// whoever has marked them (EXPUNGE, RFC 3501 §6.4.3). Only who has shown a person
// what would go and was told to may call it: `imapfs expunge`.
func (c *Client) ExpungeAll(ctx context.Context) error {
	return c.do(ctx, &command{op: "EXPUNGE", alone: true, changes: true})
}
