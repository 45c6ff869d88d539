package cache

import (
	"slices"

	"imapfs/imapconn"
)

// changes is what a server says at EXAMINE of what has changed since a state that
// is known (QRESYNC). It is gathered by the goroutine that reads the connection;
// whoever examines reads it afterwards.
type changes struct {
	known *Snapshot
	wire  UIDValidity

	told     bool // the server has said all of it
	over     bool // it said more than maxChanges
	flags    heardFlags
	vanished []imapconn.UIDRange
}

// maxChanges bounds what is kept of an answer beyond two words on each message that
// is known, in words: who has that much to say is listed anew.
const maxChanges = 1 << 16

// point is the state that the mailbox can be resynchronised from: nil where there
// is none, or what came of the last time is doubted.
func (m *Mailbox) point() *changes {
	s, e := m.snap.Load(), m.current.Load()
	if s == nil || e == nil || s.modSeq == 0 || s.Len() == 0 || e.validity != s.validity || e.validity != e.wire || m.doubted.Load() {
		return nil
	}
	return &changes{known: s, wire: e.wire}
}

// since is what imapconn is asked for.
func (c *changes) since() imapconn.Since {
	return imapconn.Since{UIDValidity: c.wire, ModSeq: c.known.modSeq, Flags: c.flagged, Vanished: c.went, Again: c.again}
}

func (c *changes) again() {
	c.over, c.flags, c.vanished = false, heardFlags{}, nil
}

func (c *changes) flagged(uid UID, flags []string) {
	if !c.full() {
		c.flags.add(uid, flags)
	}
}

// went notes those that are known: servers name others, too.
func (c *changes) went(first, last UID) {
	k, i := c.known.search(first)
	if k < len(c.known.chunks) && c.known.chunks[k][i].uid <= last && !c.full() {
		c.vanished = append(c.vanished, imapconn.UIDRange{First: first, Last: last})
	}
}

// full reports whether no more is kept.
func (c *changes) full() bool {
	if len(c.flags.news)+len(c.vanished) >= 2*c.known.Len()+maxChanges || c.flags.octets > maxFlagOctets {
		c.again()
		c.over = true
	}
	return c.over
}

// applied turns s into what the server says, but for the messages that are new.
func (c *changes) applied(s *Snapshot, flags *flagSets) (next *Snapshot, unknown imapconn.UIDSet) {
	next = s.without(setOf(c.vanished))
	unknown = next.missing(c.flags)
	return next.applyFlags(c.flags, flags), unknown
}

// missing is the messages that were said to have flags and are not in s.
func (s *Snapshot) missing(f heardFlags) imapconn.UIDSet {
	var unknown []imapconn.UIDRange
	for _, n := range f.news {
		if s.find(n.uid) == nil {
			unknown = append(unknown, imapconn.UIDRange{First: n.uid, Last: n.uid})
		}
	}
	return setOf(unknown)
}

// setOf is the set of ranges in any order, which it sorts: adding in rising order
// costs least.
func setOf(ranges []imapconn.UIDRange) imapconn.UIDSet {
	slices.SortFunc(ranges, func(a, b imapconn.UIDRange) int { return compareUIDs(a.First, b.First) })
	var set imapconn.UIDSet
	for _, r := range ranges {
		set.AddRange(r.First, r.Last)
	}
	return set
}

// without is s without the messages in a set, of which s need not have any.
func (s *Snapshot) without(gone imapconn.UIDSet) *Snapshot {
	next := s
	var edits []edit
	for _, r := range gone {
		for k, i := s.search(r.First); k < len(s.chunks); k, i = k+1, 0 {
			c := s.chunks[k]
			for ; i < len(c) && c[i].uid <= r.Last; i++ {
				if len(edits) == editBatch {
					next, _ = next.apply(edits)
					edits = edits[:0]
				}
				edits = append(edits, edit{record: record{uid: c[i].uid}, remove: true})
			}
			if i < len(c) {
				break
			}
		}
	}
	next, _ = next.apply(edits)
	return next
}

// outside is the messages of s that are not in a set.
func (s *Snapshot) outside(set imapconn.UIDSet) (out imapconn.UIDSet) {
	for _, c := range s.chunks {
		for i := range c {
			for len(set) > 0 && set[0].Last < c[i].uid {
				set = set[1:]
			}
			if len(set) == 0 || c[i].uid < set[0].First {
				out.Add(c[i].uid)
			}
		}
	}
	return out
}

// reached is s as the state up to a mod-sequence.
func (s *Snapshot) reached(m imapconn.ModSeq) *Snapshot {
	if s.modSeq == m {
		return s
	}
	out := *s
	out.modSeq = m
	return &out
}

// says reports whether s says no more than old, but for how far it reaches.
func (s *Snapshot) says(old *Snapshot) bool {
	return old != nil && s.validity == old.validity && s.uidNext == old.uidNext && len(s.flags) == len(old.flags) &&
		len(s.chunks) == len(old.chunks) && (len(s.chunks) == 0 || &s.chunks[0] == &old.chunks[0])
}
