package fs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"imapfs/cache"
)

func TestNegativeEntryVanishesWhenTheNameAppears(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "one")
	d.must(`ls $MNT/INBOX $MNT; test ! -e $MNT/INBOX/2 -a ! -e $MNT/Work -a ! -e $MNT/INBOX/Sub`)
	d.add("INBOX", 2, "two")
	d.do(order{Op: "mailbox", Path: []string{"Work"}})
	d.do(order{Op: "mailbox", Path: []string{"INBOX", "Sub"}})
	eventually(t, func() string {
		out, _ := d.sh(`cat $MNT/INBOX/2; ls -d $MNT/Work $MNT/INBOX/Sub >&2; ls $MNT $MNT/INBOX | tr '\n' ' '`)
		return out
	}, func(out string) bool {
		return strings.HasPrefix(out, "two") && strings.Contains(out, "/Work\n") && strings.Contains(out, "INBOX Work ") && strings.Contains(out, "1 2 Sub")
	})
}

func TestExpungedMessageVanishes(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "one")
	d.add("INBOX", 2, "two")
	d.must(`cat $MNT/INBOX/*; ls -l $MNT/INBOX`)
	before := d.must(`stat -c %Y $MNT/INBOX`)
	d.do(order{Op: "expunge", Path: []string{"INBOX"}, UID: 2})
	eventually(t, func() string {
		out, _ := d.sh(`ls $MNT/INBOX; cat $MNT/INBOX/2`)
		return out
	}, func(out string) bool { return strings.HasPrefix(out, "1\ncat: ") })
	if after := d.must(`stat -c %Y $MNT/INBOX`); after <= before {
		t.Errorf("mtime %s, then %s", before, after)
	}
	d.do(order{Op: "remove", Path: []string{"INBOX"}})
	eventually(t, func() string { return d.must(`ls $MNT`) }, func(out string) bool { return out == "" })
}

func TestFlagsLeaveTheListingAlone(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "one")
	before := d.must(`cd $MNT/INBOX; stat -c '%n %s %Y %Z %X %i' . *`)
	d.do(order{Op: "flags", Path: []string{"INBOX"}, UID: 1, Flags: []string{`\Seen`}})
	if after := d.must(`cd $MNT/INBOX; stat -c '%n %s %Y %Z %X %i' . *`); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
	if got := d.must(`exec 2>/dev/null; getfattr --only-values -n user.imap.flags $MNT/INBOX/1; getfattr -d -m - $MNT/INBOX/1 | grep -c =; getfattr -d -m - $MNT/INBOX $MNT`); got != `\Seen`+"1\n" {
		t.Errorf("%q", got)
	}
}

func TestListingIsWholeOrAnError(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "one")
	d.add("Cut", 1, "one")
	backup := t.TempDir()
	d.must(`rsync -a $MNT/ ` + backup + `/`)
	d.do(order{Op: "remove", Path: []string{"Cut"}})
	d.add("Cut", 2, "two")
	d.do(order{Op: "failload", Path: []string{"Cut"}, Kind: 12})
	d.do(order{Op: "failload", Path: []string{"INBOX"}, Kind: 12})
	out, err := d.sh(`rsync -a --delete $MNT/ ` + backup + `/`)
	if err == nil {
		t.Errorf("rsync ended well:\n%s", out)
	}
	for _, f := range []string{"/INBOX/1", "/Cut/1"} {
		if _, err := os.Stat(backup + f); err != nil {
			t.Errorf("the backup lost %s", f)
		}
	}
	if n := strings.Count(d.logged(), "the test wants it so"); n != 2 {
		t.Errorf("%d lines for two causes:\n%s", n, d.logged())
	}
}

func TestRsyncTwiceTransfersNothing(t *testing.T) {
	d := startDaemon(t, Options{})
	d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: 200, Size: 3000})
	d.add("Archives/2023", 1, "text")
	backup := t.TempDir()
	d.must(`rsync -aX $MNT/ ` + backup + `/`)
	d.must(`rsync -aX $MNT/ ` + backup + `/`) // the mtime of a mailbox is known when it has been loaded
	if got := d.must(`rsync -aXi $MNT/ ` + backup + `/`); got != "" {
		t.Errorf("transferred again:\n%s", got)
	}
	d.must(`diff -r $MNT ` + backup)
	inodes := d.must(`cd $MNT && find . -printf '%i %p\n' | sort`)
	e := startDaemon(t, Options{})
	e.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: 200, Size: 3000})
	e.add("Archives/2023", 1, "text")
	if got := e.must(`cd $MNT && find . -printf '%i %p\n' | sort`); got != inodes {
		t.Error("inode numbers are others at the next mount")
	}
}

