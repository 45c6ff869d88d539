package imapconn

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// TestTextsLieInLargePages asks the kernel what it was told of the memory of a text. One that
// has no large pages is asked once.
func TestTextsLieInLargePages(t *testing.T) {
	p := make([]byte, 3<<20)
	largePages(p)
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		if !regions.off {
			t.Error("a kernel without large pages is asked on")
		}
		return
	}
	for _, i := range []int{0, len(p) / 2, len(p) - 1} {
		if flags := mappingFlags(t, uintptr(unsafe.Pointer(&p[i]))); !strings.Contains(flags, " hg") {
			t.Errorf("octet %d: %s", i, flags)
		}
	}
}

// mappingFlags is what the kernel says of the mapping at an address (proc_pid_smaps(5)).
func mappingFlags(t *testing.T, at uintptr) string {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	within := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var first, end uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &first, &end); n == 2 {
			within = first <= at && at < end
		}
		if within && strings.HasPrefix(lines.Text(), "VmFlags:") {
			return lines.Text()
		}
	}
	t.Fatalf("no mapping at %x", at)
	return ""
}
