package fs

import (
	"testing"

	"imapfs/cache"
)

func TestInodesAreTheSameAtTheNextMount(t *testing.T) {
	// Backup programs have these in their databases: they may never change.
	if got := mailboxInode([]string{"Archives", "2023"}); got != 0x8a748d8f722e7451 {
		t.Errorf("mailbox: %#x", got)
	}
	if got := messageInode(mailboxSeed([]string{"INBOX"}, 1), 4711); got != 0x20822e920a808841 {
		t.Errorf("message: %#x", got)
	}
}

func TestInodesAreApart(t *testing.T) {
	seen := map[uint64]bool{0: true, rootInode: true}
	add := func(ino uint64, what ...any) {
		if seen[ino] {
			t.Fatalf("%v: %#x is taken", what, ino)
		}
		seen[ino] = true
	}
	for _, path := range [][]string{{"a"}, {"a", "b"}, {"ab"}, {"a", "", "b"}, {"INBOX"}} {
		add(mailboxInode(path), path)
		for v := range cache.UIDValidity(3) {
			seed := mailboxSeed(path, v)
			for uid := cache.UID(1); uid < 5000; uid++ {
				add(messageInode(seed, uid), path, v, uid)
			}
		}
	}
	if mailboxInode(nil) != rootInode {
		t.Error("the root has another number")
	}
}

func TestReservedInodesAreNotGiven(t *testing.T) {
	for _, ino := range []uint64{0, rootInode} {
		if notReserved(ino) <= rootInode {
			t.Errorf("%d stays %d", ino, notReserved(ino))
		}
	}
	if notReserved(77) != 77 {
		t.Error("77 is not reserved")
	}
}
