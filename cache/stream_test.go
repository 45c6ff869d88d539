package cache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
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

// A reader whose scan has grown reads a large text by long runs from the beginning, and any
// other by short ones first.
func TestALargeTextIsReadInStepWithItsScan(t *testing.T) {
	t.Parallel()
	const size = 20 << 20
	for window, want := range map[int64]int64{0: runLen, 2*longRun - 1: runLen, 2 * longRun: longRun} {
		s := imaptest.NewScripted(t)
		s.Mailbox("INBOX").Add(text(1, size))
		m := box(t, openScripted(t, s), "INBOX")
		v := mustLoad(t, m).Validity()
		ctx := within(t, 4*short)
		if _, err := m.Open(ctx, v, 1); err != nil {
			t.Fatal(err)
		}
		texts := m.account.texts
		texts.mu.Lock()
		texts.scans.all = []*scan{{box: m, validity: v, dir: 1, from: 1, at: 1, window: window}}
		texts.mu.Unlock()
		opened := len(bodies(s))
		for i := range int64(2) {
			if _, err := m.ReadAt(ctx, v, 1, make([]byte, blockLen), i*blockLen); err != nil {
				t.Fatal(err)
			}
		}
		// The first block has come with the OPEN.
		run := fmt.Sprintf("BODY.PEEK[]<%d.%d>)", blockLen, want-blockLen)
		if got := bodies(s)[opened:]; !slices.ContainsFunc(got, func(c string) bool { return strings.HasSuffix(c, run) }) {
			t.Errorf("with a window of %d: %q, want one of %s", window, got, run)
		}
	}
}
