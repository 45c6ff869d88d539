package imapwire

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func TestCopyUIDPairsInItsOwnOrder(t *testing.T) {
	for args, want := range map[string][]UIDPair{
		"9 1 2":                       {{1, 2, 1}},
		"9 304,319:320 3956:3958":     {{304, 3956, 1}, {319, 3957, 2}},
		"9 1:5 7,1:2,9:10":            {{1, 7, 1}, {2, 1, 2}, {4, 9, 2}},
		"9 5:4,1 10:12":               {{4, 10, 2}, {1, 12, 1}},
		"9  1:2  3:4 ":                {{1, 3, 2}},
		"9 1:4294967295 1:4294967295": {{1, 1, 1<<32 - 1}},
	} {
		v, got, ok := ParseCopyUID(args)
		if !ok || v != 9 || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", args, got, ok)
		}
	}
	for _, args := range []string{"", "9", "9 1", "9  ", "0 1 2", "9 1 2 3", "9 1:3 1:2", "9 1:2 1:3", "9 0 1", "9 1 *", "9 1:* 1:*", "x 1 2", "4294967296 1 2", "9 1, 2", "9 (1) 2", "9 1:4294967295,1 1:4294967295"} {
		if _, got, ok := ParseCopyUID(args); ok {
			t.Errorf("%q was read as %v", args, got)
		}
	}
}

// The sets against plain ones.
func TestUIDSetsAreCutAndTakenAway(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	random := func() (set UIDSet, plain map[UID]bool) {
		plain = make(map[UID]bool)
		for range r.IntN(12) {
			a := UID(r.IntN(60) + 1)
			for u := a; u <= a+UID(r.IntN(9)); u++ {
				set.Add(u)
				plain[u] = true
			}
		}
		return set, plain
	}
	for range 1000 {
		a, plainA := random()
		b, plainB := random()
		var both, rest UIDSet
		for u := UID(1); u < 80; u++ {
			if plainA[u] && plainB[u] {
				both.Add(u)
			}
			if plainA[u] && !plainB[u] {
				rest.Add(u)
			}
		}
		if got := a.And(b); !reflect.DeepEqual(got, both) {
			t.Fatalf("%s and %s: %s, want %s", a, b, got, both)
		}
		if got := a.Without(b); !reflect.DeepEqual(got, rest) {
			t.Fatalf("%s without %s: %s, want %s", a, b, got, rest)
		}
	}
	all := UIDSet{{1, 1<<32 - 1}}
	if got := all.Without(all); got != nil {
		t.Errorf("%s", got)
	}
	if got := all.Without(SetOf(1<<32 - 1)).String(); got != "1:4294967294" {
		t.Errorf("%s", got)
	}
}

func TestWhatIsNoFlagOrNoDateIsNotEncoded(t *testing.T) {
	for _, f := range []string{"", " ", "a b", `\`, `\\a`, `\Recent`, `\RECENT`, `\*`, "*", "a]", "(a)", "a\r\n", "ä", "a\x00", `a"`} {
		var e Encoder
		if e.Flags([]string{`\Seen`, f}); e.Err() == nil {
			t.Errorf("%q was encoded as %s", f, e.Octets())
		}
	}
	var e Encoder
	e.Flags(nil).Flags([]string{`\Seen`, "$Junk", `\X-own`, "a[b"}).Date(time.Date(2020, 2, 3, 4, 5, 6, 7, time.FixedZone("", -5400)))
	if want := `()(\Seen $Junk \X-own a[b)" 3-Feb-2020 04:05:06 -0130"`; string(e.Octets()) != want || e.Err() != nil {
		t.Errorf("%s, %v", e.Octets(), e.Err())
	}
	for _, year := range []int{-1, 0, 10000} {
		var e Encoder
		if e.Date(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)); e.Err() == nil {
			t.Errorf("%s", e.Octets())
		}
	}
}
