package cache

import (
	"slices"
	"testing"
	"time"
)

// Runs against a look at each message by itself, over holes, the edges of chunks
// and the highest UID.
func TestRunsAreTheMessagesThatMeet(t *testing.T) {
	t.Parallel()
	var messages []Message
	for uid := UID(1); uid <= 3*chunkLen; uid++ {
		m := Message{UID: uid}
		if uid%7 < 3 || uid > chunkLen-4 && uid < chunkLen+4 {
			m.Flags = []string{`\Seen`}
		}
		if uid%50 != 0 {
			messages = append(messages, m)
		}
	}
	messages = append(messages, Message{UID: 1<<32 - 2, Flags: []string{`\Seen`}}, Message{UID: 1<<32 - 1, Flags: []string{`\Seen`}})
	s := NewSnapshot(1, 1, messages, 1, time.Time{})
	seen := func(flags []string) bool { return slices.Contains(flags, `\Seen`) }
	type run struct{ first, last UID }
	var want, got []run
	for _, m := range messages {
		switch n := len(want); {
		case !seen(m.Flags):
		case n > 0 && want[n-1].last+1 == m.UID:
			want[n-1].last = m.UID
		default:
			want = append(want, run{m.UID, m.UID})
		}
	}
	for first, last := range s.Runs(seen) {
		got = append(got, run{first, last})
	}
	if !slices.Equal(got, want) || len(want) < 100 {
		t.Errorf("%d runs, want %d:\n%v\n%v", len(got), len(want), got, want)
	}
	n := 0
	for range s.Runs(seen) {
		if n++; n == 2 {
			break
		}
	}
	for range s.Runs(func([]string) bool { return false }) {
		t.Error("a run of none")
	}
}

func BenchmarkRunsOfAMillion(b *testing.B) {
	s := manyMessages(1_000_000)
	for b.Loop() {
		for range s.Runs(func(flags []string) bool { return !slices.Contains(flags, `\Seen`) }) {
		}
	}
}
