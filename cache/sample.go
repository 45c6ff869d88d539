package cache

import (
	"context"

	"imapfs/imapconn"
)

const (
	// stillSamples is how many messages are looked at each time a mailbox is
	// entered: some 60 octets each.
	stillSamples = 4
	// movedSamples is how many of a mailbox that is looked for under another name.
	movedSamples = 16
)

// samples gives some of the messages, evenly spread, at most n of them and the
// highest among them.
func (s *Snapshot) samples(n int) []*record {
	n = min(n, s.Len())
	out := make([]*record, 0, n)
	for k := range n {
		i := s.Len() - 1
		if n > 1 {
			i = k * (s.Len() - 1) / (n - 1)
		}
		out = append(out, s.record(i))
	}
	return out
}

// agreement is what was found of the samples of a snapshot.
type agreement struct {
	present int  // messages that are there, with size and date
	differ  bool // one of them has another date, or the highest another size
	resized bool // another one has another size
}

// compare asks for the sizes and dates of messages that are known, the highest
// behind the others. What we have put in proves nothing: a server may have its own
// clock, and its own way to count. sending is called when they are on their way.
func compare(ctx context.Context, c *imapconn.Client, samples []*record, sending func()) (agreement, error) {
	var a agreement
	known := make(map[UID]*record, len(samples))
	var set imapconn.UIDSet
	for _, r := range samples {
		known[r.uid] = r
		set.Add(r.uid)
	}
	highest := samples[len(samples)-1]
	said := make(map[UID]imapconn.MetaItems, len(samples))
	err := c.FetchMetaFirst(ctx, set, imapconn.MetaDate|imapconn.MetaSize, sending, func(f imapconn.Meta) {
		r := known[f.UID]
		if r == nil || !f.HasDate && !f.HasSize || f.HasSize && f.Size == 0 && r.octets() != 0 {
			// A size of 0 is what some say of a message that is going, or that they have lost
			// sight of; its date is as good as that.
			return
		}
		now := newRecord(f.UID, f.Size, 0, 0)
		if f.HasSize {
			said[f.UID] |= imapconn.MetaSize
		}
		if f.HasDate {
			said[f.UID] |= imapconn.MetaDate
			now = newRecord(f.UID, f.Size, f.Date.Unix(), 0)
		}
		if f.HasSize && r.octets() != 0 && !r.ours && !r.put && now.octets() != r.octets() {
			if r == highest {
				a.differ = true
			} else {
				a.resized = true
			}
		}
		a.differ = a.differ || f.HasDate && !r.put && now.unix() != r.unix()
	})
	if err != nil {
		return agreement{}, err // the reader may be at it still: of a connection that ends nobody waits for it
	}
	for _, items := range said {
		if items == imapconn.MetaDate|imapconn.MetaSize {
			a.present++
		}
	}
	return a, nil
}

// isStill asks whether messages have the dates, and the highest the size, that
// are known. One that is gone has not changed. The sizes of others prove nothing:
// there are servers that say another one once a message has been read. sending is called
// when they are on their way for the first time.
func (s *Snapshot) isStill(ctx context.Context, c *imapconn.Client, sending func()) (bool, error) {
	samples := s.samples(stillSamples)
	a, err := compare(ctx, c, samples, sending)
	if err == nil && a.differ {
		// Courier invents a message, with a size and a date, for one that went since the
		// mailbox was selected; after a NOOP that is listed no more.
		if err = c.Noop(ctx); err == nil {
			a, err = compare(ctx, c, samples, nil)
		}
	}
	return err == nil && !a.differ, err
}

// isThere asks whether messages are there with the sizes and dates that are known:
// most of them, for some may have been expunged since.
func (s *Snapshot) isThere(ctx context.Context, c *imapconn.Client) (bool, error) {
	samples := s.samples(movedSamples)
	if len(samples) == 0 {
		return true, nil
	}
	a, err := compare(ctx, c, samples, nil)
	return err == nil && !a.differ && !a.resized && 2*a.present >= len(samples), err
}
