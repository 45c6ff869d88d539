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
	if got := messageInode(mailboxSeed([]string{"INBOX"}, 1), 4711); got != 0x12933e96cc956b81 {
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

func TestInodesOfAMailboxRise(t *testing.T) {
	// grep -r opens more than 10,000 messages in their order.
	for _, path := range [][]string{{"INBOX"}, {"a", "b"}, {"Archives", "2023"}} {
		seed := mailboxSeed(path, 1)
		before := uint64(0)
		for _, uid := range []cache.UID{1, 2, 3, 1 << 16, 1<<32 - 1} {
			if ino := messageInode(seed, uid); ino <= before {
				t.Errorf("%v/%d: %#x, behind %#x", path, uid, ino, before)
			} else {
				before = ino
			}
		}
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
