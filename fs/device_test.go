package fs

import (
	"fmt"
	"testing"

	"imapfs/cache"
)

// TestReadsAreAnsweredFromWhereTextsLie reads what is in memory already, which is answered
// through the device, or by bazil where there is none.
func TestReadsAreAnsweredFromWhereTextsLie(t *testing.T) {
	for _, none := range []string{"", "1"} {
		t.Run("none="+none, func(t *testing.T) {
			t.Setenv(noDeviceEnv, none)
			d := startDaemon(t, Options{})
			if none == "" {
				d.do(order{Op: "device"})
			}
			for i, n := range []int{1, 4096, 10_000, 128 << 10, 300_001} {
				box := fmt.Sprint("of ", n)
				text := made(cache.UID(i), int64(n))
				d.do(order{Op: "add", Path: []string{box}, UID: 1, Text: text, Size: int64(n)})
				d.do(order{Op: "settle", Path: []string{box}, UID: 1})
				f := d.path(box, "1")
				if got := d.must(`cat "` + f + `"`); got != string(text) {
					t.Errorf("%d octets: %d others are read", n, len(got))
				}
				// Not through the kernel's pages, and not from its beginning.
				script := `dd if="` + f + `" iflag=direct bs=1000 skip=3 status=none`
				if got := d.must(script); got != string(text[min(3000, n):]) {
					t.Errorf("%d octets: %d others are read behind 3000", n, len(got))
				}
			}
		})
	}
}
