package imapwire

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestUIDSetsAreSortedAndDisjoint(t *testing.T) {
	for sent, want := range map[string]string{
		"1": "1", "1,2,3": "1:3", "3,1,2": "1:3", "1:5,7": "1:5,7", "5:1": "1:5", "1,3,2": "1:3", "9,1:4,3:7": "1:7,9",
		"4294967295": "4294967295", "4294967294,4294967295": "4294967294:4294967295", "1:4294967295,5": "1:4294967295", "2,4,6,1:6": "1:6", "1,1": "1",
	} {
		got, err := ParseUIDSet(sent)
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v, want %s", sent, got, err, want)
		}
	}
	for _, sent := range []string{"", "0", "1:*", "*", "1,", ",1", "1:2:3", "-1", "4294967296", "a", " 1", "1:0"} {
		if got, err := ParseUIDSet(sent); err == nil {
			t.Errorf("%q was read as %s", sent, got)
		}
	}
}

// The set against a plain one.
func TestUIDSetsHoldWhatWasAdded(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var set UIDSet
		plain := make(map[UID]bool)
		for range 60 {
			a := UID(r.IntN(200) + 1)
			b := a + UID(r.IntN(4))
			set.AddRange(b, a)
			for u := a; u <= b; u++ {
				plain[u] = true
			}
		}
		for u := UID(0); u < 210; u++ {
			if set.Contains(u) != plain[u] {
				t.Fatalf("%s: Contains(%d) is %v", set, u, !plain[u])
			}
		}
		if set.Len() != uint64(len(plain)) {
			t.Fatalf("%s: Len %d, want %d", set, set.Len(), len(plain))
		}
		for i := 1; i < len(set); i++ {
			if set[i].First <= set[i-1].Last+1 {
				t.Fatalf("%s: ranges touch", set)
			}
		}
		if again, err := ParseUIDSet(set.String()); err != nil || !slices.Equal(again, set) {
			t.Fatalf("%s came back as %s, %v", set, again, err)
		}
	}
}

func TestSplitKeepsEveryPartWithinTheLimit(t *testing.T) {
	var set UIDSet
	for u := UID(1); u < 100_000; u += 3 {
		set.Add(u)
	}
	for _, limit := range []int{1, 20, 7900, 1 << 30} {
		var parts []string
		for _, part := range set.Split(limit) {
			s := part.String()
			if len(s) > limit && len(part) > 1 {
				t.Errorf("a part of %d octets over %d", len(s), limit)
			}
			parts = append(parts, s)
		}
		if strings.Join(parts, ",") != set.String() {
			t.Errorf("limit %d: something was lost", limit)
		}
	}
	if parts := (UIDSet{}).Split(10); parts != nil {
		t.Errorf("the empty set has parts %v", parts)
	}
}

// FuzzUIDSet: what is read is written so that it is read the same.
func FuzzUIDSet(f *testing.F) {
	f.Add("1:3,5,9:7")
	f.Fuzz(func(t *testing.T, s string) {
		set, err := ParseUIDSet(s)
		if err != nil {
			return
		}
		if again, err := ParseUIDSet(set.String()); err != nil || !slices.Equal(again, set) {
			t.Errorf("%q: %s came back as %s, %v", s, set, again, err)
		}
	})
}
