package fs

import (
	"encoding/binary"
	"testing"
)

// A decoded entry, for tests that look into a listing.
type dirent struct {
	ino, off uint64
	typ      direntType
	name     string
}

func parseDirents(b []byte) []dirent {
	var out []dirent
	for len(b) >= direntHeader {
		n := int(binary.NativeEndian.Uint32(b[16:]))
		out = append(out, dirent{
			ino:  binary.NativeEndian.Uint64(b),
			off:  binary.NativeEndian.Uint64(b[8:]),
			typ:  direntType(binary.NativeEndian.Uint32(b[20:])),
			name: string(b[direntHeader : direntHeader+n]),
		})
		b = b[(direntHeader+n+7)&^7:]
	}
	return out
}

func TestDirentIsAsTheKernelWantsIt(t *testing.T) {
	b, ok := appendDirent(nil, 32, 7, 9, direntDir, []byte("INBOX"))
	if !ok || len(b) != 32 {
		t.Fatalf("%d octets, %v", len(b), ok)
	}
	if got := parseDirents(b); len(got) != 1 || got[0] != (dirent{7, 9, direntDir, "INBOX"}) {
		t.Errorf("%+v", got)
	}
	if more, ok := appendDirent(b, 63, 1, 1, direntFile, []byte("1")); ok || len(more) != 32 {
		t.Errorf("an entry was put where there is no room: %d, %v", len(more), ok)
	}
	if more, ok := appendDirent(b, 64, 1, 1, direntFile, []byte("1")); !ok || len(more) != 64 {
		t.Errorf("an entry that fits was left out: %d, %v", len(more), ok)
	}
}
