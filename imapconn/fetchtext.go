package imapconn

import (
	"context"
	"errors"
	"fmt"
)

// textAnswer takes one part of the texts of the messages in a set.
type textAnswer struct {
	set     UIDSet
	section string // "" or HEADER
	part    Part   // defaults filled in
	f       func(Text)
	given   UIDSet // what f has had
}

// confusable reports whether an answer to the other would look like an answer
// to a: an answer names the octet it begins with, not the number asked for.
func (a *textAnswer) confusable(other answerer) bool {
	o, same := other.(*textAnswer)
	return same && a.section == o.section && a.part.Offset == o.part.Offset && overlap(a.set, o.set)
}

// FetchText gives f the text of each message in set, or the part of it that p
// names, as the octets come (BODY.PEEK[], RFC 3501 §6.4.5: no flag changes).
// The text is bound by the UID in the answer: a message that the server does not
// name is left out, without error, and one that nobody asked for is dropped. f
// is called at most once for a UID. Past the end of the text a part is empty or
// short.
//
// An RFC 1730 server gives a part by PARTIAL (partial.go), one at a time:
// ErrNumbers where message numbers do not hold any more, ErrNotOffered where it
// knows no PARTIAL.
//
// f runs on the goroutine that reads the connection: it returns at once and
// does not call the Client. It is not called any more once FetchText returned.
// The chunks are the callee's.
func (c *Client) FetchText(ctx context.Context, set UIDSet, p Part, f func(Text)) error {
	item := "BODY.PEEK[]"
	switch {
	case p.Octets < 0 || p.Offset < 0 || p.Octets == 0 && p.Offset > 0:
		return errors.New("fetch: no such part of a text")
	case p.Octets > 0 && c.needsPartial():
		return c.fetchPartial(ctx, set, p.filled(), f)
	case p.Octets > 0:
		item = fmt.Sprintf("BODY.PEEK[]<%d.%d>", p.Offset, p.Octets)
	}
	return c.fetchText(ctx, set, item, "RFC822.PEEK", "", p, f)
}

// FetchHeader gives f the header of each message in set, the empty line
// included, up to limit octets (0: DefaultTextLimit). All else is as with
// FetchText.
func (c *Client) FetchHeader(ctx context.Context, set UIDSet, limit int64, f func(Text)) error {
	return c.fetchText(ctx, set, "BODY.PEEK[HEADER]", "RFC822.HEADER", "HEADER", Part{Limit: limit}, f)
}

// filled has the defaults in place of zeros.
func (p Part) filled() Part {
	if p.Chunk <= 0 {
		p.Chunk = DefaultChunk
	}
	if p.Limit <= 0 {
		p.Limit = DefaultTextLimit
	}
	return p
}

// fetchText asks for item, or for what RFC 1730 calls it.
func (c *Client) fetchText(ctx context.Context, set UIDSet, item, old, section string, p Part, f func(Text)) error {
	if c.needsPartial() {
		item = old
	}
	p = p.filled()
	return c.fetch(ctx, set, "(UID "+item+")", func(part UIDSet) answerer {
		return &textAnswer{set: part, section: section, part: p, f: f}
	})
}

// offers reports whether an answer of that section could be meant for a.
// origin is the octet it begins with; whole: it named none.
func (a *textAnswer) offers(section string, origin int64, whole bool) bool {
	return a.section == section && (whole || a.part.Offset == origin)
}

// cut takes from a text what was asked for: some servers answer a part with the
// whole, or with more than was asked.
func (a *textAnswer) cut(t Text) Text {
	if a.part.Octets == 0 || t.Nil || t.Err != nil {
		return t
	}
	drop := min(a.part.Offset-t.Offset, t.Octets)
	keep := min(t.Octets-drop, a.part.Octets)
	t.Offset, t.Octets = a.part.Offset, keep
	var kept [][]byte
	for _, chunk := range t.Chunks {
		skip := min(drop, int64(len(chunk)))
		drop -= skip
		chunk = chunk[skip:]
		chunk = chunk[:min(keep, int64(len(chunk)))]
		keep -= int64(len(chunk))
		if len(chunk) > 0 {
			kept = append(kept, chunk)
		}
	}
	t.Chunks = kept
	return t
}
