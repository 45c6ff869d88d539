package imapwire

import (
	"slices"
	"strings"
)

// A FlagTable begins anew when it keeps maxInterned lists, or maxInternedOctets of
// flags. The lists that it gave stay good.
const (
	maxInterned       = 4096
	maxInternedOctets = 1 << 20
)

// FlagTable turns flag lists into shared slices: a mailbox of a million
// messages has a few dozen different ones. It is not safe for concurrent use.
type FlagTable struct {
	lists  map[string][]string // by the octets between the parentheses
	octets int                 // of the keys
	raw    []byte
}

// List reads a parenthesised list of flags. The result is sorted, each flag
// once whatever its case, system flags spelled as in RFC 3501 §2.3.2, without
// \Recent, which is a session's and no message's. It is shared: it is not to be
// modified. NIL is read as the empty list.
func (t *FlagTable) List(d *Decoder) []string {
	t.raw = t.raw[:0]
	if !d.Accept('(') {
		if d.SkipValue(); d.Err() != nil {
			return nil
		}
		return t.intern()
	}
	n := 0
	for d.Spaces(); !d.Accept(')') && d.Err() == nil; d.Spaces() {
		if n++; n > MaxFlags {
			d.Fail(&LimitError{"MaxFlags", MaxFlags})
			return nil
		}
		if n > 1 {
			t.raw = append(t.raw, ' ')
		}
		t.raw = append(t.raw, d.Atom()...)
		if len(t.raw) > MaxToken {
			d.Fail(&LimitError{"MaxToken", MaxToken})
		}
	}
	if d.Err() != nil {
		return nil
	}
	return t.intern()
}

// intern finds or makes the list that raw stands for.
func (t *FlagTable) intern() []string {
	if list, ok := t.lists[string(t.raw)]; ok {
		return list
	}
	if t.lists == nil || len(t.lists) >= maxInterned || t.octets+len(t.raw) > maxInternedOctets {
		t.lists, t.octets = make(map[string][]string), 0
	}
	key := string(t.raw)
	t.octets += len(key)
	list := ParseFlags(key)
	t.lists[key] = list
	return list
}

// ParseFlags reads flags parted by spaces, as FlagTable.List gives them.
func ParseFlags(s string) []string {
	list := strings.Fields(s)
	for i, f := range list {
		list[i] = CanonicalFlag(f)
	}
	list = slices.DeleteFunc(list, func(f string) bool { return f == `\Recent` })
	slices.Sort(list)
	seen := make(map[string]bool, len(list))
	list = slices.DeleteFunc(list, func(f string) bool {
		folded := strings.ToLower(f)
		defer func() { seen[folded] = true }()
		return seen[folded]
	})
	return slices.Clip(list)
}

var systemFlags = []string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, `\Recent`}

// CanonicalFlag spells a system flag as RFC 3501 §2.3.2 does. Keywords are left
// as they are.
func CanonicalFlag(f string) string {
	if strings.HasPrefix(f, `\`) {
		for _, s := range systemFlags {
			if strings.EqualFold(f, s) {
				return s
			}
		}
	}
	return f
}
