package fs

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"bazil.org/fuse"

	"imapfs/cache"
)

func TestListingPagesByUID(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	a.mailbox("INBOX", "Sub")
	a.mailbox("INBOX", "2023")
	box.addMany(1, 1000, 100)
	box.add(4294967295, []byte("x"), -1)
	walk(t, s, "INBOX", "1")
	id := walk(t, s, "INBOX").Node
	for _, size := range []int{64, 333, 4096, maxRead} {
		got := list(t, s, id, size)
		if len(got) != 1001+2+2 {
			t.Fatalf("%d entries in pages of %d", len(got), size)
		}
		for i, e := range got[:1000] {
			if e.name != fmt.Sprint(i+1) || e.off != uint64(i+1) || e.typ != direntFile {
				t.Fatalf("entry %d: %+v", i, e)
			}
		}
		if got[1000].name != "4294967295" || got[1001].off <= offMailboxes || got[1002].off >= offLocal {
			t.Errorf("%+v", got[1000:])
		}
		for _, e := range got {
			var want uint64
			switch e.name {
			case ".":
				want = walk(t, s, "INBOX").Attr.Inode
			case "..":
				want = rootInode
			default:
				want = walk(t, s, "INBOX", e.name).Attr.Inode
			}
			if e.ino != want {
				t.Fatalf("%s: d_ino %d, st_ino %d", e.name, e.ino, want)
			}
		}
	}
}

func TestListingWhileMessagesComeAndGo(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.addMany(1, 100, 10)
	walk(t, s, "INBOX", "1")
	id := walk(t, s, "INBOX").Node
	seen := map[string]int{}
	off := int64(0)
	for turn := cache.UID(0); ; turn++ {
		l, err := s.readdir(id, off, 200, nil)
		if err != nil {
			t.Fatal(err)
		}
		page := parseDirents(l.data)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			seen[e.name]++
		}
		off = int64(page[len(page)-1].off)
		if turn < 8 {
			box.expunge(cache.UID(off), turn*10+1) // the one that the offset names, too
			box.add(200+turn, []byte("x"), -1)
		}
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", name, n)
		}
	}
	for _, name := range []string{"2", "99", "100", "200", "207"} {
		if seen[name] != 1 {
			t.Errorf("%s was left out", name)
		}
	}
}

func TestListingBeforeTheLoadIsNotEmpty(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	id := walk(t, s, "INBOX").Node
	if _, err := s.readdir(id, 0, 4096, nil); err != errWait {
		t.Errorf("readdir: %v", err)
	}
	box.setup(func() { box.loadErr = box.failure("select", 0, cache.IO, "cut") })
	_, err := s.opendir(t.Context(), id)
	wantErrno(t, "opendir", err, syscall.EIO)
	box.setup(func() { box.loadErr = nil })
	if _, err := s.opendir(t.Context(), id); err != nil {
		t.Errorf("opendir: %v", err)
	}
	a.mu.Lock()
	a.treeErr = box.failure("list", 0, cache.IO, "cut")
	a.mu.Unlock()
	_, err = s.opendir(t.Context(), fuse.RootID)
	wantErrno(t, "opendir of the root without a tree", err, syscall.EIO)
}

func TestDirectoryWithoutMessages(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	a.mailbox("Parent", "Child")
	id := walk(t, s, "Parent").Node
	if r, err := s.lookup(id, "7"); err != nil || r.Node != 0 {
		t.Errorf("7: %v, %v", r, err)
	}
	if _, err := s.opendir(t.Context(), id); err != nil {
		t.Error(err)
	}
	if got := listed(t, s, id); !slices.Equal(got, []string{"Child", ".", ".."}) {
		t.Errorf("%q", got)
	}
}

func TestStaleListingIsToldAgain(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("x"), -1)
	walk(t, s, "INBOX", "1")
	id := walk(t, s, "INBOX").Node
	k.take(s)
	l, err := s.readdir(id, 0, 4096, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.relisted(l)
	if told := k.take(s); len(told) != 0 {
		t.Errorf("told: %q", told)
	}
	box.add(2, []byte("x"), -1)
	k.take(s)
	s.relisted(l)
	if told := k.take(s); !slices.Equal(told, []string{fmt.Sprintf("entry %v 2", id), fmt.Sprintf("node %v", id)}) {
		t.Errorf("told: %q", told)
	}
}

// The kernel may keep a listing only while it is the right one, also when the
// news has not reached it yet.
func TestKernelKeepsOnlyTheRightListing(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("x"), -1)
	id := walk(t, s, "INBOX").Node
	a.server.Store(nil) // the observer comes late
	keeps := func() bool {
		t.Helper()
		r, err := s.opendir(t.Context(), id)
		if err != nil || r.Flags&fuse.OpenCacheDir == 0 {
			t.Fatalf("opendir: %v, %v", r, err)
		}
		return r.Flags&fuse.OpenKeepCache != 0
	}
	if keeps() {
		t.Error("kept although nothing was listed")
	}
	listed(t, s, id)
	if !keeps() {
		t.Error("the right listing was not kept")
	}
	box.add(2, []byte("x"), -1)
	if keeps() {
		t.Error("kept although there is a new message")
	}
	listed(t, s, id)
	a.mailbox("INBOX", "Sub")
	if keeps() {
		t.Error("kept although there is a new mailbox")
	}
	listed(t, s, id)
	if !keeps() {
		t.Error("the right listing was not kept")
	}
}

func TestMailboxThatHadNoMessages(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("Place")
	box.setup(func() { box.selectable = false })
	id := walk(t, s, "Place").Node
	if r, err := s.lookup(id, "7"); err != nil || r.Node != 0 {
		t.Fatalf("7: %v, %v", r, err)
	}
	box.setup(func() { box.selectable = true })
	box.add(7, []byte("x"), -1)
	k.take(s)
	walk(t, s, "Place", "7")
	if told := k.take(s); !slices.Equal(told, []string{
		fmt.Sprintf("entry %v .mh_sequences", id), fmt.Sprintf("entry %v 7", id), fmt.Sprintf("node %v", id),
	}) {
		t.Errorf("told: %q", told)
	}
}

func TestTwoSpellingsOfOneNameAreTwoDirectories(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	for _, wire := range []string{"Entw&APw-rfe", "Entw\u00fcrfe"} {
		box := a.mailbox(wire)
		box.setup(func() { box.path = []string{"Entw\u00fcrfe"} })
		box.add(1, []byte(wire), -1)
	}
	seen := map[uint64]string{}
	for _, name := range listed(t, s, fuse.RootID) {
		if name == "." || name == ".." {
			continue
		}
		for _, r := range []fuse.LookupResponse{walk(t, s, name), walk(t, s, name, "1")} {
			if other, ok := seen[r.Attr.Inode]; ok {
				t.Errorf("%s and %s share an inode number", name, other)
			}
			seen[r.Attr.Inode] = name
		}
	}
	if len(seen) != 4 {
		t.Errorf("%v", seen)
	}
}
