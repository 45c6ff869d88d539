package imapconn

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"imapfs/imapconn/imapwire"
)

// searchAnswer collects the UIDs of a search.
type searchAnswer struct {
	found  []UIDRange // as they came
	sorted bool       // each lies behind the one before
}

func (*searchAnswer) confusable(other answerer) bool { return sameKind[*searchAnswer](other) }

// UIDSearch returns the UIDs of the messages that match (RFC 3501 §6.4.4).
// criteria is sent as it is: `UNDELETED SINCE 1-Jan-2026`. A server with ESEARCH
// (RFC 4731) answers in ranges.
func (c *Client) UIDSearch(ctx context.Context, criteria string) (UIDSet, error) {
	if strings.ContainsAny(criteria, "\r\n\x00{") {
		return nil, errors.New("search: criteria hold a literal or a line end")
	}
	cmd := c.newCommand("UID SEARCH")
	if have := c.Caps(); have.Has("ESEARCH") || have.Has("IMAP4rev2") {
		cmd.enc.Raw(" RETURN (ALL)")
	}
	cmd.enc.Raw(" " + criteria)
	cmd.selected = true
	a := &searchAnswer{sorted: true}
	cmd.answer = a
	if err := c.do(ctx, cmd); err != nil {
		return nil, err
	}
	return a.set(), nil
}

// searched reads SEARCH (RFC 3501 §7.2.5). It may come in several pieces, and
// empty; a MODSEQ at its end is read over.
func (c *Client) searched() {
	d := c.dec
	a, _ := answering[*searchAnswer](c)
	for d.Spaces(); d.Err() == nil && !d.AtEOL(); d.Spaces() {
		if d.Peek() == '(' {
			d.SkipValue()
			continue
		}
		if u := UID(d.Number32()); a != nil && u != 0 {
			a.add(d, u, u)
		}
	}
	d.EOL()
}

// add records a range, within MaxMessages ranges.
func (a *searchAnswer) add(d *imapwire.Decoder, first, last UID) {
	n := len(a.found)
	switch {
	case n == 0 || a.found[n-1].Last < first-1:
	case a.found[n-1].Last == first-1:
		a.found[n-1].Last = last
		return
	default:
		a.sorted = false
	}
	if n == MaxMessages {
		d.Fail(tooMany())
		return
	}
	a.found = append(a.found, UIDRange{First: first, Last: last})
}

// set makes the set of what was found. A server may give it in any order: it is
// sorted here, not by the reader, and once, not at each number.
func (a *searchAnswer) set() UIDSet {
	if a.sorted {
		return a.found
	}
	slices.SortFunc(a.found, func(x, y UIDRange) int { return cmp.Compare(x.First, y.First) })
	var set UIDSet
	for _, r := range a.found {
		set.AddRange(r.First, r.Last)
	}
	return set
}

// extendedSearched reads ESEARCH (RFC 4731 §3.1). It names the command that it
// answers; without ALL nothing was found.
func (c *Client) extendedSearched() {
	d := c.dec
	a, cmd := answering[*searchAnswer](c)
	d.Spaces()
	if d.Peek() == '(' { // (TAG "a7")
		d.Accept('(')
		d.Atom()
		d.Space()
		tag, _ := d.AString()
		if a != nil && string(tag) != "a"+strconv.FormatUint(cmd.tag, 10) {
			a = nil
		}
		d.Expect(')')
	}
	for d.Spaces(); d.Err() == nil && !d.AtEOL(); d.Spaces() {
		switch string(upper(d.Name())) {
		case "UID": // what the numbers are
		case "ALL":
			d.Space()
			c.ranges(func(first, last UID) {
				if a != nil {
					a.add(d, first, last)
				}
			})
		default:
			d.Space()
			d.SkipValue()
		}
	}
	d.EOL()
}

// ranges reads a sequence-set (RFC 3501 §9) without *, range by range.
func (c *Client) ranges(f func(first, last UID)) {
	d := c.dec
	for d.Err() == nil {
		first := UID(d.Number32())
		last := first
		if d.Accept(':') {
			last = UID(d.Number32())
		}
		first, last = min(first, last), max(first, last)
		if first != 0 && d.Err() == nil {
			f(first, last)
		}
		if !d.Accept(',') {
			return
		}
	}
}
