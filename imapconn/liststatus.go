package imapconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"imapfs/imapconn/imapwire"
)

// ListStatus asks for the numbers of several mailboxes that are not selected on
// this connection, in few commands: LIST with RETURN (STATUS) (RFC 5819), with one
// pattern for each (RFC 5258 §3). names are wire names. What the server leaves out
// is missing in the result: a mailbox that is gone, or cannot be looked into.
//
// ErrNotOffered where the server has not both LIST-STATUS and LIST-EXTENDED, or
// one of the names cannot stand as a pattern.
func (c *Client) ListStatus(ctx context.Context, names []string, items ...string) ([]StatusData, error) {
	if have := c.Caps(); !have.Has("IMAP4rev2") && (!have.Has("LIST-STATUS") || !have.Has("LIST-EXTENDED")) {
		return nil, fmt.Errorf("list-status: %w", ErrNotOffered)
	}
	for _, item := range items {
		if !imapwire.IsAtom(item) {
			return nil, fmt.Errorf("list-status: %q is no item", item)
		}
	}
	for _, name := range names {
		if !IsPattern(name) {
			return nil, fmt.Errorf("list-status: %q has a wildcard: %w", name, ErrNotOffered)
		}
	}
	tail := ") RETURN (STATUS (" + strings.Join(items, " ") + "))"
	var cmds []*command
	for len(names) > 0 {
		n := patterns(names, maxSetOctets-len(tail))
		cmd := c.newCommand("LIST")
		cmd.enc.Raw(` "" (`)
		for i, name := range names[:n] {
			if i > 0 {
				cmd.enc.Raw(" ")
			}
			cmd.enc.String(name)
		}
		cmd.enc.Raw(tail)
		cmd.answer = &listAnswer{status: &statusesAnswer{names: names[:n]}}
		cmds, names = append(cmds, cmd), names[n:]
	}
	if len(cmds) == 0 {
		return nil, nil
	}
	if err := c.doAll(ctx, cmds...); err != nil {
		return nil, err
	}
	var found []StatusData
	for _, cmd := range cmds {
		found = append(found, cmd.answer.(*listAnswer).status.found...)
	}
	return found, nil
}

// IsPattern reports whether a wire name, as a pattern of LIST, means itself alone.
func IsPattern(name string) bool { return name != "" && !strings.ContainsAny(name, "*%") }

// patterns is how many names fit into so many octets, one at least.
func patterns(names []string, octets int) int {
	for i, name := range names {
		if octets -= 2*len(name) + len(`"" `); octets < 0 && i > 0 { // each octet may need a backslash
			return i
		}
	}
	return len(names)
}

// statusesAnswer takes the STATUS of several mailboxes, one each.
type statusesAnswer struct {
	names []string
	found []StatusData
}

// asks reports whether the STATUS of a mailbox is asked for.
func (a *statusesAnswer) asks(mailbox string) bool {
	return slices.ContainsFunc(a.names, func(name string) bool { return sameMailbox(name, mailbox) })
}

// take keeps a STATUS; the last word on a mailbox counts.
func (a *statusesAnswer) take(s StatusData) bool {
	if !a.asks(s.Mailbox) {
		return false
	}
	for i := range a.found {
		if sameMailbox(a.found[i].Mailbox, s.Mailbox) {
			a.found[i] = s
			return true
		}
	}
	a.found = append(a.found, s)
	return true
}

// Statuses is Status for several mailboxes, in one flight. A mailbox of which the
// server says NO or BAD has its *StatusError in errs, at its place; any other error
// is the connection's, and returned.
func (c *Client) Statuses(ctx context.Context, names []string, items ...string) (data []StatusData, errs []error, err error) {
	var cmds []*command
	for _, name := range names {
		cmd, err := c.statusCommand(name, items)
		if err != nil {
			return nil, nil, err
		}
		cmds = append(cmds, cmd)
	}
	if len(cmds) == 0 {
		return nil, nil, nil
	}
	err = c.doAll(ctx, cmds...)
	data, errs = make([]StatusData, len(cmds)), make([]error, len(cmds))
	for i, cmd := range cmds {
		if !cmd.finished() {
			return nil, nil, err // the caller has gone
		}
		data[i], errs[i] = cmd.answer.(*statusAnswer).result(cmd.err)
		if errs[i] != nil && !isVerdict(errs[i]) {
			return nil, nil, errs[i]
		}
	}
	return data, errs, nil
}

// isVerdict reports whether a server has answered an error, and the connection lives.
func isVerdict(err error) bool {
	var status *StatusError
	return errors.Is(err, errNoStatus) || errors.As(err, &status) && status.Type != "BYE"
}
