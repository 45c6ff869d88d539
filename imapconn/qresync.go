package imapconn

import (
	"context"
	"errors"
	"fmt"
)

// Since is the state of a mailbox that is known, and who is told what has changed
// since (RFC 7162 §3.2.5). The callbacks run on the goroutine that reads the
// connection, as those of a Recorder do, and only until ExamineSince returns.
type Since struct {
	UIDValidity UIDValidity
	ModSeq      ModSeq // not 0
	// Flags gives the flags of a message that is new or has other ones.
	Flags func(uid UID, flags []string)
	// Vanished names messages that went, first to last. There may be UIDs among
	// them that were never a message's.
	Vanished func(first, last UID)
	// Again says that what was told so far was about another mailbox.
	Again func()
}

// QResync reports whether QRESYNC is enabled: ExamineSince can be used, and what
// goes in a mailbox with mod-sequences is named by its UID.
func (c *Client) QResync() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.qresync && !c.noModSeqs
}

// introduce says who we are and switches on QRESYNC, else CONDSTORE, before
// anything is selected (RFC 7162 §3.2.3), in one flight. A server that refuses is
// used without. Only a connection that has broken is an error.
func (c *Client) introduce(ctx context.Context) error {
	cmds := c.idCommands()
	name := c.syncOffered()
	if name == "" {
		return c.enqueue(cmds) // nobody waits for the answer to ID
	}
	c.mu.Lock()
	c.enabled = Caps{} // nobody has asked yet
	c.mu.Unlock()
	err := c.doAll(ctx, append(cmds, c.enableCommand(name))...)
	var refused *StatusError
	if errors.As(err, &refused) && refused.Type != "BYE" {
		err = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.qresync = name == "QRESYNC" && c.enabled.Has(name)
	return err
}

// syncOffered is the best of QRESYNC and CONDSTORE that can be enabled.
func (c *Client) syncOffered() string {
	have := c.Caps()
	for _, name := range []string{"QRESYNC", "CONDSTORE"} {
		if have.Has(name) && c.hasEnable() {
			return name
		}
	}
	return ""
}

// ExamineSince is Examine that first has the server tell what has changed since a
// state that is known. SelectData.Resynced says whether it has: not where the
// mailbox has another UIDVALIDITY now, no mod-sequences, or lower ones. Whoever
// believes it compares the number of messages afterwards. ErrNotOffered without
// QRESYNC.
func (c *Client) ExamineSince(ctx context.Context, mailbox string, rec Recorder, since Since) (SelectData, error) {
	if !c.QResync() {
		return SelectData{}, notOffered("examine since")
	}
	data, err := c.enter(ctx, "EXAMINE", mailbox, rec, &since)
	data.Resynced = data.Resynced && data.keepsModSeqs() && data.HighestModSeq >= since.ModSeq &&
		data.HasUIDValidity && data.UIDValidity == since.UIDValidity
	return data, err
}

func notOffered(what string) error { return fmt.Errorf("%s: %w", what, ErrNotOffered) }

// tellSince calls back whoever waits for the changes at EXAMINE, if he still does.
func (box *selection) tellSince(f func(*Since)) {
	if box.since == nil {
		return
	}
	box.cmd.mu.Lock()
	defer box.cmd.mu.Unlock()
	if !box.cmd.abandoned.Load() {
		f(box.since)
	}
}

// vanished reads VANISHED (RFC 7162 §3.2.10), range by range: none is kept.
func (c *Client) vanished() {
	d := c.dec
	box, answered := c.selection()
	if !c.QResync() || box == nil {
		d.SkipResponse()
		c.lost("VANISHED")
		return
	}
	d.Spaces()
	earlier := d.Accept('(')
	if earlier {
		d.Atom() // EARLIER
		d.Expect(')')
		d.Spaces()
	}
	c.ranges(func(first, last UID) {
		switch {
		case earlier && !answered:
			box.tellSince(func(s *Since) { s.Vanished(first, last) })
		case !earlier && answered:
			c.vanishedNow(box, first, last)
		}
	})
	d.EOL()
}

// vanishedNow records that messages went, each of which was there.
func (c *Client) vanishedNow(box *selection, first, last UID) {
	n := uint64(last-first) + 1
	switch {
	case !box.byUID:
		c.lost("VANISHED")
		return
	case n > uint64(box.count):
		c.lost("VANISHED of more messages than there are")
		return
	}
	box.count -= uint32(n)
	c.gone(UIDSet{{First: first, Last: last}})
	if box.rec != nil {
		box.rec.Vanished(first, last)
	}
}

// existsByUID is exists where no message numbers are kept.
func (c *Client) existsByUID(box *selection, n uint32) {
	switch {
	case n > MaxMessages:
		c.dec.Fail(tooMany())
	case n < box.count:
		c.lost("fewer EXISTS without VANISHED")
	case n > box.count:
		box.count = n
		if box.rec != nil {
			box.rec.Exists(n)
		}
	}
}
