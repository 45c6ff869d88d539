package fs

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/cache"
)

// parseMH reads .mh_sequences as programs do, and wants what they want: numbers
// that ascend, and no sequence twice or without a number.
func parseMH(t *testing.T, text string) map[string]map[cache.UID]bool {
	t.Helper()
	all := make(map[string]map[cache.UID]bool)
	for line := range strings.Lines(text) {
		name, list, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok || all[name] != nil || list == "" || !strings.HasSuffix(line, "\n") {
			t.Fatalf("line %q", line)
		}
		all[name] = make(map[cache.UID]bool)
		last := uint64(0)
		for _, run := range strings.Split(list, " ") {
			a, b, isRun := strings.Cut(run, "-")
			first, err := strconv.ParseUint(a, 10, 32)
			end := first
			if err == nil && isRun {
				end, err = strconv.ParseUint(b, 10, 32)
			}
			if err != nil || first <= last || isRun && end <= first {
				t.Fatalf("run %q after %d", run, last)
			}
			for last = first; ; last++ {
				all[name][cache.UID(last)] = true
				if last == end {
					break
				}
			}
		}
	}
	return all
}

// Each octet of data is a message: what it leaves out behind the last, and flags.
func FuzzSequencesReadBack(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{0, 0, 0x40, 1, 2, 3, 7, 0xf6}, uint32(0))
	f.Add([]byte{0, 0, 0, 0, 0, 0}, uint32(1<<32-6))
	f.Fuzz(func(t *testing.T, data []byte, before uint32) {
		want := make(map[string]map[cache.UID]bool)
		var messages []cache.Message
		uid := uint64(before)
		for _, b := range data {
			if uid += 1 + uint64(b>>5); uid > 1<<32-1 {
				break
			}
			var flags []string
			for i, flag := range []string{`$Junk`, `\Answered`, `\Flagged`, `\Seen`} {
				if b>>i&1 == 1 {
					flags = append(flags, flag)
				}
			}
			messages = append(messages, cache.Message{UID: cache.UID(uid), Flags: flags})
			for name, has := range map[string]bool{"replied": b&2 != 0, "flagged": b&4 != 0, "unseen": b&8 == 0} {
				if has && want[name] == nil {
					want[name] = make(map[cache.UID]bool)
				}
				if has {
					want[name][cache.UID(uid)] = true
				}
			}
		}
		text := string(mhText(newSnapshot(1, 1, messages, 1, time.Time{})))
		got := parseMH(t, text)
		if !maps.EqualFunc(got, want, maps.Equal) {
			t.Errorf("%q of %v", text, messages)
		}
	})
}
