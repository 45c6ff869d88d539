package imapconn

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Texts fill memory that the process has not used before, and the kernel takes a fault for
// every 4 KB of it: for the 228 MB of a first grep that was a fifth of the CPU, and twice
// that on a virtual machine. Where it is asked to, it gives 2 MB at once.

// regionLen is how much Go's heap grows by at least, and begins at a multiple of: a region
// is in the heap or is not, and is never given back as addresses.
const regionLen = 4 << 20

// regions are those of the heap that the kernel was asked about. What it was told holds for
// the addresses, whatever Go makes of them.
var regions struct {
	mu    sync.Mutex
	asked map[uintptr]bool
	off   bool // the kernel has no large pages
}

// largePages has the kernel back by large pages the part of the heap where p lies, before p
// is written to. It is advice: nothing depends on it.
func largePages(p []byte) {
	if len(p) == 0 {
		return
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	last := first + uintptr(len(p)) - 1
	regions.mu.Lock()
	defer regions.mu.Unlock()
	for r := first / regionLen; r <= last/regionLen && !regions.off; r++ {
		if regions.asked[r] {
			continue
		}
		if regions.asked == nil {
			regions.asked = make(map[uintptr]bool)
		}
		regions.asked[r] = true
		_, _, errno := unix.Syscall(unix.SYS_MADVISE, r*regionLen, regionLen, unix.MADV_HUGEPAGE)
		regions.off = errno == unix.EINVAL
	}
}
