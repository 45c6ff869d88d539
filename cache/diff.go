package cache

// Diff names the messages that new has and old has not, and the other way
// round, each in UID order. What the two share is not looked at. Under another
// UIDVALIDITY every message is another one. nil is the empty mailbox.
func Diff(old, new *Snapshot) (added, removed []UID) {
	if old != nil && new != nil && old.validity != new.validity {
		_, removed = Diff(old, nil)
		added, _ = Diff(nil, new)
		return added, removed
	}
	differences(old, new, func(a, b *record) {
		switch {
		case a == nil:
			added = append(added, b.uid)
		case b == nil:
			removed = append(removed, a.uid)
		}
	})
	return added, removed
}

// Resized names the messages that both have, with different sizes, in UID order.
func Resized(old, new *Snapshot) []UID {
	if old == nil || new == nil || old.validity != new.validity {
		return nil
	}
	var uids []UID
	differences(old, new, func(a, b *record) {
		if a != nil && b != nil && a.octets() != b.octets() {
			uids = append(uids, a.uid)
		}
	})
	return uids
}

// differences calls f for each UID in a chunk that the two do not share, with
// the records of both, nil where one has none.
func differences(old, new *Snapshot, f func(a, b *record)) {
	a, b := cursorOf(old), cursorOf(new)
	for {
		for a.shares(b) {
			a.skip()
			b.skip()
		}
		ra, rb := a.record(), b.record()
		switch {
		case ra == nil && rb == nil:
			return
		case rb == nil || ra != nil && ra.uid < rb.uid:
			f(ra, nil)
			a.next()
		case ra == nil || rb.uid < ra.uid:
			f(nil, rb)
			b.next()
		default:
			f(ra, rb)
			a.next()
			b.next()
		}
	}
}

// cursor is a place in a snapshot.
type cursor struct {
	chunks []chunk // what is left; the first is under way
	i      int     // the place in the first
}

func cursorOf(s *Snapshot) *cursor {
	if s == nil {
		return &cursor{}
	}
	return &cursor{chunks: s.chunks}
}

// shares reports whether both stand at the beginning of one chunk.
func (c *cursor) shares(d *cursor) bool {
	return c.i == 0 && d.i == 0 && len(c.chunks) > 0 && len(d.chunks) > 0 &&
		len(c.chunks[0]) == len(d.chunks[0]) && &c.chunks[0][0] == &d.chunks[0][0]
}

func (c *cursor) skip() { c.chunks, c.i = c.chunks[1:], 0 }

func (c *cursor) record() *record {
	if len(c.chunks) == 0 {
		return nil
	}
	return &c.chunks[0][c.i]
}

func (c *cursor) next() {
	if c.i++; c.i == len(c.chunks[0]) {
		c.skip()
	}
}
