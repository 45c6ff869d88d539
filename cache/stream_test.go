package cache

import (
	"testing"
	"time"
)

// Four batches are asked for at once, and again when all have come. Some texts come in one piece.
func TestThePaceIsThatOfTheLine(t *testing.T) {
	const octets, line = 4 << 20, 40 << 20 // of a batch, and of the line in a second
	var p pace
	now := time.Unix(1000, 0)
	for range 20 {
		for range 4 {
			p.ask(now)
		}
		for range 4 {
			now = now.Add(octets * time.Second / line)
			for range 256 {
				p.came(octets/256, now)
			}
			p.end()
		}
		now = now.Add(time.Hour) // nobody reads
	}
	if p.rate < line/2 || p.rate > 2*line {
		t.Errorf("a line of %d octets a second is taken for one of %.0f", line, p.rate)
	}
}

func TestALargeTextOfAScanIsReadInLongRuns(t *testing.T) {
	const size = 40 << 20
	for first, want := range map[int64]span{runLen: {0, runLen}, longRun: {0, longRun}} {
		s := newLarge(size, 256<<20)
		s.read(0, blockLen, false, first, size, longRun)
		got := s.read(blockLen, blockLen, true, first, size, longRun)
		if len(got) < 2 || got[0] != want {
			t.Errorf("first %d: %v", first, got)
		}
		for i := 1; i < len(got); i++ {
			if got[i].first != got[i-1].end {
				t.Errorf("first %d: a hole in %v", first, got)
			}
		}
	}
}
