package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imapfs/imapconn/imaptest"
)

// staysIn starts a process that does nothing in a directory until the test ends.
func staysIn(t testing.TB, dir string) (where func() string) {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return func() string { return fmt.Sprintf("/proc/%d/cwd", cmd.Process.Pid) }
}

// saysFirst says whose text a file is.
func saysFirst(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	_, body, _ := bytes.Cut(text, []byte("\r\n\r\n"))
	line, _, _ := bytes.Cut(body, []byte("\r\n"))
	return string(line)
}

// TestMailboxesMoveElsewhere has another client rename, exchange, delete and make
// mailboxes that are being used, and gives one another UIDVALIDITY. All texts are
// known by what they say.
func TestMailboxesMoveElsewhere(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	big := letter("work 1", 3<<20)
	s.Deliver(t, "Work", big, letter("work 2", 5_000))
	s.Deliver(t, "Work/Below", letter("below 1", 5_000))
	s.Deliver(t, "Left", letter("left 1", 5_000), letter("left 2", 5_000))
	s.Deliver(t, "Right", letter("right 1", 5_000), letter("right 2", 5_000))
	d := mountDovecot(t, s, "--poll", "1s")
	client := newAnotherClient(t, account{s.Addr, s.User, s.Password})
	lists := func(dir string) string { return run(t, "ls", d.path(dir)).stdout }
	inode := func(name string) string { return must(t, "stat", "-c", "%i", name) }

	for _, dir := range []string{"Work", "Work/Below", "Left", "Right"} {
		must(t, "ls", "-l", d.path(dir))
	}
	must(t, "cat", d.path("Work", "2"), d.path("Left", "1"), d.path("Left", "2"), d.path("Right", "1"), d.path("Right", "2"))
	where := staysIn(t, d.path("Work"))
	open, err := os.Open(d.path("Work", "1"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	before := inode(d.path("Work")) + inode(d.path("Work", "2")) + inode(d.path("Work", "Below", "1"))

	client.do("rename", "Work", "Done/Work")
	waitFor(t, soon, "the new name", func() bool { return lists("Done/Work") == "1\n2\nBelow\n" && lists("Work") == "" })
	if got := inode(d.path("Done/Work")) + inode(d.path("Done/Work", "2")) + inode(d.path("Done/Work", "Below", "1")); got != before {
		t.Errorf("inodes %q, were %q", got, before)
	}
	if at, err := os.Readlink(where()); err != nil || at != d.path("Done/Work") {
		t.Errorf("who was in it is in %s, %v", at, err)
	}
	if got := must(t, "ls", where()+"/"); got != "1\n2\nBelow\n" {
		t.Errorf("who was in it lists %q", got)
	}
	if got, err := io.ReadAll(open); err != nil || !bytes.Equal(got, big) {
		t.Errorf("what was open reads %d octets of %d, %v", len(got), len(big), err)
	}
	if got := saysFirst(d.path("Done/Work/Below/1")); !strings.HasPrefix(got, "below 1") {
		t.Errorf("what lies below reads %q", got)
	}

	// Two change names while they are read. Each UID of a name has a text of one of
	// them, and once it has changed never that of the other again.
	client.do("rename", "Left", "Meanwhile")
	client.do("rename", "Right", "Left")
	client.do("rename", "Meanwhile", "Right")
	changed := make(map[string]bool)
	waitFor(t, soon, "the exchange", func() bool {
		all := true
		for name, other := range map[string]string{"Left": "right", "Right": "left"} {
			for _, uid := range []string{"1", "2"} {
				got := saysFirst(d.path(name, uid))
				k := name + uid
				switch {
				case strings.HasPrefix(got, other+" "+uid+","):
					changed[k] = true
				case changed[k], !strings.HasPrefix(got, strings.ToLower(name)+" "+uid+",") && !isErrno(got):
					t.Fatalf("%s/%s says %q (changed: %v)", name, uid, got, changed[k])
				}
				all = all && changed[k]
			}
		}
		return all
	})

	// Another UIDVALIDITY, by force.
	where = staysIn(t, d.path("Left"))
	before = inode(d.path("Left", "1"))
	s.Doveadm("mailbox", "update", "-u", s.User, "--uid-validity", "77777777", "Left")
	waitFor(t, soon, "the new UIDVALIDITY", func() bool {
		lists("Left")
		out := run(t, "getfattr", "--only-values", "-n", "user.imap.uidvalidity", d.path("Left")).stdout
		return out == "77777777" && run(t, "stat", "-c", "%i", d.path("Left", "1")).status == 0
	})
	if got := inode(d.path("Left", "1")); got == before {
		t.Error("a message under another UIDVALIDITY has the same inode number")
	}
	if got := saysFirst(d.path("Left", "1")); !strings.HasPrefix(got, "right 1,") {
		t.Errorf("Left/1 says %q", got)
	}
	for _, name := range []string{"1", "2"} {
		if got := saysFirst(filepath.Join(where(), name)); !strings.Contains(got, "stale") {
			t.Errorf("in the old directory %s says %q", name, got)
		}
	}

	// Deleted: what is cached is no longer had by name; made: it appears.
	client.do("delete", "Right")
	waitFor(t, soon, "the deleted mailbox to vanish", func() bool {
		return run(t, "ls", d.path("Right")).status != 0 && !strings.Contains(lists(""), "Right")
	})
	client.do("create", "Right")
	client.deliver("Right", letter("made anew", 5_000))
	waitFor(t, soon, "the new mailbox", func() bool { return strings.HasPrefix(saysFirst(d.path("Right", "1")), "made anew,") })
}

// isErrno reports whether saysFirst gave what a mailbox on its way may answer.
func isErrno(s string) bool {
	return strings.Contains(s, "no such file") || strings.Contains(s, "stale") || strings.Contains(s, "input/output error")
}
