package cache

import (
	"slices"

	"imapfs/imapconn"
)

// fetchRecords asks for all that is kept of some messages. The result is in UID
// order; messages that are gone are left out. A size or date that the server
// leaves out is 0.
func (m *Mailbox) fetchRecords(l *lease, set imapconn.UIDSet) ([]record, error) {
	return m.fetch(l, set, imapconn.MetaAll)
}

// fetchFlags asks for the UIDs of all messages, with their flags.
func (m *Mailbox) fetchFlags(l *lease) ([]record, error) {
	return m.fetch(l, imapconn.AllUIDs(), imapconn.MetaFlags)
}

// described is what one answer said of a message.
type described struct {
	record
	has imapconn.MetaItems
}

func (m *Mailbox) fetch(l *lease, set imapconn.UIDSet, items imapconn.MetaItems) ([]record, error) {
	var all []described
	sorted := true
	err := l.client.FetchMeta(m.account.ctx, set, items, func(f imapconn.Meta) {
		if f.UID == 0 {
			return
		}
		if n := len(all); n > 0 && all[n-1].uid >= f.UID {
			sorted = false
		}
		all = append(all, m.describe(f))
	})
	if err != nil {
		return nil, err
	}
	if !sorted {
		all = inOrder(all)
	}
	records := make([]record, len(all))
	for i := range all {
		records[i] = all[i].record
	}
	return records, nil
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

// inOrder sorts what came in another order than that of the UIDs, and makes one
// of several answers about a message: what was said later counts.
func inOrder(all []described) []described {
	slices.SortStableFunc(all, func(a, b described) int { return compareUIDs(a.uid, b.uid) })
	out := all[:0]
	for _, d := range all {
		n := len(out)
		if n == 0 || out[n-1].uid != d.uid {
			out = append(out, d)
			continue
		}
		last := &out[n-1]
		if d.has&imapconn.MetaFlags != 0 {
			last.flags = d.flags
		}
		if d.has&imapconn.MetaDate != 0 {
			last.date, last.dateHi = d.date, d.dateHi
		}
		if d.has&imapconn.MetaSize != 0 {
			last.size, last.sizeHi = d.size, d.sizeHi
		}
		last.has |= d.has
	}
	return out
}
