package fs

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// readers print the text of $F as each sees it who reads it for the first time.
var readers = map[string]string{
	"cat":     `cat $F`,
	"cp":      `cp $F $TMP/cp && cat $TMP/cp`,
	"tail -c": `tail -c 1000 $F`,
	"grep":    `grep -a '' $F`,
	"wc":      `wc -c < $F`,
	"rsync":   `rsync -a $F $TMP/rsync && cat $TMP/rsync`,
	"mmap":    `python3 -c 'import mmap,sys; f=open(sys.argv[1],"rb"); sys.stdout.buffer.write(mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)[:])' $F`,
	"stat":    `exec 3<$F; stat -L -c %s /proc/self/fd/3`,
}

func TestWrongSizesAreRightAtTheFirstPass(t *testing.T) {
	d := startDaemon(t, Options{})
	uid := 1
	for _, n := range []int{5000, 100 << 10, 300 << 10} {
		for _, lie := range []int{-700, 300} {
			for _, early := range []bool{false, true} {
				box := fmt.Sprintf("%d %+d %v", n, lie, early)
				text := made(0, int64(n))
				for name := range readers {
					d.do(order{Op: "add", Path: []string{box, name}, UID: 1, Text: text, Size: int64(n + lie)})
				}
				for name, script := range readers {
					uid++
					f := d.path(box, name, "1")
					script = `export F="` + f + `" TMP=` + t.TempDir() + `; ls -l "` + d.path(box, name) + `" >/dev/null; ` + strings.ReplaceAll(script, "$F", `"$F"`)
					if early {
						// The read-ahead learns the length before anybody opens.
						d.must(`stat "` + f + `"`)
						d.do(order{Op: "settle", Path: []string{box, name}, UID: 1})
					}
					got := d.must(script)
					want := string(text)
					switch name {
					case "tail -c":
						want = want[len(want)-1000:]
					case "wc", "stat":
						want = strconv.Itoa(len(want)) + "\n"
					case "grep":
						if !strings.HasSuffix(want, "\n") {
							want += "\n"
						}
					}
					if got != want {
						t.Errorf("%s of %d octets said to be %d: %d octets", name, n, n+lie, len(got))
					}
					if size := d.must(`stat -c %s "` + f + `"`); size != fmt.Sprintln(n) {
						t.Errorf("%s: then stat says %s", name, size)
					}
				}
			}
		}
	}
}

// Of a text that is read in blocks the length is learnt at its end.
func TestLongTextFoundShorterEndsThere(t *testing.T) {
	d := startDaemon(t, Options{})
	text := made(0, 1<<20)
	for i, script := range []string{`cat $F`, `cp $F $TMP/x && cat $TMP/x`, `dd if=$F bs=100k status=none`} {
		box := fmt.Sprint(i)
		d.do(order{Op: "late", Path: []string{box}, UID: 1, Text: text, Size: 1<<20 + 50000})
		got := d.must(`F=` + d.path(box, "1") + ` TMP=` + t.TempDir() + `; ` + script)
		if got != string(text) {
			t.Errorf("%s: %d octets, %d NULs", script, len(got), strings.Count(got, "\x00"))
		}
		eventually(t, func() string { return d.must(`stat -c %s $MNT/` + box + `/1`) }, func(s string) bool { return s == "1048576\n" })
	}
}
