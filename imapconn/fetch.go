package imapconn

import (
	"context"
	"strings"
)

// maxSetOctets keeps command lines within what every server takes: Cyrus,
// Courier and Dovecot end or refuse longer ones at 15 to 66 KB. In octets.
const maxSetOctets = 7900

// metaAnswer takes the small facts of the messages in a set.
type metaAnswer struct {
	set   UIDSet
	items MetaItems
	f     func(Meta)
	given int // how often f was called
}

// MaxAnswers bounds the FETCH answers to one command, in answers: a server may
// repeat itself, not go on for ever.
const MaxAnswers = 2 * MaxMessages

// wants reports whether an answer has any of what was asked for.
func (a *metaAnswer) wants(m Meta) bool {
	return a.set.Contains(m.UID) && (a.items == 0 ||
		a.items&MetaFlags != 0 && m.HasFlags || a.items&MetaDate != 0 && m.HasDate || a.items&MetaSize != 0 && m.HasSize)
}

// confusable is false: facts are true whoever asked for them.
func (*metaAnswer) confusable(answerer) bool { return false }

// FetchMeta gives f what the server says of each message in set: UID, flags,
// date, size (RFC 3501 §6.4.5). A message that is gone is left out, without
// error. f may be called several times for one UID and with some of the items
// only, when the server speaks unasked meanwhile: what is there counts.
//
// f runs on the goroutine that reads the connection: it returns at once and
// does not call the Client. It is not called any more once FetchMeta returned.
func (c *Client) FetchMeta(ctx context.Context, set UIDSet, items MetaItems, f func(Meta)) error {
	return c.fetchMeta(ctx, nil, set, items, f)
}

// FetchMetaNow is FetchMeta behind a NOOP, in one flight: of messages that this session
// has perhaps not been told of yet.
func (c *Client) FetchMetaNow(ctx context.Context, set UIDSet, items MetaItems, f func(Meta)) error {
	return c.fetchMeta(ctx, &command{op: "NOOP"}, set, items, f)
}

// FetchMetaFirst is FetchMeta ahead of others: it calls sending, which must not call the
// Client, when all of it is about to be sent. What the Client is given from then on is sent
// behind it, in the same flight where the rules allow that. sending is not called where nothing
// is sent.
func (c *Client) FetchMetaFirst(ctx context.Context, set UIDSet, items MetaItems, sending func(), f func(Meta)) error {
	cmds := c.metas(set, items, f)
	if len(cmds) == 0 {
		return nil
	}
	cmds[len(cmds)-1].admitted = sending
	return c.doAll(ctx, cmds...)
}

// fetchMeta asks for facts behind another command; nil: there is none.
func (c *Client) fetchMeta(ctx context.Context, first *command, set UIDSet, items MetaItems, f func(Meta)) error {
	cmds := c.metas(set, items, f)
	if len(cmds) == 0 {
		return nil
	}
	if first != nil {
		cmds = append([]*command{first}, cmds...)
	}
	return c.doAll(ctx, cmds...)
}

// metas makes the commands of FetchMeta.
func (c *Client) metas(set UIDSet, items MetaItems, f func(Meta)) []*command {
	names := []string{"UID"}
	for _, i := range []struct {
		bit  MetaItems
		name string
	}{{MetaFlags, "FLAGS"}, {MetaDate, "INTERNALDATE"}, {MetaSize, "RFC822.SIZE"}} {
		if items&i.bit != 0 {
			names = append(names, i.name)
		}
	}
	return c.fetches(set, "("+strings.Join(names, " ")+")", func(part UIDSet) answerer {
		return &metaAnswer{set: part, items: items, f: f}
	})
}

// fetch sends UID FETCH for set, in as many commands as the line limit needs.
func (c *Client) fetch(ctx context.Context, set UIDSet, items string, answer func(UIDSet) answerer) error {
	cmds := c.fetches(set, items, answer)
	if len(cmds) == 0 {
		return nil
	}
	return c.doAll(ctx, cmds...)
}

// fetches makes the commands of fetch.
func (c *Client) fetches(set UIDSet, items string, answer func(UIDSet) answerer) (cmds []*command) {
	for _, part := range set.Split(maxSetOctets) {
		cmd := c.newCommand("UID FETCH")
		cmd.enc.Raw(" " + setString(part) + " " + items)
		cmd.selected = true
		cmd.answer = answer(part)
		cmds = append(cmds, cmd)
	}
	return cmds
}

// setString is the set as sent; AllUIDs is 1:*.
func setString(set UIDSet) string {
	if len(set) == 1 && set[0] == AllUIDs()[0] {
		return "1:*"
	}
	return set.String()
}

// overlap reports whether two sets share a UID.
func overlap(a, b UIDSet) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Last < b[0].First:
			a = a[1:]
		case b[0].Last < a[0].First:
			b = b[1:]
		default:
			return true
		}
	}
	return false
}
