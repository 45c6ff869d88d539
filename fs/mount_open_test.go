package fs

import (
	"fmt"
	"strings"
	"testing"

	"imapfs/cache"
)

// Once the sizes are known to be right the kernel opens files without asking, for ever.
func TestTheKernelOpensByItself(t *testing.T) {
	d := startDaemon(t, Options{})
	long := string(made(0, 700<<10))
	d.add("INBOX", 1, "first\r\n")
	d.add("INBOX", 2, long)
	opens := func() int64 { return d.do(order{Op: "opens", Path: []string{"INBOX"}}) }
	d.must(`cat $MNT/INBOX/* >/dev/null`)
	if opens() == 0 {
		t.Fatal("nobody was asked")
	}
	d.do(order{Op: "sizesright", Path: []string{"INBOX"}})
	d.must(`cat $MNT/INBOX/1`) // this OPEN is told so
	asked := opens()
	for uid := cache.UID(3); uid <= 20; uid++ {
		d.add("INBOX", uid, fmt.Sprint("text ", uid, "\r\n"))
	}
	if got, want := d.must(`cat $MNT/INBOX/1 $MNT/INBOX/2 $MNT/INBOX/20`), "first\r\n"+long+"text 20\r\n"; got != want {
		t.Errorf("%d octets that are not the %d of the texts", len(got), len(want))
	}
	d.must(`for i in $(seq 20); do cat $MNT/INBOX/*; done >/dev/null`)
	if now := opens(); now > asked+2*18 { // each new text is loaded once, by a READ
		t.Errorf("%d opens, then %d", asked, now)
	}
	if got := d.must(`head -1 $MNT/INBOX/.mh_sequences`); got != "unseen: 1-20\n" {
		t.Errorf("%q", got)
	}
	d.do(order{Op: "expunge", Path: []string{"INBOX"}, UID: 3})
	if out, err := d.sh(`cat $MNT/INBOX/3`); err == nil || !strings.Contains(out, "No such file") {
		t.Errorf("after it was expunged: %q, %v", out, err)
	}
	d.do(order{Op: "fail", Path: []string{"INBOX"}, Kind: cache.IO})
	d.add("INBOX", 21, "never")
	if out, err := d.sh(`cat $MNT/INBOX/21`); err == nil || !strings.Contains(out, "Input/output error") {
		t.Errorf("a text that cannot be had: %q, %v", out, err)
	}
	d.do(order{Op: "fail", Path: []string{"INBOX"}})
	for _, cmd := range []string{`echo >> $MNT/INBOX/1`, `: > $MNT/INBOX/1`, `rm -f $MNT/INBOX/1`} {
		if out, err := d.sh(cmd); err == nil || !strings.Contains(out, "Read-only file system") {
			t.Errorf("%s: %v, %s", cmd, err, out)
		}
	}
}
