package imapwire

import (
	"strconv"
	"strings"
)

// UIDPair says that the N messages with the UIDs from From on have, where they
// were copied to, the UIDs from To on.
type UIDPair struct {
	From, To UID
	N        uint32
}

// ParseCopyUID reads the arguments of COPYUID (RFC 4315 §3): the target's
// UIDVALIDITY, the UIDs of the sources and, in the same order, those of the
// copies. The order is the server's, so the pairs need not rise. ok is false for
// what is no COPYUID, is cut off, or has more of the one than of the other.
func ParseCopyUID(args string) (v UIDValidity, pairs []UIDPair, ok bool) {
	f := strings.Fields(args)
	if len(f) != 3 {
		return 0, nil, false
	}
	n, err := strconv.ParseUint(f[0], 10, 32)
	from, okFrom := orderedRanges(f[1])
	to, okTo := orderedRanges(f[2])
	if err != nil || n == 0 || !okFrom || !okTo {
		return 0, nil, false
	}
	for len(from) > 0 && len(to) > 0 {
		a, b := &from[0], &to[0]
		more := min(a.Last-a.First, b.Last-b.First)
		pairs = append(pairs, UIDPair{a.First, b.First, uint32(more) + 1})
		from, to = pass(from, more), pass(to, more)
	}
	return UIDValidity(n), pairs, len(from) == 0 && len(to) == 0
}

// pass takes a UID and more behind it from the first range.
func pass(ranges []UIDRange, more UID) []UIDRange {
	if ranges[0].Last-ranges[0].First == more {
		return ranges[1:]
	}
	ranges[0].First += more + 1
	return ranges
}

// orderedRanges reads a set in the order in which it is written.
func orderedRanges(text string) (ranges []UIDRange, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		set, err := ParseUIDSet(part)
		if err != nil {
			return nil, false
		}
		ranges = append(ranges, set...)
	}
	return ranges, true
}

// ParseAppendUID reads the arguments of APPENDUID (RFC 4315 §3) for one message.
func ParseAppendUID(args string) (v UIDValidity, uid UID, ok bool) {
	first, last, _ := strings.Cut(args, " ")
	n, errN := strconv.ParseUint(first, 10, 32)
	u, errU := strconv.ParseUint(strings.TrimSpace(last), 10, 32)
	ok = errN == nil && errU == nil && n > 0 && u > 0
	if !ok {
		return 0, 0, false
	}
	return UIDValidity(n), UID(u), true
}
