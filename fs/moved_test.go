package fs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bazil.org/fuse"

	"imapfs/cache"
)

func TestARenamedMailboxKeepsItsNodes(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("A")
	box.addMany(1, 3, 10)
	a.mailbox("A", "Below").add(1, []byte("x"), -1)
	a.mailbox("Other").add(1, []byte("x"), -1)
	walk(t, s, "Other", "1")
	dir, msg := walk(t, s, "A"), walk(t, s, "A", "2")
	below := walk(t, s, "A", "Below")
	sequences := walk(t, s, "A", mhSequencesName)
	listed(t, s, dir.Node)
	listed(t, s, fuse.RootID)
	listed(t, s, walk(t, s, "Other").Node)
	if miss, err := s.lookup(fuse.RootID, "B"); miss.Node != 0 || err != nil {
		t.Fatal("B is there", err)
	}
	k.take(s)

	a.rename([]string{"A"}, []string{"B"})
	if told := k.take(s); !slices.Equal(told, []string{"entry 0x1 A", "entry 0x1 B", "node 0x1"}) {
		t.Errorf("told %q", told)
	}
	for path, was := range map[string]fuse.LookupResponse{"B": dir, "B/2": msg, "B/Below": below} {
		if now := walk(t, s, strings.Split(path, "/")...); now.Node != was.Node || now.Attr.Inode != was.Attr.Inode {
			t.Errorf("%s has node %v and inode %d, had %v and %d", path, now.Node, now.Attr.Inode, was.Node, was.Attr.Inode)
		}
	}
	if now := walk(t, s, "B", mhSequencesName); now.Attr.Inode != sequences.Attr.Inode {
		t.Errorf("its %s has inode %d, had %d", mhSequencesName, now.Attr.Inode, sequences.Attr.Inode)
	}
	if old, err := s.lookup(fuse.RootID, "A"); old.Node != 0 || err != nil {
		t.Error("the old name is still there", err)
	}

	// Into another directory, where it is news, too.
	other := walk(t, s, "Other")
	a.rename([]string{"B"}, []string{"Other", "C"})
	told := k.take(s)
	for _, want := range []string{"entry 0x1 B", "node 0x1", fmt.Sprintf("entry %v C", other.Node), fmt.Sprintf("node %v", other.Node)} {
		if !slices.Contains(told, want) {
			t.Errorf("not told: %s in %q", want, told)
		}
	}
	if now := walk(t, s, "Other", "C"); now.Node != dir.Node {
		t.Error("it has another node in another directory")
	}
	for _, e := range list(t, s, dir.Node, 4096) {
		if e.name == ".." && e.ino != other.Attr.Inode {
			t.Errorf(".. is %d, want %d", e.ino, other.Attr.Inode)
		}
	}

	// What takes the old name is another file, and so is what lies below it.
	a.mailbox("A", "Below").add(1, []byte("y"), -1)
	a.mailbox("A").add(2, []byte("y"), -1)
	seen := map[uint64]string{dir.Attr.Inode: "C", msg.Attr.Inode: "C/2", below.Attr.Inode: "C/Below", sequences.Attr.Inode: "C/.mh_sequences"}
	for _, path := range []string{"A", "A/2", "A/Below", "A/Below/1", "A/.mh_sequences", "Other/C/Below/1"} {
		now := walk(t, s, strings.Split(path, "/")...)
		if was := seen[now.Attr.Inode]; was != "" || now.Node == 0 {
			t.Errorf("%s has the inode of %s", path, was)
		}
		seen[now.Attr.Inode] = path
	}
}

// A READDIR answered from the names of before may be stored behind the news of those
// of now: then it is told again.
func TestALateListingOfMailboxesIsTakenBack(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	a.mailbox("A")
	a.mailbox("D")
	l, err := s.readdir(fuse.RootID, 0, 4096, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.rename([]string{"A"}, []string{"C"}) // the same mailboxes, in the same order
	if got := listed(t, s, fuse.RootID); !slices.Contains(got, "C") || slices.Contains(got, "A") {
		t.Errorf("%q", got)
	}
	k.take(s)
	s.relisted(l)
	if told := k.take(s); !slices.Contains(told, "node 0x1") || !slices.Contains(told, "entry 0x1 A") {
		t.Errorf("told %q", told)
	}
	s.relisted(listing{slot: l.slot, names: s.children(s.root)})
	if told := k.take(s); len(told) != 0 {
		t.Errorf("told %q of a listing that is as it should be", told)
	}
}

// A directory that is slow to let go gets its news in one turn, however often it
// has changed meanwhile: each name once.
func TestABurstOfNewsIsToldTogether(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.addMany(1, 1000, 10)
	walk(t, s, "INBOX", "1")
	listed(t, s, fuse.RootID)
	k.take(s)
	d := s.known(box)
	id := d.slot.Load().node(0)
	d.hold()
	s.root.hold()
	const burst = 10_000
	gen := box.Snapshot().Gen()
	for i := range cache.UID(burst) {
		// Each has one message more, and lacks one that the one before had.
		ms := []cache.Message{{UID: 1}, {UID: 2000 + i}}
		box.snap.Store(newSnapshot(1, 2001+i, ms, gen+1+uint64(i), box.changed))
		s.mailboxChanged(box)
	}
	for i := range 100 {
		a.mailbox(fmt.Sprint("M", i))
	}
	d.queue.mu.Lock()
	jobs, kept := len(d.queue.jobs), len(d.slot.Load().news.changed)
	d.queue.mu.Unlock()
	s.root.queue.mu.Lock()
	jobs = max(jobs, len(s.root.queue.jobs))
	s.root.queue.mu.Unlock()
	if jobs != 1 || kept > 3*burst {
		t.Errorf("%d jobs and %d UIDs wait", jobs, kept)
	}
	s.release(d)
	s.release(s.root)
	told := k.take(s)
	count := make(map[string]int)
	for _, line := range told {
		count[line]++
	}
	for line, n := range count {
		if n != 1 {
			t.Errorf("told %d times: %s", n, line)
		}
	}
	for uid := cache.UID(2); uid < 2000+burst-1; uid++ {
		if uid == 1001 {
			uid = 2000
		}
		if line := fmt.Sprintf("delete %v %v %d", id, id|fuse.NodeID(uid), uid); count[line] != 1 {
			t.Fatalf("not told: %s", line)
		}
	}
	for _, line := range []string{fmt.Sprintf("entry %v %d", id, 2000+burst-1), fmt.Sprintf("node %v", id), "entry 0x1 M0", "entry 0x1 M99", "node 0x1"} {
		if count[line] != 1 {
			t.Errorf("not told: %s", line)
		}
	}
}
