package fs

import (
	"crypto/sha256"
	"encoding/binary"

	"imapfs/cache"
)

// rootInode is the number of the mount's root, and no other file's.
const rootInode = 1

// Inode numbers are the same at every mount, for rsync -H, tar and backup
// programs that know a file by them. They are hashes: nothing is remembered. A path
// is here the decoded one; where two mailboxes have the same, the name under which
// each is listed stands in it (children in lookup.go).

// mailboxSeed is the hash from which the numbers of a mailbox's messages come.
func mailboxSeed(path []string, v cache.UIDValidity) uint64 {
	return hashPath(path, 1<<32|uint64(v)) >> 1 // so that no sum with a UID overflows
}

// mailboxInode is the number of a mailbox's directory. It keeps it when its
// UIDVALIDITY changes: the directory is the same, its messages are not.
func mailboxInode(path []string) uint64 {
	if len(path) == 0 {
		return rootInode
	}
	return notReserved(hashPath(path, 0))
}

// sequencesInode is the number of a mailbox's .mh_sequences.
func sequencesInode(path []string) uint64 { return notReserved(hashPath(path, 2<<32)) }

// messageInode is the number of one message. Within a mailbox they rise with the UIDs:
// programs that walk a tree (fts in grep, rm, du) sort a directory of more than
// 10,000 entries by them, and what is opened in the order of a listing is fetched ahead.
// Numbers of two mailboxes are the same only where the two seeds lie within some
// million of 2⁶³.
func messageInode(seed uint64, uid cache.UID) uint64 {
	return notReserved(seed + uint64(uid))
}

// hashPath hashes a path so that no two paths have the same octets hashed.
func hashPath(path []string, tail uint64) uint64 {
	h := sha256.New()
	var n [8]byte
	for _, c := range path {
		binary.LittleEndian.PutUint64(n[:], uint64(len(c)))
		h.Write(n[:])
		h.Write([]byte(c))
	}
	binary.LittleEndian.PutUint64(n[:], tail)
	h.Write(n[:])
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// notReserved keeps 0, which means a deleted entry to some programs, and the
// root's number from being given to a file.
func notReserved(ino uint64) uint64 {
	for ino <= rootInode {
		ino = scramble(ino + 1<<63)
	}
	return ino
}

// scramble is a permutation of the 64-bit numbers in which neighbours land far
// apart (the finalizer of SplitMix64).
func scramble(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
