package imapconn

import (
	"context"
	"errors"
	"fmt"
)

// PARTIAL (RFC 1730 §6.4.6) is how a server without IMAP4rev1 gives part of a text.
// Its answer bears neither a UID nor the octet it begins with, only a message
// number, which an EXPUNGE may have given to another message. So it goes alone,
// and its answer is believed only if it is the one FETCH with the number that was
// sent, the table had that number for the UID, and nothing has shifted numbers from
// the look into the table to the tagged OK.

// partialTries bounds how often PARTIAL is sent while numbers keep shifting, in
// times.
const partialTries = 10

// ErrNumbers: message numbers no longer hold on this connection, or shift too
// fast to be used. Examine the mailbox anew.
var ErrNumbers = errors.New("message numbers do not hold (try again)")

// errShifted is an answer to PARTIAL that may be of another message.
var errShifted = errors.New("message numbers have shifted")

// partialAnswer takes the answer to one PARTIAL.
type partialAnswer struct {
	seq   SeqNum
	moved uint64 // selection.moved when seq was looked up
	part  Part
	got   int // FETCHes of seq with a text
	text  Text
}

func (*partialAnswer) confusable(answerer) bool { return true }

// needsPartial reports whether parts of texts are to be had by PARTIAL only.
func (c *Client) needsPartial() bool {
	have := c.Caps()
	return !have.Rev1() && have.Has("IMAP4")
}

// fetchPartial gives f a part of the text of each message in set, one after the
// other.
func (c *Client) fetchPartial(ctx context.Context, set UIDSet, p Part, f func(Text)) error {
	for _, r := range set {
		for uid := r.First; ; uid++ {
			if err := c.partial(ctx, uid, p, f); err != nil {
				return err
			}
			if uid == r.Last {
				break
			}
		}
	}
	return nil
}

// partial gives f a part of one text. A message that the server does not know any
// more is left out.
func (c *Client) partial(ctx context.Context, uid UID, p Part, f func(Text)) error {
	for range partialTries {
		box, _ := c.selection()
		if box == nil {
			return fmt.Errorf("partial: %w", ErrNotSelected)
		}
		n, moved, lost := box.number(uid)
		if lost {
			break
		}
		if n == 0 {
			known := false
			err := c.FetchMeta(ctx, UIDSet{{First: uid, Last: uid}}, 0, func(m Meta) { known = known || m.UID == uid })
			if err != nil || !known {
				return err
			}
			if n, moved, _ = box.number(uid); n == 0 {
				continue
			}
		}
		err := c.partialOnce(ctx, box, uid, &partialAnswer{seq: n, moved: moved, part: p}, f)
		if !errors.Is(err, errShifted) {
			return err
		}
		// What else has shifted meanwhile is better heard before than with the answer.
		if err := c.Noop(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("partial: %w", ErrNumbers)
}

// partialOnce sends PARTIAL. f is called by the reader, before the tagged answer is
// known to anybody.
func (c *Client) partialOnce(ctx context.Context, box *selection, uid UID, a *partialAnswer, f func(Text)) error {
	cmd := c.newCommand("PARTIAL")
	cmd.enc.Raw(fmt.Sprintf(" %d RFC822.PEEK %d %d", a.seq, a.part.Offset+1, a.part.Octets))
	cmd.alone, cmd.selected = true, true
	cmd.answer = a
	cmd.resolved = func(ok bool) error {
		now, _ := c.selection()
		switch {
		case !ok || cmd.abandoned.Load():
			return nil
		case now != box || box.moved != a.moved || a.got > 1:
			return errShifted
		case a.got == 0: // gone, as with FETCH
			return nil
		case a.text.Octets > a.part.Octets:
			return fmt.Errorf("partial: server gives %d octets where %d were asked for", a.text.Octets, a.part.Octets)
		}
		a.text.UID, a.text.Offset = uid, a.part.Offset
		f(a.text)
		return nil
	}
	err := c.do(ctx, cmd)
	var status *StatusError
	if errors.As(err, &status) && status.Type == "BAD" {
		return fmt.Errorf("%w: %w", ErrNotOffered, err)
	}
	return err
}

// deliverPartial gives a text to the PARTIAL in flight, if it is the answer to one.
func (c *Client) deliverPartial(n SeqNum, t *answeredText) bool {
	a, cmd := answering[*partialAnswer](c)
	if cmd == nil || a.seq != n || t.section != "" || !t.whole {
		return false
	}
	a.got++
	a.text = t.Text
	return true
}
