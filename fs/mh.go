package fs

import (
	"slices"
	"strconv"

	"imapfs/cache"
)

// The file .mh_sequences of a mailbox, as nmh (mh-sequence(5)), mutt and
// Python's mailbox.MH read it: for each sequence its name, a colon, and the
// numbers of its messages, ascending, runs of them as first-last. A sequence
// without messages has no line. The numbers are the names of the files, so there
// is no such file where these have a suffix.

const mhSequencesName = ".mh_sequences"

// mhSequences are the sequences that programs know without being told.
var mhSequences = []struct {
	name string
	has  func(flags []string) bool
}{
	{"unseen", func(flags []string) bool { return !slices.Contains(flags, `\Seen`) }},
	{"flagged", func(flags []string) bool { return slices.Contains(flags, `\Flagged`) }},
	{"replied", func(flags []string) bool { return slices.Contains(flags, `\Answered`) }},
}

// mhText is the content of the file. It takes some milliseconds where there are
// a million messages.
func mhText(snap *cache.Snapshot) []byte {
	b := []byte{} // an empty mailbox has the file, too: by it mutt knows the kind
	for _, q := range mhSequences {
		line := len(b)
		for first, last := range snap.Runs(q.has) {
			if len(b) == line {
				b = append(append(b, q.name...), ':')
			}
			b = strconv.AppendUint(append(b, ' '), uint64(first), 10)
			if last > first {
				b = strconv.AppendUint(append(b, '-'), uint64(last), 10)
			}
		}
		if len(b) > line {
			b = append(b, '\n')
		}
	}
	return slices.Clip(b)
}
