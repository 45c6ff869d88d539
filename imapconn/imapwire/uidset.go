package imapwire

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// UIDRange is the UIDs from First to Last, both included.
type UIDRange struct{ First, Last UID }

// UIDSet is a sorted list of disjoint closed ranges that do not touch. The zero
// value is empty.
type UIDSet []UIDRange

// SetOf is the set of uids.
func SetOf(uids ...UID) UIDSet {
	var s UIDSet
	for _, u := range uids {
		s.Add(u)
	}
	return s
}

// Add adds u.
func (s *UIDSet) Add(u UID) { s.AddRange(u, u) }

// AddRange adds the UIDs from a to b. Adding in rising order costs nothing much.
func (s *UIDSet) AddRange(a, b UID) {
	a, b = min(a, b), max(a, b)
	// The ranges from i up to j overlap a…b or touch it.
	i, _ := slices.BinarySearchFunc(*s, a, func(r UIDRange, a UID) int {
		if r.Last < a && r.Last+1 < a {
			return -1
		}
		return 1
	})
	j := i
	for j < len(*s) && ((*s)[j].First <= b || (*s)[j].First-1 == b) {
		a, b = min(a, (*s)[j].First), max(b, (*s)[j].Last)
		j++
	}
	*s = slices.Replace(*s, i, j, UIDRange{a, b})
}

// Contains reports whether u is in the set.
func (s UIDSet) Contains(u UID) bool {
	_, found := slices.BinarySearchFunc(s, u, func(r UIDRange, u UID) int {
		switch {
		case r.Last < u:
			return -1
		case r.First > u:
			return 1
		}
		return 0
	})
	return found
}

// And is what is in both sets.
func (s UIDSet) And(t UIDSet) UIDSet {
	var both UIDSet
	for len(s) > 0 && len(t) > 0 {
		if a, b := max(s[0].First, t[0].First), min(s[0].Last, t[0].Last); a <= b {
			both = append(both, UIDRange{a, b})
		}
		if s[0].Last < t[0].Last {
			s = s[1:]
		} else {
			t = t[1:]
		}
	}
	return both
}

// Without is what is in s and not in t.
func (s UIDSet) Without(t UIDSet) UIDSet {
	var rest UIDSet
	for _, r := range s {
		for len(t) > 0 && t[0].Last < r.First {
			t = t[1:]
		}
		whole := true
		for i := 0; i < len(t) && t[i].First <= r.Last; i++ {
			if t[i].First > r.First {
				rest = append(rest, UIDRange{r.First, t[i].First - 1})
			}
			if t[i].Last >= r.Last {
				whole = false
				break
			}
			r.First = t[i].Last + 1
		}
		if whole {
			rest = append(rest, r)
		}
	}
	return rest
}

// Len is the number of UIDs in the set.
func (s UIDSet) Len() uint64 {
	var n uint64
	for _, r := range s {
		n += uint64(r.Last-r.First) + 1
	}
	return n
}

func (r UIDRange) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(r.First), 10)
	if r.Last > r.First {
		b = strconv.AppendUint(append(b, ':'), uint64(r.Last), 10)
	}
	return b
}

// String is the set as RFC 3501 §9 writes it, never with *.
func (s UIDSet) String() string {
	var b []byte
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.append(b)
	}
	return string(b)
}

// Split parts the set so that each part is written in at most max octets, or is
// one range.
func (s UIDSet) Split(max int) []UIDSet {
	var parts []UIDSet
	start, octets := 0, 0
	for i, r := range s {
		n := len(r.append(nil)) + 1
		if i > start && octets+n > max+1 {
			parts = append(parts, s[start:i:i])
			start, octets = i, 0
		}
		octets += n
	}
	if start < len(s) {
		parts = append(parts, s[start:])
	}
	return parts
}

// ParseUIDSet reads what String writes, ranges in any order.
func ParseUIDSet(text string) (UIDSet, error) {
	var s UIDSet
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 32)
		b, errB := strconv.ParseUint(last, 10, 32)
		if errA != nil || errB != nil || a == 0 || b == 0 {
			return nil, errors.New("not a set of UIDs: " + strconv.Quote(text))
		}
		s.AddRange(UID(a), UID(b))
	}
	return s, nil
}
