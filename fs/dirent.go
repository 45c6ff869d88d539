package fs

import (
	"encoding/binary"
	"syscall"
)

// Directory offsets. The offset of an entry is the place after it, so that
// telldir and seekdir are exact and a listing needs no state:
//
//	1 … 2³²−1    messages, by UID
//	2³²+n        mailboxes, by the number that each is given when first seen
//	2³³+k        names of this mount alone (none on a read-only mount)
//	2³⁴, 2³⁴+1   "." and ".."
const (
	offMailboxes = 1 << 32
	offLocal     = 1 << 33
	offDot       = 1 << 34
	offDotDot    = offDot + 1
)

// A direntType is what d_type says.
type direntType uint32

const (
	direntDir  direntType = syscall.DT_DIR
	direntFile direntType = syscall.DT_REG
)

// direntHeader is the size in octets of struct fuse_dirent before the name;
// entries are padded to a multiple of direntAlign.
const (
	direntHeader = 24
	direntAlign  = 8
)

// appendDirent encodes one entry behind b as the kernel wants it (struct
// fuse_dirent), unless b would then be longer than limit octets. bazil's
// AppendDirent is not used: it makes up the offsets.
func appendDirent(b []byte, limit int, ino, off uint64, typ direntType, name []byte) ([]byte, bool) {
	size := (direntHeader + len(name) + direntAlign - 1) &^ (direntAlign - 1)
	if len(b)+size > limit {
		return b, false
	}
	end := len(b) + size
	b = binary.NativeEndian.AppendUint64(b, ino)
	b = binary.NativeEndian.AppendUint64(b, off)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(name)))
	b = binary.NativeEndian.AppendUint32(b, uint32(typ))
	b = append(b, name...)
	for len(b) < end {
		b = append(b, 0)
	}
	return b, true
}
