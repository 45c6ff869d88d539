package fs

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bazil.org/fuse"
)

func TestMissIsANegativeEntry(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	a.mailbox("INBOX").add(1, []byte("x"), -1)
	id := walk(t, s, "INBOX").Node
	walk(t, s, "INBOX", "1")
	for _, name := range []string{"2", "01", "x", ".mh_sequences.lock"} {
		r, err := s.lookup(id, name)
		if err != nil || r.Node != 0 || r.EntryValid != forever {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if r, err := s.lookup(fuse.RootID, "inbox"); err != nil || r.Node != 0 {
		t.Errorf("inbox resolves: %v, %v", r, err)
	}
	_, err := s.lookup(id, strings.Repeat("x", 256))
	wantErrno(t, "a long name", err, syscall.ENAMETOOLONG)
	_, err = s.lookup(id|1, "x")
	wantErrno(t, "a name in a message", err, syscall.ENOTDIR)
}

func TestLookupWaitsOnlyForWhatMayBeAMessage(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	a.mailbox("Archives", "Work").add(1, []byte("x"), -1)
	a.mailbox("Archives", "2023")
	a.mailbox("Archives")
	id := walk(t, s, "Archives").Node
	for name, want := range map[string]error{"Work": nil, "%32023": nil, "nothing": nil, "1": errWait, "2023": errWait} {
		if _, err := s.lookup(id, name); err != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestNumberIsTheMessageBeforeTheMailbox(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	parent := a.mailbox("Archives")
	a.mailbox("Archives", "2023")
	box := walk(t, s, "Archives", "2023")
	if listed := walk(t, s, "Archives", "%32023"); listed.Node != box.Node {
		t.Errorf("2023 is %v, %%32023 is %v", box.Node, listed.Node)
	}
	id := walk(t, s, "Archives").Node
	k.take(s)
	parent.add(2023, []byte("x"), -1)
	if got := walk(t, s, "Archives", "2023").Node; got != id|2023 {
		t.Errorf("2023 is %v although there is a message", got)
	}
	if told := k.take(s); !slices.Contains(told, fmt.Sprintf("entry %v 2023", id)) {
		t.Errorf("told: %q", told)
	}
	a.remove("Archives", "2023")
	if told := k.take(s); !slices.Contains(told, fmt.Sprintf("entry %v 2023", id)) || !slices.Contains(told, fmt.Sprintf("entry %v %%32023", id)) {
		t.Errorf("told: %q", told)
	}
}

func TestSuffixIsTheOnlyName(t *testing.T) {
	s, a, _ := newTestServer(t, Options{Suffix: ".eml"})
	a.mailbox("A", "2023")
	a.mailbox("A").add(7, []byte("x"), -1)
	id := walk(t, s, "A").Node
	walk(t, s, "A", "7.eml")
	walk(t, s, "A", "2023")
	if r, err := s.lookup(id, "7"); err != nil || r.Node != 0 {
		t.Errorf("7 resolves: %v, %v", r.Node, err)
	}
	if got := listed(t, s, id); !slices.Equal(got, []string{"7.eml", "2023", ".", ".."}) {
		t.Errorf("%q", got)
	}
}
