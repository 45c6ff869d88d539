package imapconn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imapfs/imapconn/imapwire"
)

// statusAnswer takes the STATUS of one mailbox.
type statusAnswer struct {
	data StatusData
	said bool
}

func (a *statusAnswer) confusable(other answerer) bool {
	switch o := other.(type) {
	case *statusAnswer:
		return sameMailbox(a.data.Mailbox, o.data.Mailbox)
	case *listAnswer:
		return o.status != nil
	}
	return false
}

// errNoStatus is an OK to STATUS without the untagged answer.
var errNoStatus = errors.New("server says OK and gives no STATUS")

// result is what came of the command that ended so.
func (a *statusAnswer) result(err error) (StatusData, error) {
	switch {
	case err != nil:
		return StatusData{}, err
	case !a.said:
		return StatusData{}, fmt.Errorf("status %q: %w", a.data.Mailbox, errNoStatus)
	}
	return a.data, nil
}

// Status asks for the numbers of a mailbox that is not selected
// (RFC 3501 §6.3.10): MESSAGES, UIDNEXT, UIDVALIDITY, UNSEEN, SIZE,
// HIGHESTMODSEQ, APPENDLIMIT. mailbox is a wire name.
func (c *Client) Status(ctx context.Context, mailbox string, items ...string) (StatusData, error) {
	cmd, err := c.statusCommand(mailbox, items)
	if err != nil {
		return StatusData{}, err
	}
	return cmd.answer.(*statusAnswer).result(c.do(ctx, cmd))
}

func (c *Client) statusCommand(mailbox string, items []string) (*command, error) {
	for _, item := range items {
		if !imapwire.IsAtom(item) {
			return nil, fmt.Errorf("status: %q is no item", item)
		}
	}
	cmd := c.newCommand("STATUS")
	cmd.mailbox = mailbox
	cmd.enc.Raw(" ").String(mailbox).Raw(" (" + strings.Join(items, " ") + ")")
	cmd.answer = &statusAnswer{data: StatusData{Mailbox: mailbox}}
	return cmd, nil
}

// statusGiven reads STATUS (RFC 3501 §7.2.4); items that nobody knows are
// skipped. What no command has asked for goes to the Watcher.
func (c *Client) statusGiven() {
	d := c.dec
	d.Space()
	name, _ := d.AString()
	s := StatusData{Mailbox: string(name)}
	d.Space()
	d.Expect('(')
	for d.Spaces(); d.Err() == nil && !d.Accept(')'); d.Spaces() {
		item := string(upper(d.Name()))
		d.Space()
		switch item {
		case "MESSAGES":
			s.Messages, s.HasMessages = d.Number32(), true
		case "UIDNEXT":
			s.UIDNext, s.HasUIDNext = UID(d.Number32()), true
		case "UIDVALIDITY":
			s.UIDValidity, s.HasUIDValidity = UIDValidity(d.Number32()), true
		case "UNSEEN":
			s.Unseen, s.HasUnseen = d.Number32(), true
		case "SIZE":
			s.Size, s.HasSize = d.Number(), true
		case "HIGHESTMODSEQ":
			s.HighestModSeq, s.HasHighestModSeq = ModSeq(d.Number()), true
		case "APPENDLIMIT":
			s.AppendLimit, s.HasAppendLimit = appendLimit(d.Atom())
		default:
			d.SkipValue()
		}
	}
	if d.EOL(); d.Err() != nil {
		return
	}
	if c.statusAsked(s) {
		return
	}
	if w := c.watching(); w != nil {
		w.MailboxStatus(s)
	}
}

// statusAsked hands a STATUS to the command in flight that asked for it.
func (c *Client) statusAsked(s StatusData) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range c.flight {
		switch a := cmd.answer.(type) {
		case *statusAnswer:
			if sameMailbox(a.data.Mailbox, s.Mailbox) {
				a.data, a.said = s, true
				return true
			}
		case *listAnswer:
			if a.status != nil && a.status.take(s) {
				return true
			}
		}
	}
	return false
}

// sameMailbox compares wire names: INBOX in any case, all others octet by octet
// (RFC 3501 §5.1).
func sameMailbox(a, b string) bool {
	return a == b || strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}
