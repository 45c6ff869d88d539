package fs

import (
	"strings"
	"testing"
	"time"

	"imapfs/cache"
)

// A million messages are rendered once for each state that somebody looks at,
// and not in the goroutine that reads requests.
func TestSequencesOfAMillion(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.addMany(1, 1_000_000, 10)
	seen := []string{`\Seen`}
	box.setup(func() {
		for i := range box.messages {
			if i%2 == 0 {
				box.messages[i].Flags = seen
			}
		}
	})
	dir := walk(t, s, "INBOX").Node
	if err := s.load(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.lookup(dir, mhSequencesName); err != errWait {
		t.Fatalf("lookup: %v", err)
	}
	begun := time.Now()
	r, err := s.lookupSequencesWait(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d octets in %v", r.Attr.Size, time.Since(begun))
	text := s.generated.textOf(s.generated.find(r.Node))
	for range 10_000 { // all of these together take less than one rendering
		if again, err := s.lookup(dir, mhSequencesName); err != nil || again.Node != r.Node {
			t.Fatalf("lookup: %v, %v", again, err)
		}
		if _, err := s.getattr(r.Node); err != nil {
			t.Fatal(err)
		}
	}
	if now := s.generated.textOf(s.generated.find(r.Node)); &now[0] != &text[0] {
		t.Error("rendered again")
	}
	if got := readAll(t, s, r); !strings.HasPrefix(got, "unseen: 2 4 6 ") || !strings.HasSuffix(got, " 999998 1000000\n") {
		t.Errorf("%.20q … %.20q", got, got[len(got)-20:])
	}
}

func BenchmarkSequencesOfAMillion(b *testing.B) {
	messages := make([]cache.Message, 1_000_000)
	for i := range messages {
		messages[i].UID = cache.UID(i + 1)
		if i%2 == 0 {
			messages[i].Flags = []string{`\Seen`}
		}
	}
	snap := newSnapshot(1, 1, messages, 1, time.Time{})
	for b.Loop() {
		mhText(snap)
	}
}
