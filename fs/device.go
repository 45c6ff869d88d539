package fs

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"bazil.org/fuse"
	"golang.org/x/sys/unix"
)

// A device is a handle of our own to the kernel's side of the mount. Through it a READ is
// answered with the octets as they lie in the cache (writev). bazil's Respond copies them
// into memory that it takes for each answer: of a first grep of 228 MB that was a third of
// the daemon's CPU, and as much memory again, which is why the processor's caches and the
// collector had twice the work.
//
// The zero value is none: then bazil answers.
type device struct{ file *os.File }

// devicePath is what the table of open files calls it.
const devicePath = "/dev/fuse"

// devices gives the numbers of the open files that are one.
func devices() map[int]bool {
	found := make(map[int]bool)
	const table = "/proc/self/fd"
	entries, err := os.ReadDir(table)
	if err != nil {
		return found
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if to, _ := os.Readlink(filepath.Join(table, e.Name())); err == nil && to == devicePath {
			found[fd] = true
		}
	}
	return found
}

// newDevice finds what was opened since, which bazil does not tell; the zero value if that
// is not plain.
func newDevice(before map[int]bool) device {
	fd, news := 0, 0
	for n := range devices() {
		if !before[n] {
			fd, news = n, news+1
		}
	}
	if news != 1 {
		return device{}
	}
	ours, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return device{}
	}
	return device{os.NewFile(uintptr(ours), devicePath)}
}

// close is called when nobody answers any more.
func (d device) close() error {
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}

// readAnswer is memory for an answer to a READ.
type readAnswer struct {
	head   [16]byte // struct fuse_out_header: length, error, the request's number
	parts  [4][]byte
	pieces [][]byte // parts behind head
}

var readAnswers = sync.Pool{New: func() any {
	a := new(readAnswer)
	a.pieces = a.parts[1:1]
	return a
}}

// done lets go of the text.
func (a *readAnswer) done() {
	clear(a.parts[:])
	readAnswers.Put(a)
}

// answer answers a READ with pieces, which were appended to a.pieces.
func (d device) answer(r *fuse.ReadRequest, a *readAnswer, pieces [][]byte) {
	all := append(a.parts[:1], pieces...) // already there, unless there were too many for it
	if d.file == nil {
		r.Respond(&fuse.ReadResponse{Data: joined(pieces)})
		return
	}
	n := len(a.head)
	for _, p := range pieces {
		n += len(p)
	}
	binary.NativeEndian.PutUint32(a.head[0:], uint32(n))
	binary.NativeEndian.PutUint64(a.head[8:], uint64(r.ID))
	all[0] = a.head[:]
	// An error is as in bazil's: the request, or the mount, is not there any more.
	unix.Writev(int(d.file.Fd()), all)
	// The request's buffer goes back to bazil by a Respond only, and that of a FORGET, to
	// which there is no answer, does nothing else.
	(&fuse.ForgetRequest{Header: r.Header}).Respond()
}

// joined copies pieces where there are several.
func joined(pieces [][]byte) []byte {
	if len(pieces) == 1 {
		return pieces[0]
	}
	var all []byte
	for _, p := range pieces {
		all = append(all, p...)
	}
	return all
}
