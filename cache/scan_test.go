package cache

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// scanned has a reader open messages in an order, with a server that brings whatever is asked for
// at once, and says how many texts were there before they were opened, and how many were asked
// for in vain.
func scanned(s *Snapshot, order []UID) (ahead, vain int) {
	var ss scans
	m := &Mailbox{}
	now := time.Unix(0, 0)
	asked := map[UID]bool{}
	for _, uid := range order {
		if asked[uid] {
			ahead++
		}
		sc, _ := ss.opened(m, s, uid, !asked[uid], now)
		asked[uid] = true
		if sc == nil {
			continue
		}
		sc.late()
		for i := s.Search(sc.edge) + sc.dir; i >= 0 && i < s.Len(); i += sc.dir {
			if _, more := sc.lacks(maxWindow); !more {
				break
			}
			next := s.At(i)
			sc.push(next.UID, next.Size)
			sc.edge = next.UID
			asked[next.UID] = true
		}
	}
	return ahead, len(asked) - len(order)
}

func manyToScan(n int) (*Snapshot, []UID) {
	messages := make([]Message, n)
	order := make([]UID, len(messages))
	for i := range messages {
		messages[i] = Message{UID: UID(3*i + 1), Size: 27_000}
		order[i] = messages[i].UID
	}
	return NewSnapshot(1, 0, messages, 1, time.Now()), order
}

func TestScansAreRecognised(t *testing.T) {
	s, up := manyToScan(10_000)
	down := slices.Clone(up)
	slices.Reverse(down)
	sorted := slices.Clone(up)
	slices.SortFunc(sorted, func(a, b UID) int {
		x, y := strconv.Itoa(int(a)), strconv.Itoa(int(b))
		if x < y {
			return -1
		}
		return 1
	})
	var halves []UID // of two threads, one of which has taken half of the work of the other
	for i := range down[:5000] {
		halves = append(halves, down[i], down[5000+i])
	}
	var some []UID
	for i := 0; i < len(up); i += 1 + rand.IntN(3) {
		some = append(some, up[i])
	}
	for name, order := range map[string][]UID{
		"up": up, "down": down, "sorted by name": sorted, "two threads": halves,
	} {
		if ahead, vain := scanned(s, order); ahead < 9900 || vain != 0 {
			t.Errorf("%s: %d of 10,000 were there when they were opened, %d were not wanted", name, ahead, vain)
		}
	}
	if ahead, _ := scanned(s, some); ahead < len(some)*98/100 {
		t.Errorf("with gaps: %d of %d were there", ahead, len(some))
	}
}

// Eight threads seem to begin anywhere, and now and then to go back for a few messages: it depends
// on who comes first, so this is tried with many orders.
func TestAScanInThreadsIsRecognised(t *testing.T) {
	s, up := manyToScan(2000)
	down := slices.Clone(up)
	slices.Reverse(down)
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		for way, order := range map[string][]UID{"up": slices.Clone(up), "down": slices.Clone(down)} {
			for part := range slices.Chunk(order, 8) {
				r.Shuffle(len(part), func(a, b int) { part[a], part[b] = part[b], part[a] })
			}
			if ahead, vain := scanned(s, order); ahead < 1980 || vain != 0 {
				t.Errorf("%s, order %d: %d of 2,000 were there when they were opened, %d were not wanted", way, seed, ahead, vain)
			}
		}
	}
}

func TestWhoReadsHereAndThereIsNoScan(t *testing.T) {
	s, up := manyToScan(10_000)
	if _, vain := scanned(s, up[5000:5001]); vain != 0 {
		t.Errorf("%d texts beside the one that was opened", vain)
	}
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(up), func(a, b int) { up[a], up[b] = up[b], up[a] })
		// A few lie beside each other by chance.
		if _, vain := scanned(s, up[:200]); vain > 200 {
			t.Errorf("%d texts for 200 here and there, order %d", vain, seed)
		}
	}
	if _, vain := scanned(s, slices.Repeat([]UID{2998, 3001}, 1000)[:2]); vain > 2*firstWindow/27_000 {
		t.Errorf("%d texts for two", vain)
	}
}
