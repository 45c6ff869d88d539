package fs

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"bazil.org/fuse"
)

func TestNewsOfADirectory(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.addMany(1, 5, 10)
	id := walk(t, s, "INBOX").Node
	k.take(s)
	box.add(6, []byte("x"), -1)
	box.expunge(6)
	if told := k.take(s); len(told) != 0 {
		t.Errorf("told before the first load: %q", told)
	}
	walk(t, s, "INBOX", "1")
	if told := k.take(s); !slices.Equal(told, []string{fmt.Sprintf("attr %v", id)}) {
		t.Errorf("told at the first load: %q", told)
	}
	box.expunge(2)
	if told := k.take(s); !slices.Equal(told, []string{fmt.Sprintf("delete %v %v 2", id, id|2), fmt.Sprintf("node %v", id)}) {
		t.Errorf("told of an expunge: %q", told)
	}
	box.add(6, []byte("x"), -1)
	if told := k.take(s); !slices.Equal(told, []string{fmt.Sprintf("entry %v 6", id), fmt.Sprintf("node %v", id)}) {
		t.Errorf("told of a new message: %q", told)
	}
	k.miss = syscall.ENOTEMPTY
	box.expunge(6)
	if told := k.take(s); !slices.Contains(told, fmt.Sprintf("entry %v 6", id)) {
		t.Errorf("told when the kernel refused: %q", told)
	}
	k.miss = fuse.ErrNotCached
	box.expunge(5)
	if told := k.take(s); len(told) != 2 {
		t.Errorf("told when the kernel had nothing: %q", told)
	}
}

// What came and went between two turns of the queue may have been looked up in
// between.
func TestNewsIsNotSummedUp(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("x"), -1)
	id := walk(t, s, "INBOX").Node
	walk(t, s, "INBOX", "1")
	k.take(s)
	d := s.known(box)
	d.hold()
	box.add(2, []byte("x"), -1)
	box.expunge(2)
	s.release(d)
	if told := k.take(s); !slices.Contains(told, fmt.Sprintf("delete %v %v 2", id, id|2)) {
		t.Errorf("told: %q", told)
	}
}

func TestSlowDirectoryStopsOnlyItself(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	slow, quick := a.mailbox("Slow"), a.mailbox("Quick")
	for _, box := range []*fakeMailbox{slow, quick} {
		box.add(1, []byte("x"), -1)
	}
	walk(t, s, "Slow", "1")
	walk(t, s, "Quick", "1")
	k.take(s)
	held := s.known(slow)
	held.hold() // as a LOOKUP that waits inside it does
	slow.add(2, []byte("x"), -1)
	quick.add(2, []byte("x"), -1)
	if told := k.take(s); len(told) != 2 {
		t.Errorf("told: %q", told)
	}
	s.release(held)
	if told := k.take(s); len(told) != 2 {
		t.Errorf("told when the directory was let go: %q", told)
	}
}

func TestNewsOfMailboxes(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	a.mailbox("A").add(1, []byte("x"), -1)
	msg := walk(t, s, "A", "1").Node
	dir := walk(t, s, "A").Node
	listed(t, s, fuse.RootID)
	k.take(s)
	a.mailbox("B")
	if told := k.take(s); !slices.Equal(told, []string{"entry 0x1 B", "node 0x1"}) {
		t.Errorf("told of a new mailbox: %q", told)
	}
	a.remove("A")
	if told := k.take(s); !slices.Contains(told, "entry 0x1 A") || !slices.Contains(told, "node 0x1") {
		t.Errorf("told of a mailbox that is gone: %q", told)
	}
	for _, id := range []fuse.NodeID{msg, dir} {
		_, err := s.getattr(id)
		wantErrno(t, "getattr", err, syscall.ESTALE)
	}
	if got := listed(t, s, fuse.RootID); !slices.Equal(got, []string{"B", ".", ".."}) {
		t.Errorf("%q", got)
	}
	a.mailbox("A").add(1, []byte("x"), -1)
	if again := walk(t, s, "A").Node; again == dir {
		t.Error("a mailbox made anew has the old node")
	}
}

// Package cache may tell several changes at once. What was answered in between
// was answered all the same.
func TestAnswerBetweenTwoTellingsIsTakenBack(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("x"), -1)
	walk(t, s, "INBOX", "1")
	id := walk(t, s, "INBOX").Node
	listed(t, s, fuse.RootID)
	k.take(s)
	a.server.Store(nil)
	box.add(2, make([]byte, 10), 5)
	two := walk(t, s, "INBOX", "2").Node
	a.mailbox("Short")
	walk(t, s, "Short")
	if _, err := box.Open(t.Context(), 1, 2); err != nil { // learns the size
		t.Fatal(err)
	}
	if _, err := s.open(two, fuse.OpenReadOnly); err != nil {
		t.Fatal(err)
	}
	if told := k.take(s); !slices.Contains(told, fmt.Sprintf("attr %v", two)) {
		t.Errorf("told of a size: %q", told)
	}
	box.expunge(2)
	a.remove("Short")
	s.mailboxChanged(box)
	s.treeChanged()
	told := k.take(s)
	for _, want := range []string{fmt.Sprintf("delete %v %v 2", id, two), "entry 0x1 Short"} {
		if !slices.Contains(told, want) {
			t.Errorf("not told: %s in %q", want, told)
		}
	}
}

func TestSlowHandlerIsTakenBack(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.addMany(1, 3, 10)
	walk(t, s, "INBOX", "1")
	sl := s.known(box).slot.Load()
	old := box.Snapshot()
	box.expunge(3)
	k.take(s)
	s.see(sl, old) // as a handler does that had loaded it before
	if told := k.take(s); !slices.Contains(told, fmt.Sprintf("delete %v %v 3", sl.node(0), sl.node(3))) {
		t.Errorf("told: %q", told)
	}
	if sl.seen.Load() == old {
		t.Error("the older snapshot counts")
	}
}
