package cache

import (
	"slices"

	"imapfs/imapconn"
)

// fetchRecords asks for all that is kept of some messages. The result is in UID
// order; messages that are gone are left out. A size or date that the server
// leaves out is 0.
func (m *Mailbox) fetchRecords(l *lease, set imapconn.UIDSet) ([]chunk, error) {
	var g gathering
	all := slices.Equal(set, imapconn.AllUIDs())
	err := l.client.FetchMeta(m.account.ctx, set, imapconn.MetaAll, func(f imapconn.Meta) {
		if f.UID != 0 {
			g.add(m.describe(f))
			if all {
				l.hear.taken(f)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return g.done(), nil
}

// fetchFlags asks for the UIDs of all messages, with their flags, and gives each
// answer to f, in the order of their coming.
func (m *Mailbox) fetchFlags(l *lease, f func(UID, flagID)) error {
	return l.client.FetchMeta(m.account.ctx, imapconn.AllUIDs(), imapconn.MetaFlags, func(a imapconn.Meta) {
		if a.UID != 0 {
			f(a.UID, m.index.flags.id(a.Flags))
			l.hear.taken(a)
		}
	})
}

// described is what one answer said of a message.
type described struct {
	record
	has imapconn.MetaItems
}

func (m *Mailbox) describe(f imapconn.Meta) described {
	var d described
	var date int64
	if f.HasFlags {
		d.has |= imapconn.MetaFlags
		d.flags = m.index.flags.id(f.Flags)
	}
	if f.HasDate {
		d.has |= imapconn.MetaDate
		date = f.Date.Unix()
	}
	if f.HasSize {
		d.has |= imapconn.MetaSize
	}
	d.record = newRecord(f.UID, f.Size, date, d.flags)
	return d
}

// merge puts into r what a later answer said.
func (r *record) merge(d described) {
	if d.has&imapconn.MetaFlags != 0 {
		r.flags = d.flags
	}
	if d.has&imapconn.MetaDate != 0 {
		r.date, r.dateHi = d.date, d.dateHi
	}
	if d.has&imapconn.MetaSize != 0 {
		r.size, r.sizeHi = d.size, d.sizeHi
	}
}

// gathering makes records of answers. Those that come in the order of the UIDs,
// as nearly all do, go straight to where they stay; what was said later of a
// message counts.
type gathering struct {
	chunks []chunk
	odd    []described // in the order of their coming
}

// firstRoom is what the first chunk has room for before it grows: most fetches are
// of one new message.
const firstRoom = 4

func (g *gathering) add(d described) {
	n := len(g.chunks)
	if n > 0 {
		c := g.chunks[n-1]
		last := &c[len(c)-1]
		switch {
		case d.uid == last.uid:
			last.merge(d)
			return
		case d.uid < last.uid:
			g.odd = append(g.odd, d)
			return
		}
	}
	if n == 0 || len(g.chunks[n-1]) == chunkLen {
		room := chunkLen
		if n == 0 {
			room = firstRoom
		}
		g.chunks = append(g.chunks, make(chunk, 0, room))
		n++
	}
	g.chunks[n-1] = append(g.chunks[n-1], d.record)
}

// done gives the records in UID order.
func (g *gathering) done() []chunk {
	if n := len(g.chunks); n > 0 {
		g.chunks[n-1] = slices.Clip(slices.Clone(g.chunks[n-1]))
	}
	if len(g.odd) == 0 {
		return g.chunks
	}
	slices.SortStableFunc(g.odd, func(a, b described) int { return compareUIDs(a.uid, b.uid) })
	s := Snapshot{chunks: g.chunks}
	s.count()
	var rest []edit
	for _, d := range g.odd {
		if r := s.find(d.uid); r != nil {
			r.merge(d) // nobody else has seen it yet
		} else if n := len(rest); n > 0 && rest[n-1].uid == d.uid {
			rest[n-1].merge(d)
		} else {
			rest = append(rest, edit{record: d.record})
		}
	}
	all, _ := s.apply(rest)
	return all.chunks
}
