package fs

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"bazil.org/fuse"
)

func TestOpenTellsTheTrueSizeFirst(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, make([]byte, 100), 90)
	box.add(2, make([]byte, 100), -1)
	id := walk(t, s, "INBOX", "1").Node
	k.take(s)
	if _, err := s.open(id, fuse.OpenReadOnly); err != errWait {
		t.Fatalf("open: %v", err)
	}
	k.gate = make(chan struct{}) // what is told from a queue comes late
	r, err := s.openWait(t.Context(), id, fuse.OpenReadOnly)
	if err != nil || r.Flags != fuse.OpenKeepCache|noFlush {
		t.Fatalf("open: %v, %v", r, err)
	}
	close(k.gate)
	if told := k.take(s); len(told) == 0 || told[0] != fmt.Sprintf("attr %v", id) {
		t.Errorf("told: %q", told)
	}
	if at := walk(t, s, "INBOX", "1").Attr; at.Size != 100 {
		t.Errorf("size %d", at.Size)
	}
	two := walk(t, s, "INBOX", "2").Node
	for _, id := range []fuse.NodeID{id, two, two} {
		if _, err := s.openWait(t.Context(), id, fuse.OpenReadOnly); err != nil {
			t.Fatal(err)
		}
	}
	if told := k.take(s); len(told) != 0 {
		t.Errorf("told where nothing was wrong: %q", told)
	}
}

// A size that a read-ahead has learnt between LOOKUP and OPEN is in the
// snapshot already: only what the kernel was told is wrong.
func TestOpenKnowsWhatTheKernelWasTold(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, make([]byte, 100), 90)
	id := walk(t, s, "INBOX", "1").Node
	k.take(s)
	a.server.Store(nil) // the observer comes late
	if _, err := box.Open(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.open(id, fuse.OpenReadOnly); err != nil {
		t.Fatal(err)
	}
	// Once before the reply, once from the queue.
	if told := slices.Compact(k.take(s)); !slices.Equal(told, []string{fmt.Sprintf("attr %v", id)}) {
		t.Errorf("told: %q", told)
	}
}

func TestSizesLearntAreTold(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, make([]byte, 100), 90)
	id := walk(t, s, "INBOX", "1").Node
	k.take(s)
	if _, err := box.Open(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	if told := k.take(s); !slices.Equal(told, []string{fmt.Sprintf("attr %v", id)}) {
		t.Errorf("told: %q", told)
	}
}

func TestNothingCanBeWritten(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	a.mailbox("INBOX").add(1, []byte("x"), -1)
	id := walk(t, s, "INBOX", "1").Node
	for _, flags := range []fuse.OpenFlags{fuse.OpenWriteOnly, fuse.OpenReadWrite, fuse.OpenReadOnly | fuse.OpenTruncate} {
		_, err := s.open(id, flags)
		wantErrno(t, flags.String(), err, syscall.EROFS)
	}
	for _, req := range []fuse.Request{
		&fuse.SetattrRequest{}, &fuse.WriteRequest{}, &fuse.CreateRequest{}, &fuse.MkdirRequest{}, &fuse.MknodRequest{},
		&fuse.SymlinkRequest{}, &fuse.LinkRequest{}, &fuse.RenameRequest{}, &fuse.RemoveRequest{}, &fuse.RemovexattrRequest{},
	} {
		if got := refusal(req); got != syscall.EROFS {
			t.Errorf("%T: %v", req, got)
		}
	}
	if got := refusal(&fuse.FAllocateRequest{}); got != syscall.EOPNOTSUPP {
		t.Errorf("fallocate: %v", got)
	}
	if got := refusal(&fuse.UnrecognizedRequest{}); got != syscall.ENOSYS {
		t.Errorf("lseek: %v", got)
	}
}
