package imapconn

import (
	"context"

	"imapfs/imapconn/imapwire"
)

// MaxMailboxes bounds the answers to one LIST, in mailboxes; MaxListOctets the
// names and attributes in them, in octets.
const (
	MaxMailboxes  = 200_000
	MaxListOctets = 64 << 20
)

// listAnswer collects LIST.
type listAnswer struct {
	found  []ListData
	octets int
}

func (*listAnswer) confusable(other answerer) bool { return sameKind[*listAnswer](other) }

// List returns the mailboxes whose names match (RFC 3501 §6.3.8), all of them
// or an error. pattern is sent as it is; * and % are its wildcards.
func (c *Client) List(ctx context.Context, reference, pattern string) ([]ListData, error) {
	cmd := c.newCommand("LIST")
	cmd.enc.Raw(" ").String(reference).Raw(" ").String(pattern)
	a := &listAnswer{}
	cmd.answer = a
	if err := c.do(ctx, cmd); err != nil {
		return nil, err
	}
	return a.found, nil
}

// listed reads LIST (RFC 3501 §7.2.2); what LIST-EXTENDED adds is skipped.
func (c *Client) listed() {
	d := c.dec
	var l ListData
	d.Space()
	l.Attrs = c.flags.List(d)
	d.Space()
	l.Delimiter = c.delimiter()
	d.Space()
	name, _ := d.AString() // a mailbox may be called NIL
	l.Name = string(name)
	for d.Spaces(); !d.AtEOL(); d.Spaces() {
		d.SkipValue()
	}
	d.EOL()
	a, _ := answering[*listAnswer](c)
	if a == nil || d.Err() != nil {
		return
	}
	a.octets += len(l.Name)
	for _, attr := range l.Attrs {
		a.octets += len(attr)
	}
	switch {
	case len(a.found) == MaxMailboxes:
		d.Fail(&imapwire.LimitError{What: "MaxMailboxes", Limit: MaxMailboxes})
	case a.octets > MaxListOctets:
		d.Fail(&imapwire.LimitError{What: "MaxListOctets", Limit: MaxListOctets})
	default:
		a.found = append(a.found, l)
	}
}
