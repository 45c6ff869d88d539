package fs

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMountShowsMailboxesAndMessages(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 3, "Subject: three\r\n\r\nthe third\r\n")
	d.add("INBOX", 17, "Subject: seventeen\r\n\r\n")
	d.add("Archives/2023", 1, "Subject: old\r\n\r\n")
	if got := d.must(`cd $MNT && find . -mindepth 1 | sort`); got != "./Archives\n./Archives/%32023\n./Archives/%32023/1\n./INBOX\n./INBOX/17\n./INBOX/3\n" {
		t.Errorf("find:\n%s", got)
	}
	if got := d.must(`cat $MNT/INBOX/3`); got != "Subject: three\r\n\r\nthe third\r\n" {
		t.Errorf("cat: %q", got)
	}
	if got := d.must(`stat -c '%A %s %b %h %Y %u' $MNT/INBOX/3`); got != fmt.Sprintf("-rw------- 29 1 1 1500000003 %d\n", os.Getuid()) {
		t.Errorf("stat:\n%s", got)
	}
	if got := d.must(`ls -ia $MNT/INBOX | awk '{print $1}' | head -1; stat -c %i $MNT/INBOX`); strings.Fields(got)[0] != strings.Fields(got)[1] {
		t.Errorf("inode of . and of the directory: %s", got)
	}
}

func TestMountOptions(t *testing.T) {
	d := startDaemon(t, Options{FSName: "imapfs#alice@host, or so"})
	m, err := findMount(d.dir)
	if err != nil || m == nil {
		t.Fatal(err)
	}
	all := strings.Split(m.Options+","+m.VFSOptions, ",")
	for _, want := range []string{"ro", "nosuid", "nodev", "default_permissions"} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is missing: %q", want, all)
		}
	}
	if m.FSType != "fuse.imapfs" || m.Source != "imapfs#alice@host, or so" {
		t.Errorf("type %s, source %s", m.FSType, m.Source)
	}
}

func TestEveryWriteIsEROFS(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "text")
	for _, cmd := range []string{
		`echo > $MNT/INBOX/1`, `echo >> $MNT/INBOX/1`, `touch $MNT/INBOX/2`, `rm -f $MNT/INBOX/1`, `mkdir $MNT/new`, `rmdir $MNT/INBOX`,
		`mv $MNT/INBOX/1 $MNT/1`, `mv $MNT/INBOX $MNT/box`, `ln $MNT/INBOX/1 $MNT/INBOX/2`, `ln -s x $MNT/x`, `mkfifo $MNT/p`,
		`chmod 777 $MNT/INBOX/1`, `touch -d 2001-01-01 $MNT/INBOX/1`, `truncate -s 0 $MNT/INBOX/1`,
		`setfattr -n user.imap.flags -v x $MNT/INBOX/1`, `setfattr -n user.other -v x $MNT/INBOX/1`,
	} {
		out, err := d.sh(cmd)
		if err == nil || !strings.Contains(out, "Read-only file system") {
			t.Errorf("%s: %v, %s", cmd, err, out)
		}
	}
	if got := d.must(`cat $MNT/INBOX/1`); got != "text" {
		t.Errorf("the text is %q", got)
	}
}

func TestServeEndsHoweverTheMountDoes(t *testing.T) {
	for _, how := range []string{`umount $MNT`, `fusermount3 -u $MNT`, `umount -f $MNT`, `umount -l $MNT`} {
		t.Run(how, func(t *testing.T) {
			d := startDaemon(t, Options{})
			d.add("INBOX", 1, "text")
			d.must(`cat $MNT/INBOX/1`)
			d.do(order{Op: "hang", Path: []string{"INBOX"}, MS: 1})
			d.must(how)
			ended := make(chan struct{})
			go func() {
				d.out.Scan() // nothing more comes until the process ends
				close(ended)
			}()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("the serving process goes on")
			}
		})
	}
}

func TestMountThatIsLeftBrokenIsCleared(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "text")
	f, err := os.Open(d.path("INBOX/1")) // keeps umount -f from unmounting, not from aborting
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d.sh(`umount -f $MNT`)
	eventually(t, func() string { return d.must(`ls -A $MNT 2>&1; findmnt -n $MNT || true`) }, func(s string) bool { return s == "" })
}

func TestBusyMountIsUnmountedLazily(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "text")
	f, err := os.Open(d.path("INBOX/1"))
	if err != nil {
		t.Fatal(err)
	}
	d.do(order{Op: "unmount"})
	if m, err := findMount(d.dir); m != nil || err != nil {
		t.Errorf("still mounted: %v", err)
	}
	if got, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); string(got) != "text" {
		t.Errorf("the open file: %q, %v", got, err)
	}
	f.Close()
}

func TestMountSaysWhatIsWrong(t *testing.T) {
	needFUSE(t)
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for point, want := range map[string]string{
		"/nonexistent/x": "no such file or directory",
		file:             "not a directory",
	} {
		_, err := mount(newFakeAccount(), Options{MountPoint: point})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", point, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := mount(newFakeAccount(), Options{MountPoint: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "install fuse3") {
		t.Errorf("without fusermount3: %v", err)
	}
}
