package cache

import (
	"slices"
	"sort"
)

// edit is one change to a snapshot.
type edit struct {
	record        // what the message becomes
	remove   bool // the message goes
	sizeOnly bool // only the size changes, if the message is there
	flagOnly bool // only the flags change, if the message is there
}

// editBatch bounds the edits that are gathered before they are applied where there
// may be one for each message, in edits of 24 octets.
const editBatch = 16 << 10

// apply makes the snapshot that the edits, in any order, turn s into. Later edits
// of a UID win. Chunks without an edit are shared. It reports whether the set of
// UIDs is another; gen and changed are left as they are.
func (s *Snapshot) apply(edits []edit) (next *Snapshot, names bool) {
	if len(edits) == 0 {
		return s, false
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return compareUIDs(a.uid, b.uid) })
	out := *s
	out.chunks = make([]chunk, 0, len(s.chunks)+len(edits)/chunkLen+1)
	for i := 0; i < len(s.chunks); i++ {
		if len(edits) == 0 || i+1 < len(s.chunks) && edits[0].uid > s.chunks[i][len(s.chunks[i])-1].uid {
			// The first of those without an edit may be joined, the others are shared.
			next := len(s.chunks)
			if len(edits) > 0 {
				c, _ := s.search(edits[0].uid)
				next = min(c, len(s.chunks)-1)
			}
			out.chunks = joined(out.chunks, s.chunks[i])
			out.chunks = append(out.chunks, s.chunks[i+1:next]...)
			i = next - 1
			continue
		}
		c := s.chunks[i]
		n := len(edits) // the last chunk takes all that lies behind it
		if i+1 < len(s.chunks) {
			last := c[len(c)-1].uid
			n = sort.Search(len(edits), func(k int) bool { return edits[k].uid > last })
		}
		changed, set := out.edited(c, edits[:n])
		names = names || set
		out.add(changed)
		edits = edits[n:]
	}
	if len(s.chunks) == 0 {
		changed, set := out.edited(nil, edits)
		names = set
		out.add(changed)
	}
	out.count()
	if h := out.highest(); h != nil {
		out.uidNext = max(out.uidNext, h.uid+1)
	}
	return &out, names
}

// edited applies edits to one chunk's records, and keeps the sum of octets.
func (s *Snapshot) edited(c chunk, edits []edit) (records []record, names bool) {
	records = make([]record, 0, len(c)+len(edits))
	i := 0
	for len(edits) > 0 {
		uid := edits[0].uid
		for i < len(c) && c[i].uid < uid {
			records = append(records, c[i])
			i++
		}
		var r *record
		if i < len(c) && c[i].uid == uid {
			was := c[i]
			r = &was
			i++
			s.octets -= was.octets()
		}
		had := r != nil
		for len(edits) > 0 && edits[0].uid == uid {
			r = edits[0].of(r)
			edits = edits[1:]
		}
		if r != nil {
			records = append(records, *r)
			s.octets += r.octets()
		}
		names = names || had != (r != nil)
	}
	return append(records, c[i:]...), names
}

// of applies one edit to one message, nil being none.
func (e *edit) of(r *record) *record {
	switch {
	case e.remove:
		return nil
	case !e.sizeOnly && !e.flagOnly:
		return &e.record
	case r == nil:
		return nil
	case e.sizeOnly:
		r.size, r.sizeHi, r.ours = e.size, e.sizeHi, true
	default:
		r.flags = e.flags
	}
	return r
}

// add puts changed records behind, in chunks; a short rest is left to joined.
func (s *Snapshot) add(records []record) {
	if n := len(s.chunks); n > 0 && len(records) > 0 && len(s.chunks[n-1]) < chunkMin && len(s.chunks[n-1])+len(records) <= chunkLen {
		records = append(slices.Clip(s.chunks[n-1]), records...)
		s.chunks = s.chunks[:n-1]
	}
	for len(records) > chunkLen {
		// The first ones are full, so that a growing mailbox fills its chunks.
		s.chunks = append(s.chunks, slices.Clone(records[:chunkLen]))
		records = records[chunkLen:]
	}
	if len(records) > 0 {
		if cap(records)-len(records) > len(records)/8 {
			records = slices.Clone(records) // Clip would keep what lies behind
		}
		s.chunks = append(s.chunks, slices.Clip(records))
	}
}

// joined puts an unchanged chunk behind, together with the one before it where
// that has become too short. A chunk of the old snapshot is never joined anew.
func joined(chunks []chunk, c chunk) []chunk {
	if n := len(chunks); n > 0 && len(chunks[n-1]) < chunkMin && len(chunks[n-1])+len(c) <= chunkLen {
		chunks[n-1] = slices.Concat(chunks[n-1], c)
		return chunks
	}
	return append(chunks, c)
}

// atLeast is s with a UIDNext that is not under next.
func (s *Snapshot) atLeast(next UID) *Snapshot {
	if s.uidNext >= next {
		return s
	}
	out := *s
	out.uidNext = next
	return &out
}

func compareUIDs(a, b UID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
