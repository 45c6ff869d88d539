package cache

import (
	"slices"
	"strings"
)

// flagID stands for a set of flags. A mailbox of a million messages has a few
// dozen different ones.
type flagID uint32

// maxFlagSets bounds the sets that a mailbox keeps, in sets; maxFlagOctets the
// flags in them, in octets. Sets that no message has any more are only forgotten
// when half of that is reached.
const (
	maxFlagSets   = 1 << 16
	maxFlagOctets = 16 << 20
)

// flagSets gives each set of flags a number. It belongs to the one writer of a
// mailbox. Sets are only ever appended, so a snapshot that holds the slice as it
// was when it was made needs no lock to read it.
type flagSets struct {
	sets [][]string
	ids  map[string]flagID

	octets int
	over   bool     // a limit was reached: some sets have a wrong number, and nothing is to be published
	last   struct { // the set that was asked for last: most messages are like the one before
		first *string
		n     int
		id    flagID
	}
}

func newFlagSets() *flagSets {
	f := &flagSets{ids: make(map[string]flagID)}
	f.id(nil)
	return f
}

// id gives the number of a set, sorted, which is kept and not to be modified.
func (f *flagSets) id(flags []string) flagID {
	if len(flags) == 0 {
		if len(f.sets) == 0 {
			f.sets = append(f.sets, nil)
		}
		return 0
	}
	if f.last.first == &flags[0] && f.last.n == len(flags) {
		return f.last.id
	}
	key := strings.Join(flags, " ")
	id, ok := f.ids[key]
	if !ok && (len(f.sets) >= maxFlagSets || f.octets+len(key) > maxFlagOctets) {
		f.over = true
		return 0
	}
	if !ok {
		f.octets += len(key)
		id = flagID(len(f.sets))
		f.sets = append(f.sets, flags)
		f.ids[key] = id
		// Only a set that is kept has an address that nothing else will have.
		f.last.first, f.last.n, f.last.id = &flags[0], len(flags), id
	}
	return id
}

// full reports whether it is time to begin anew.
func (f *flagSets) full() bool {
	return f.over || len(f.sets) >= maxFlagSets/2 || f.octets >= maxFlagOctets/2
}

// reflagged is s with the flags numbered by f.
func (s *Snapshot) reflagged(f *flagSets) *Snapshot {
	next := *s
	next.chunks = make([]chunk, len(s.chunks))
	for i, c := range s.chunks {
		next.chunks[i] = slices.Clone(c)
		for k := range next.chunks[i] {
			r := &next.chunks[i][k]
			r.flags = f.id(s.flags[r.flags])
		}
	}
	next.flags = f.sets
	return &next
}