func TestSeekdirIsExact(t *testing.T) {
	d := startDaemon(t, Options{})
	d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: 3000, Size: 10})
	d.do(order{Op: "mailbox", Path: []string{"INBOX", "Sub"}})
	got := d.must(`python3 - $MNT/INBOX <<'EOF'
import ctypes, os, sys, random
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
for f in (libc.readdir, libc.telldir, libc.closedir): f.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
d = libc.opendir(os.fsencode(sys.argv[1]))
def entry():
    p = libc.readdir(d)
    return ctypes.string_at(p + 19).decode() if p else None
places = []
while True:
    at = libc.telldir(d)
    name = entry()
    if name is None: break
    places.append((at, name))
random.seed(1)
for at, name in random.sample(places, 300):
    libc.seekdir(d, at)
    got = entry()
    if got != name: print("at", at, "is", got, "not", name)
print(len(places))
EOF`)
	if got != "3003\n" {
		t.Errorf("%s", got)
	}
}

func TestListingWhileMailComesAndGoes(t *testing.T) {
	d := startDaemon(t, Options{})
	d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: 3000, Size: 10})
	d.must(`ls $MNT/INBOX`)
	for turn := range 3 {
		dir, err := os.Open(d.path("INBOX"))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for i := 0; ; i++ {
			names, err := dir.Readdirnames(100)
			if err != nil {
				break
			}
			for _, name := range names {
				seen[name]++
			}
			if i < 10 {
				n := uint32(turn*100 + i)
				d.do(order{Op: "expunge", Path: []string{"INBOX"}, UID: 1 + 7*(1+cache.UID(n))})
				d.add("INBOX", 5000+cache.UID(n), "new")
			}
		}
		dir.Close()
		for uid := 1; uid <= 3000; uid++ {
			if n := seen[strconv.Itoa(uid)]; n > 1 || n == 0 && (uid-1)%7 != 0 {
				t.Fatalf("turn %d: %d came %d times", turn, uid, n)
			}
		}
	}
	eventually(t, func() string { return d.must(`ls $MNT/INBOX | wc -l`) }, func(s string) bool { return s == "3000\n" })
}

func TestNewUIDValidityUnderOpenFiles(t *testing.T) {
	d := startDaemon(t, Options{})
	d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: 10, Size: 1 << 20})
	f, err := os.Open(d.path("INBOX/1"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	d.do(order{Op: "validity", Path: []string{"INBOX"}, UID: 2})
	eventually(t, func() string {
		_, err := f.ReadAt(make([]byte, 4096), 0)
		return fmt.Sprint(err)
	}, func(s string) bool { return strings.Contains(s, "stale") })
	after, err := os.Stat(d.path("INBOX/1"))
	if err != nil || os.SameFile(before, after) {
		t.Errorf("the path leads to the old message, or nowhere: %v", err)
	}
	d.must(`cat $MNT/INBOX/* | wc -c; cd $MNT/INBOX && ls`)
}

// However the kernel's caches were filled while names came and went, in the end
// they hold what there is.
func TestChurnEndsInTheTruth(t *testing.T) {
	d := startDaemon(t, Options{})
	d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: 300, Size: 10})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				os.ReadDir(d.path("INBOX"))
				for uid := i % 7; uid < 400; uid += 7 {
					os.Stat(d.path("INBOX", strconv.Itoa(uid)))
				}
			}
		}()
	}
	there := map[int]bool{}
	for uid := 1; uid <= 300; uid++ {
		there[uid] = true
	}
	for i := range 400 {
		uid := 1 + i*37%399
		if there[uid] {
			d.do(order{Op: "expunge", Path: []string{"INBOX"}, UID: cache.UID(uid)})
		} else {
			d.add("INBOX", cache.UID(uid), "text")
		}
		there[uid] = !there[uid]
	}
	close(stop)
	wg.Wait()
	var want []string
	for uid := range 400 {
		if there[uid] {
			want = append(want, strconv.Itoa(uid))
		}
	}
	eventually(t, func() string { return d.must(`ls $MNT/INBOX | sort -n | tr '\n' ' '`) },
		func(out string) bool { return out == strings.Join(want, " ")+" " })
	for uid := range 400 {
		if _, err := os.Stat(d.path("INBOX", strconv.Itoa(uid))); (err == nil) != there[uid] {
			t.Errorf("%d: %v", uid, err)
		}
	}
}
