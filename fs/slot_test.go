package fs

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"bazil.org/fuse"
)

func TestNodeIsSlotAndUID(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	a.mailbox("INBOX").add(4711, []byte("x"), -1)
	box := walk(t, s, "INBOX")
	m := walk(t, s, "INBOX", "4711")
	if uint32(box.Node) != 0 || m.Node != box.Node|4711 {
		t.Errorf("mailbox %v, message %v", box.Node, m.Node)
	}
	if box.EntryValid != forever || m.EntryValid != forever || m.Attr.Valid != forever {
		t.Errorf("the kernel would ask again: %v, %v", box.EntryValid, m.Attr.Valid)
	}
}

func TestUnknownNodesAreStale(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	a.mailbox("INBOX").add(1, []byte("x"), -1)
	walk(t, s, "INBOX", "1")
	for _, id := range []fuse.NodeID{0, 2, 7 << 32, 7<<32 | 1, 1<<32 | 2, ^fuse.NodeID(0)} {
		_, err := s.getattr(id)
		wantErrno(t, fmt.Sprintf("getattr %v", id), err, syscall.ESTALE)
	}
}

func TestNewUIDValidityIsANewNode(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("old text"), -1)
	old, dir := walk(t, s, "INBOX", "1"), walk(t, s, "INBOX")
	if _, err := s.openWait(t.Context(), old.Node, fuse.OpenReadOnly); err != nil {
		t.Fatal(err)
	}
	s.countOpen(old.Node, 1)
	k.take(s)
	box.setValidity(2)
	told := k.take(s)
	for _, want := range []string{"entry 0x1 INBOX", fmt.Sprintf("node %v", old.Node)} {
		if !slices.Contains(told, want) {
			t.Errorf("not told: %s in %q", want, told)
		}
	}
	fresh := walk(t, s, "INBOX", "1")
	if fresh.Node == old.Node || fresh.Attr.Inode == old.Attr.Inode {
		t.Errorf("the same node %v or inode", fresh.Node)
	}
	if now := walk(t, s, "INBOX"); now.Node == dir.Node || now.Attr.Inode != dir.Attr.Inode {
		t.Errorf("the directory: node %v then %v, inode %v then %v", dir.Node, now.Node, dir.Attr.Inode, now.Attr.Inode)
	}
	_, err := s.getattr(old.Node)
	wantErrno(t, "getattr", err, syscall.ESTALE)
	_, err = s.read(old.Node, 10, 0, nil)
	wantErrno(t, "read", err, syscall.ESTALE)
	_, err = s.open(old.Node, fuse.OpenReadOnly)
	wantErrno(t, "open", err, syscall.ESTALE)
	_, err = s.readdir(dir.Node, 0, 4096, nil)
	wantErrno(t, "readdir", err, syscall.ESTALE)
	_, err = s.lookup(dir.Node, "1")
	wantErrno(t, "lookup", err, syscall.ESTALE)
	_, err = s.opendir(t.Context(), dir.Node)
	wantErrno(t, "opendir", err, syscall.ESTALE)
}

func TestUIDValidityThatChangesUnseenIsNoticed(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("old text"), -1)
	dir := walk(t, s, "INBOX").Node
	old := walk(t, s, "INBOX", "1").Node
	a.server.Store(nil) // the observer comes late
	box.setValidity(2)
	_, err := s.read(old, 10, 0, nil)
	wantErrno(t, "read", err, syscall.ESTALE)
	if now := walk(t, s, "INBOX").Node; now == dir {
		t.Error("the same node")
	}
}
