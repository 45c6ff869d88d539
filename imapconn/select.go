package imapconn

import (
	"context"
	"errors"
	"strings"
	"sync"

	"imapfs/imapconn/imapwire"
)

// selection is the mailbox that is selected, or on its way to be. Its fields
// belong to the reading goroutine but for answered and readOnly, which Client.mu
// guards, and examined, which does not change.
type selection struct {
	data     SelectData
	rec      Recorder // nil: nobody listens
	cmd      *command // that selects it
	since    *Since   // who is told of changes until it is answered; nil: nobody
	counted  bool     // EXISTS came: EXPUNGE now means this mailbox
	answered bool
	examined bool   // by EXAMINE
	readOnly bool   // what data.ReadOnly was when it was answered
	byUID    bool   // what goes is named by its UID (RFC 7162 §3.2.10): there is no table
	count    uint32 // then, the messages there are

	mu    sync.Mutex // innermost; held by the reader to change what follows, by others to look at it
	table *seqTable  // nil: lost, or not kept
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
	return c.enter(ctx, "EXAMINE", mailbox, rec, nil)
}

// Select selects a mailbox for reading and writing (RFC 3501 §6.3.1), and takes
// \Recent from its messages. The server may give it for reading only:
// SelectData.ReadOnly.
func (c *Client) Select(ctx context.Context, mailbox string, rec Recorder) (SelectData, error) {
	return c.enter(ctx, "SELECT", mailbox, rec, nil)
}

func (c *Client) enter(ctx context.Context, op, mailbox string, rec Recorder, since *Since) (SelectData, error) {
	parameter := c.selectParameter(since)
	data, err := c.enterWith(ctx, op, mailbox, parameter, rec, since)
	var refused *StatusError
	if parameter == "" || !errors.As(err, &refused) || refused.Type != "BAD" {
		return data, err
	}
	// What it offers it cannot read: nothing of the kind is asked for any more.
	c.mu.Lock()
	c.noModSeqs = true
	c.mu.Unlock()
	return c.enterWith(ctx, op, mailbox, "", rec, nil)
}

func (c *Client) enterWith(ctx context.Context, op, mailbox, parameter string, rec Recorder, since *Since) (SelectData, error) {
	cmd := c.newCommand(op)
	cmd.mailbox = mailbox
	cmd.enc.Raw(" ").String(mailbox).Raw(parameter)
	cmd.alone = true
	box := &selection{rec: rec, cmd: cmd, since: since, table: &seqTable{}}
	box.examined = op == "EXAMINE"
	box.data.ReadOnly = box.examined
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
		box.answered, box.readOnly = true, box.data.ReadOnly
		if box.table != nil {
			box.data.Exists = box.table.n
		}
		box.data.Resynced = since != nil
		if c.qresync && box.data.keepsModSeqs() {
			box.byUID, box.count = true, box.data.Exists
			box.renumber(nil)
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
			c.reached(box, answered, ModSeq(n))
		}
	case "NOMODSEQ":
		box.data.NoModSeq = true
		c.reached(box, answered, 0)
	case "MAILBOXID":
		box.data.MailboxID = mailboxID(code.Args)
	case "PERMANENTFLAGS":
		box.data.PermanentFlags = imapwire.ParseFlags(strings.Trim(code.Args, "()"))
	case "UIDNOTSTICKY":
		box.data.UIDNotSticky = true
	case "READ-ONLY":
		box.data.ReadOnly = true
	case "READ-WRITE": // Courier says so of EXAMINE too
		box.data.ReadOnly = box.examined
	case "CLOSED": // what came before was about the mailbox that was left (RFC 7162 §3.2.11)
		if !answered {
			box.data = SelectData{ReadOnly: box.examined}
			box.renumber(&seqTable{})
			box.counted = false
			box.tellSince(func(s *Since) { s.Again() })
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
