package imapconn

import (
	"context"
	"strconv"
)

// Condstore reports whether mailboxes are selected so that they tell their
// mod-sequences (RFC 7162 §3.1): SelectData.HighestModSeq, FetchChanged, and
// HIGHESTMODSEQ in Status.
func (c *Client) Condstore() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.condstore()
}

// condstore is Condstore with c.mu held.
func (c *Client) condstore() bool {
	return !c.noModSeqs && (c.qresync || c.enabled.Has("CONDSTORE") || c.caps.Has("CONDSTORE"))
}

// selectParameter is what stands behind the name in SELECT and EXAMINE. Where
// CONDSTORE is offered and could not be enabled, each selection asks for it: there
// may be no ENABLE, and a server that has one need not take CONDSTORE by it
// (RFC 7162 §3.1.8, §3.2.3).
func (c *Client) selectParameter(since *Since) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case since != nil:
		return " (QRESYNC (" + strconv.FormatUint(uint64(since.UIDValidity), 10) + " " + strconv.FormatUint(uint64(since.ModSeq), 10) + "))"
	case c.condstore() && !c.qresync && !c.enabled.Has("CONDSTORE"):
		return " (CONDSTORE)"
	}
	return ""
}

// FetchChanged gives f the UID and flags of the messages in set that are new or
// have other flags since a mod-sequence (CHANGEDSINCE, RFC 7162 §3.1.4.1); it is
// not told of messages that went. Some servers do not know the modifier and give
// all. since is not 0. All else is as with FetchMeta.
func (c *Client) FetchChanged(ctx context.Context, set UIDSet, since ModSeq, f func(Meta)) error {
	if !c.Condstore() {
		return notOffered("fetch changes")
	}
	items := "(UID FLAGS) (CHANGEDSINCE " + strconv.FormatUint(uint64(since), 10) + ")"
	return c.fetch(ctx, set, items, func(part UIDSet) answerer {
		return &metaAnswer{set: part, items: MetaFlags, f: f}
	})
}

// keepsModSeqs reports whether the mailbox has mod-sequences (RFC 7162 §3.1.2).
func (d *SelectData) keepsModSeqs() bool { return d.HighestModSeq != 0 && !d.NoModSeq }

// reached records HIGHESTMODSEQ of an untagged or a tagged answer. In a session
// under way it says how far what was told goes: the last word counts, though it be
// lower than one before (RFC 7162 §6). MODSEQ in FETCH says less, for what is below
// it may still be owed, and is read over.
func (c *Client) reached(box *selection, answered bool, m ModSeq) {
	box.data.HighestModSeq = m
	if answered && box.rec != nil {
		box.rec.Reached(m)
	}
}
