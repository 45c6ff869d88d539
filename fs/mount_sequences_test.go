package fs

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"imapfs/cache"
)

func startFlagged(t *testing.T) *daemon {
	t.Helper()
	d := startDaemon(t, Options{})
	for i, flags := range [][]string{nil, nil, {`$Junk`}, {`\Flagged`, `\Seen`}, {`\Answered`}} {
		uid := cache.UID(i + 1)
		d.add("INBOX", uid, "text")
		d.do(order{Op: "flags", Path: []string{"INBOX"}, UID: uid, Flags: flags})
	}
	return d
}

func TestMountHasSequencesAndDoesNotListThem(t *testing.T) {
	d := startFlagged(t)
	// Nobody has opened the directory: the first look loads it.
	if got, want := d.must(`cat $MNT/INBOX/.mh_sequences`), "unseen: 1-3 5\nflagged: 4\nreplied: 5\n"; got != want {
		t.Errorf("%q", got)
	}
	if got := d.must(`ls -A $MNT/INBOX; find $MNT -name '.mh*'`); got != "1\n2\n3\n4\n5\n" {
		t.Errorf("listed: %q", got)
	}
	got := d.must(`cd $MNT/INBOX; stat -c '%A %s %h %u %b' .mh_sequences; getfattr -d .mh_sequences; cat .mh_sequences >/dev/null
		python3 -c 'import mmap; f=open(".mh_sequences","rb"); print(mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)[:])'`)
	if want := fmt.Sprintf("-r-------- 36 1 %d 1\nb'unseen: 1-3 5\\nflagged: 4\\nreplied: 5\\n'\n", os.Getuid()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, cmd := range []string{`echo > .mh_sequences`, `rm -f .mh_sequences`, `mv .mh_sequences x`, `chmod 666 .mh_sequences`, `touch -d 2001-01-01 .mh_sequences`} {
		if out, err := d.sh(`cd $MNT/INBOX && ` + cmd); err == nil || !strings.Contains(out, "Read-only file system") {
			t.Errorf("%s: %v, %s", cmd, err, out)
		}
	}
	if _, err := os.Stat(d.path(".mh_sequences")); !os.IsNotExist(err) {
		t.Errorf("at the root: %v", err)
	}
	if got := d.must(`ls -ldi $MNT/INBOX/.mh_sequences | cut -d' ' -f1; echo 2 >/proc/sys/vm/drop_caches; cat $MNT/INBOX/.mh_sequences | head -1`); !strings.HasSuffix(got, "unseen: 1-3 5\n") {
		t.Errorf("after the kernel has forgotten: %q", got)
	}
}

func TestMountShowsSequencesAsTheyAreNow(t *testing.T) {
	d := startFlagged(t)
	inode := d.must(`stat -c %i $MNT/INBOX/.mh_sequences`)
	open, err := os.Open(d.path("INBOX/.mh_sequences"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	begin := make([]byte, 10)
	if _, err := io.ReadFull(open, begin); err != nil {
		t.Fatal(err)
	}
	change := func(op string, flag, want string) {
		t.Helper()
		d.do(order{Op: op, Path: []string{"INBOX"}, UID: 1, Flags: []string{flag}})
		if got := d.must(`cat $MNT/INBOX/.mh_sequences`); got != want {
			t.Errorf("after %s: %q", op, got)
		}
	}
	change("flags", `\Seen`, "unseen: 2-3 5\nflagged: 4\nreplied: 5\n")
	change("flags", `$Junk`, "unseen: 1-3 5\nflagged: 4\nreplied: 5\n")
	change("flagsunheard", `\Flagged`, "unseen: 1-3 5\nflagged: 1 4\nreplied: 5\n") // OPEN asks
	d.do(order{Op: "expunge", Path: []string{"INBOX"}, UID: 5})
	if got := d.must(`wc -c <$MNT/INBOX/.mh_sequences; cat $MNT/INBOX/.mh_sequences`); got != "25\nunseen: 1-3\nflagged: 1 4\n" {
		t.Errorf("after an expunge: %q", got)
	}
	// Who has the file open reads on where he was.
	rest, err := io.ReadAll(open)
	if got := string(begin) + string(rest); got != "unseen: 1-3 5\nflagged: 4\nreplied: 5\n" || err != nil {
		t.Errorf("the open file: %q, %v", got, err)
	}
	if again := d.must(`stat -c %i $MNT/INBOX/.mh_sequences`); again != inode {
		t.Errorf("inode %s, then %s", inode, again)
	}
}

// Each state while flags change all the time is one that there was, and whole.
func TestMountSequencesAreNeverTorn(t *testing.T) {
	d := startDaemon(t, Options{})
	d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: 2000, Size: 10})
	d.must(`ls $MNT/INBOX >/dev/null`)
	reading := make(chan string)
	go func() {
		out, err := d.sh(`for i in $(seq 100); do cat $MNT/INBOX/.mh_sequences; done`)
		if err != nil {
			out += err.Error()
		}
		reading <- out
	}()
	for i := 0; ; i++ {
		select {
		case out := <-reading:
			// A line is 1-2000, or all but one number, which may be at either end.
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			for _, line := range lines {
				var a, b, c, e int
				switch n, _ := fmt.Sscanf(line, "unseen: %d-%d %d-%d", &a, &b, &c, &e); {
				case line == "unseen: 1-2000", n == 4 && a == 1 && c == b+2 && e == 2000 && line == fmt.Sprintf("unseen: 1-%d %d-2000", b, c):
				default:
					t.Fatalf("torn: %q", line)
				}
			}
			if len(lines) != 100 {
				t.Errorf("%d lines", len(lines))
			}
			// The kernel forgets what the name no longer leads to.
			eventually(t, func() string { return fmt.Sprint(d.do(order{Op: "nodes"})) }, func(s string) bool { return s == "0" || s == "1" })
			return
		default:
			uid := cache.UID(10 + i/2*37%1900)
			d.do(order{Op: "flags", Path: []string{"INBOX"}, UID: uid, Flags: [][]string{{`\Seen`}, nil}[i%2]})
		}
	}
}
