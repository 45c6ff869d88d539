package imapconn

import (
	"context"
	"strings"
	"sync"

	"imapfs/imapconn/imapwire"
)

// selection is the mailbox that is selected, or on its way to be. Its fields
// belong to the reading goroutine but for answered, which Client.mu guards.
type selection struct {
	data     SelectData
	rec      Recorder // nil: nobody listens
	counted  bool     // EXISTS came: EXPUNGE now means this mailbox
	answered bool

	mu    sync.Mutex // innermost; held by the reader to change what follows, by others to look at it
	table *seqTable  // nil: lost
	moved uint64     // how often message numbers have shifted
}

// renumber gives the table up for another, or for none.
func (box *selection) renumber(t *seqTable) {
	box.mu.Lock()
	defer box.mu.Unlock()
	box.table = t
	box.moved++
}

// number gives the message number of a UID, 0 where the table does not know it,
// and how often numbers have shifted so far. lost: there is no table.
func (box *selection) number(uid UID) (n SeqNum, moved uint64, lost bool) {
	box.mu.Lock()
	defer box.mu.Unlock()
	if box.table == nil {
		return 0, box.moved, true
	}
	return box.table.find(uid), box.moved, false
}

// Examine selects a mailbox for reading: nothing in it changes, \Recent stays
// (RFC 3501 §6.3.2). mailbox is a wire name, sent as it is. rec may be nil. A NO
// leaves no mailbox selected.
func (c *Client) Examine(ctx context.Context, mailbox string, rec Recorder) (SelectData, error) {
	return c.enter(ctx, "EXAMINE", mailbox, rec)
}

// Select selects a mailbox for reading and writing (RFC 3501 §6.3.1).
func (c *Client) Select(ctx context.Context, mailbox string, rec Recorder) (SelectData, error) {
	return c.enter(ctx, "SELECT", mailbox, rec)
}

func (c *Client) enter(ctx context.Context, op, mailbox string, rec Recorder) (SelectData, error) {
	cmd := c.newCommand(op)
	cmd.mailbox = mailbox
	cmd.enc.Raw(" ").String(mailbox)
	cmd.alone = true
	box := &selection{rec: rec, table: &seqTable{}}
	box.data.ReadOnly = op == "EXAMINE"
	var data SelectData
	cmd.admitted = func() {
		c.box = box
		c.everOpen = true
	}
	cmd.resolved = func(ok bool) error {
		// Whoever gave up does not know what is selected: then nothing is.
		c.mu.Lock()
		defer c.mu.Unlock()
		if !ok || cmd.abandoned.Load() {
			c.box = nil
			return nil
		}
		box.answered = true
		if box.table != nil {
			box.data.Exists = box.table.n
		}
		data = box.data
		return nil
	}
	err := c.do(ctx, cmd)
	if err != nil {
		return SelectData{}, err
	}
	return data, nil
}

// selected returns the selection, nil if there is none, and whether it was
// answered.
func (c *Client) selection() (box *selection, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.box, c.box != nil && c.box.answered
}

// selectionCoded records the codes of SELECT (RFC 3501 §7.1).
func (c *Client) selectionCoded(code imapwire.Code) {
	box, answered := c.selection()
	if box == nil {
		return
	}
	n, isNumber := codeNumber(code, 64)
	switch code.Name {
	case "UIDVALIDITY":
		v := UIDValidity(n)
		if !isNumber || n != uint64(v) {
			return
		}
		if answered && box.data.HasUIDValidity && v != box.data.UIDValidity {
			c.lost("another UIDVALIDITY")
		}
		box.data.UIDValidity, box.data.HasUIDValidity = v, true
	case "UIDNEXT":
		if u := UID(n); isNumber && n == uint64(u) {
			box.data.UIDNext = u
		}
	case "HIGHESTMODSEQ":
		if isNumber {
			box.data.HighestModSeq = ModSeq(n)
		}
	case "NOMODSEQ":
		box.data.NoModSeq = true
	case "MAILBOXID":
		box.data.MailboxID = mailboxID(code.Args)
	case "PERMANENTFLAGS":
		box.data.PermanentFlags = imapwire.ParseFlags(strings.Trim(code.Args, "()"))
	case "READ-ONLY":
		box.data.ReadOnly = true
	case "CLOSED": // what came before was about the mailbox that was left (RFC 7162 §3.2.11)
		if !answered {
			box.data = SelectData{ReadOnly: box.data.ReadOnly}
			box.renumber(&seqTable{})
			box.counted = false
		}
	}
}

// flagsGiven reads FLAGS (RFC 3501 §7.2.6).
func (c *Client) flagsGiven() {
	c.dec.Space()
	list := c.flags.List(c.dec)
	if c.dec.EOL(); c.dec.Err() != nil {
		return
	}
	if box, _ := c.selection(); box != nil {
		box.data.Flags = list
	}
}
