package imapconn

import (
	"context"
	"fmt"
	"strings"
)

// statusAnswer takes the STATUS of one mailbox.
type statusAnswer struct {
	data StatusData
	said bool
}

func (a *statusAnswer) confusable(other answerer) bool {
	o, same := other.(*statusAnswer)
	return same && sameMailbox(a.data.Mailbox, o.data.Mailbox)
}

// Status asks for the numbers of a mailbox that is not selected
// (RFC 3501 §6.3.10): MESSAGES, UIDNEXT, UIDVALIDITY, UNSEEN, SIZE,
// HIGHESTMODSEQ. mailbox is a wire name.
func (c *Client) Status(ctx context.Context, mailbox string, items ...string) (StatusData, error) {
	for _, item := range items {
		if !isAtom(item) {
			return StatusData{}, fmt.Errorf("status: %q is no item", item)
		}
	}
	cmd := c.newCommand("STATUS")
	cmd.mailbox = mailbox
	cmd.enc.Raw(" ").String(mailbox).Raw(" (" + strings.Join(items, " ") + ")")
	a := &statusAnswer{data: StatusData{Mailbox: mailbox}}
	cmd.answer = a
	if err := c.do(ctx, cmd); err != nil {
		return StatusData{}, err
	}
	if !a.said {
		return StatusData{}, fmt.Errorf("status %q: server says OK and gives no STATUS", mailbox)
	}
	return a.data, nil
}

// statusGiven reads STATUS (RFC 3501 §7.2.4); items that nobody knows are
// skipped.
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
		default:
			d.SkipValue()
		}
	}
	if d.EOL(); d.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range c.flight {
		if a, ok := cmd.answer.(*statusAnswer); ok && sameMailbox(a.data.Mailbox, s.Mailbox) {
			a.data, a.said = s, true
			return
		}
	}
}

// sameMailbox compares wire names: INBOX in any case, all others octet by octet
// (RFC 3501 §5.1).
func sameMailbox(a, b string) bool {
	return a == b || strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}
