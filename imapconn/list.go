package imapconn

import (
	"context"
	"strings"

	"imapfs/imapconn/imapwire"
)

// MaxMailboxes bounds the answers to one LIST, in mailboxes; MaxListOctets the
// names and attributes in them, in octets.
const (
	MaxMailboxes  = 200_000
	MaxListOctets = 64 << 20
)

// listAnswer collects LIST, or the STATUS that was asked for in it.
type listAnswer struct {
	found  []ListData
	count  int             // of the answers
	octets int             // of the names and attributes in them
	status *statusesAnswer // nil: the names are wanted
}

func (a *listAnswer) confusable(other answerer) bool {
	return sameKind[*listAnswer](other) || a.status != nil && sameKind[*statusAnswer](other)
}

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

// listed reads LIST (RFC 3501 §7.2.2). What no command has asked for goes to the
// Watcher.
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
	d.Spaces()
	l.OldName = c.extendedList()
	for d.Spaces(); !d.AtEOL(); d.Spaces() {
		d.SkipValue()
	}
	if d.EOL(); d.Err() != nil {
		return
	}
	a, _ := answering[*listAnswer](c)
	if a == nil {
		if w := c.watching(); w != nil {
			w.MailboxListed(l)
		}
		return
	}
	a.count++
	a.octets += len(l.Name)
	for _, attr := range l.Attrs {
		a.octets += len(attr)
	}
	switch {
	case a.count > MaxMailboxes:
		d.Fail(&imapwire.LimitError{What: "MaxMailboxes", Limit: MaxMailboxes})
	case a.octets > MaxListOctets:
		d.Fail(&imapwire.LimitError{What: "MaxListOctets", Limit: MaxListOctets})
	case a.status == nil:
		a.found = append(a.found, l)
	}
}

// extendedList reads what LIST-EXTENDED adds to a name, if there is any, and
// gives OLDNAME of it (RFC 5258 §6, RFC 5465 §5.4).
func (c *Client) extendedList() (old string) {
	d := c.dec
	if !d.Accept('(') {
		return ""
	}
	for d.Spaces(); d.Err() == nil && !d.Accept(')'); d.Spaces() {
		tag, _ := d.AString()
		isOld := strings.EqualFold(string(tag), "OLDNAME")
		d.Space()
		if !isOld || !d.Accept('(') {
			d.SkipValue()
			continue
		}
		d.Spaces()
		if d.Accept(')') {
			continue
		}
		name, _ := d.AString()
		old = string(name)
		for d.Spaces(); d.Err() == nil && !d.Accept(')'); d.Spaces() {
			d.SkipValue()
		}
	}
	return old
}
