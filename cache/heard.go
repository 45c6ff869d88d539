package cache

import (
	"slices"

	"imapfs/imapconn"
)

// heardFlags is which flags messages were said to have, in the order of the
// saying: 8 octets each, for another client may mark a million messages at once.
type heardFlags struct {
	news   []heardFlag
	sets   [][]string         // each once, as long as imapconn shares it
	octets int                // of the flags in sets
	ids    map[*string]uint32 // by the address of the first flag; sets keeps it from being another's
}

type heardFlag struct {
	uid UID
	set uint32 // of sets
}

// add notes what a message's flags are. flags is kept.
func (f *heardFlags) add(uid UID, flags []string) {
	if f.ids == nil {
		f.ids = make(map[*string]uint32)
	}
	var first *string
	if len(flags) > 0 {
		first = &flags[0]
	}
	id, ok := f.ids[first]
	if !ok {
		id = uint32(len(f.sets))
		f.sets = append(f.sets, flags)
		f.ids[first] = id
		for _, flag := range flags {
			f.octets += len(flag)
		}
	}
	f.news = append(f.news, heardFlag{uid, id})
}

// applyFlags gives s with the flags that were heard. What they do not change is
// shared.
func (s *Snapshot) applyFlags(f heardFlags, flags *flagSets) *Snapshot {
	slices.SortStableFunc(f.news, func(a, b heardFlag) int { return compareUIDs(a.uid, b.uid) })
	var edits []edit
	for i, h := range f.news {
		if i+1 < len(f.news) && f.news[i+1].uid == h.uid {
			continue // the last word counts
		}
		id := flags.id(f.sets[h.set])
		if r := s.find(h.uid); r == nil || r.flags == id {
			continue
		}
		if len(edits) == editBatch {
			s, _ = s.apply(edits)
			edits = edits[:0]
		}
		edits = append(edits, edit{record: record{uid: h.uid, flags: id}, flagOnly: true})
	}
	s, _ = s.apply(edits)
	return s
}

// goneSet is the messages that went under a selection. UIDs may come in any
// order; Dovecot names the last first.
type goneSet struct {
	set   imapconn.UIDSet
	fresh []imapconn.UIDRange // not in set yet
}

// maxGone bounds the ranges of a goneSet, in ranges. When there are more all are
// forgotten: a reader of the text of one of them learns of its end in a new session.
const maxGone = 1 << 20

// goneFresh is how many ranges are put into the set at a time, at least.
const goneFresh = 1024

func (g *goneSet) add(first, last UID) {
	if len(g.set) >= maxGone {
		g.set = nil
	}
	g.fresh = append(g.fresh, imapconn.UIDRange{First: first, Last: last})
	if len(g.fresh) >= max(goneFresh, len(g.set)) {
		g.settle()
	}
}

func (g *goneSet) has(uid UID) bool {
	g.settle()
	return g.set.Contains(uid)
}

// settle puts what is fresh into the set: in rising order, as that costs least.
func (g *goneSet) settle() {
	if len(g.fresh) == 0 {
		return
	}
	slices.SortFunc(g.fresh, func(a, b imapconn.UIDRange) int { return compareUIDs(a.First, b.First) })
	all := make(imapconn.UIDSet, 0, len(g.set)+1)
	set := g.set
	for _, r := range g.fresh {
		for len(set) > 0 && set[0].First <= r.First {
			all.AddRange(set[0].First, set[0].Last)
			set = set[1:]
		}
		all.AddRange(r.First, r.Last)
	}
	for _, r := range set {
		all.AddRange(r.First, r.Last)
	}
	g.set, g.fresh = all, nil
}
