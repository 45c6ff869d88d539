package fs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"imapfs/cache"
)

// lettered is a text of which each line says whose it is.
func lettered(who string, uid cache.UID, n int) []byte {
	line := fmt.Sprintf("of %s, message %d, one of many lines\r\n", who, uid)
	return []byte(strings.Repeat(line, n/len(line)+1)[:n])
}

// A shell is one that stays in a directory of the mount.
type shell struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (d *daemon) shellIn(t *testing.T, dir string) *shell {
	t.Helper()
	sh := &shell{t: t, cmd: exec.Command("bash")}
	sh.cmd.Dir = "/"
	sh.cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := sh.cmd.StdoutPipe()
	if err == nil {
		sh.in, err = sh.cmd.StdinPipe()
	}
	if err == nil {
		err = sh.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	sh.out = bufio.NewReader(out)
	t.Cleanup(func() {
		sh.in.Close()
		sh.cmd.Wait()
	})
	sh.do("cd " + dir)
	return sh
}

// do runs a command and gives what it says, on both ways.
func (sh *shell) do(command string) string {
	sh.t.Helper()
	fmt.Fprintf(sh.in, "{ %s ; } 2>&1; echo; echo END OF IT\n", command)
	var b strings.Builder
	for {
		line, err := sh.out.ReadString('\n')
		if err != nil {
			sh.t.Fatalf("%s: the shell has ended: %v", command, err)
		}
		if line == "END OF IT\n" {
			return strings.TrimSuffix(b.String(), "\n")
		}
		b.WriteString(line)
	}
}

// where is the directory that the kernel says it is in.
func (sh *shell) where() string {
	at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", sh.cmd.Process.Pid))
	if err != nil {
		sh.t.Fatal(err)
	}
	return at
}

func TestAShellInARenamedMailboxFollows(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, Options{})
	for uid := cache.UID(1); uid <= 3; uid++ {
		d.do(order{Op: "add", Path: []string{"Here", "A"}, UID: uid, Text: lettered("A", uid, 300_000), Size: -1})
	}
	d.add("There", 1, "text")
	sh := d.shellIn(t, d.path("Here/A"))
	sh.do("cat 1 >/dev/null; ls")
	was := sh.do("stat -c %i . 1 2; cat .mh_sequences")
	f, err := os.Open(d.path("Here/A/2"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d.must(`ls -l $MNT/There >/dev/null; test ! -e $MNT/There/B`)

	for _, to := range [][]string{{"Here", "A", "Here", "B"}, {"Here", "B", "There", "B"}} {
		from := strings.Join(to[:2], "/")
		into := strings.Join(to[2:], "/")
		d.do(order{Op: "rename", Path: to[:2], To: to[2:]})
		eventuallyLong(t, func() string { return d.must(`cd $MNT; ls -d */*`) }, func(out string) bool {
			return strings.Contains(out, into+"\n") && !strings.Contains(out, from+"\n")
		})
		if out, err := d.sh(`stat $MNT/` + from); err == nil || !strings.Contains(out, "No such file") {
			t.Errorf("the old name: %v, %s", err, out)
		}
		if got := sh.where(); got != d.path(into) {
			t.Errorf("the shell is in %s", got)
		}
		if got := sh.do("pwd -P"); got != d.path(into)+"\n" {
			t.Errorf("the shell says %s", got)
		}
		if got := sh.do("stat -c %i . 1 2; cat .mh_sequences"); got != was {
			t.Errorf("files are\n%s, were\n%s", got, was)
		}
		if got := sh.do("ls; cmp 3 " + d.path(into, "3")); got != "1\n2\n3\n" {
			t.Errorf("the shell lists %q", got)
		}
	}
	text, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(text, lettered("A", 2, 300_000)) {
		t.Errorf("the open file reads %d octets, %v", len(text), err)
	}
	// News reaches the shell where it is now.
	d.do(order{Op: "expunge", Path: []string{"There", "B"}, UID: 1})
	eventuallyLong(t, func() string { return sh.do("ls; test -e 1 || echo gone") }, func(out string) bool { return out == "2\n3\ngone\n" })

	// Another that takes the first name is another.
	d.do(order{Op: "add", Path: []string{"Here", "A"}, UID: 2, Text: lettered("the next", 2, 1000), Size: -1})
	eventuallyLong(t, func() string { out, _ := d.sh(`head -1 $MNT/Here/A/2`); return out },
		func(out string) bool { return strings.HasPrefix(out, "of the next, message 2") })
	if got := sh.do("head -1 2"); !strings.HasPrefix(got, "of A, message 2") {
		t.Errorf("the shell reads %q", got)
	}
}

// A mailbox deleted and made again has other messages under the same names. What is
// open or entered belongs to the old one, and whatever it was told stays the old one's.
func TestNothingOfTheOldMailboxUnderTheNames(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, Options{})
	box := []string{"INBOX"}
	const n = 300_000
	for uid := cache.UID(1); uid <= 4; uid++ {
		d.do(order{Op: "add", Path: box, UID: uid, Text: lettered("life 1", uid, n), Size: -1})
	}
	for life := 1; life <= 3; life++ {
		who, next := fmt.Sprint("life ", life), fmt.Sprint("life ", life+1)
		last := cache.UID(3)
		if life == 1 {
			last = 4
		}
		for uid := cache.UID(1); uid <= last; uid++ {
			if got, err := os.ReadFile(d.path("INBOX", fmt.Sprint(uid))); err != nil || !bytes.Equal(got, lettered(who, uid, n)) {
				t.Fatalf("%s: message %d reads %.40q, %v", who, uid, got, err)
			}
		}
		sh := d.shellIn(t, d.path("INBOX"))
		whole, err := os.Open(d.path("INBOX/1")) // all of its pages are cached
		if err != nil {
			t.Fatal(err)
		}
		defer whole.Close()
		d.do(order{Op: "renew", Path: box, Size: int64(life + 1), UID: 1, Last: 3, Text: []byte(next)})

		eventuallyLong(t, func() string { out, _ := d.sh(`ls $MNT/INBOX; head -1 $MNT/INBOX/3`); return out },
			func(out string) bool { return strings.HasPrefix(out, "1\n2\n3\nof "+next) })
		for uid := cache.UID(1); uid <= 3; uid++ {
			if got, err := os.ReadFile(d.path("INBOX", fmt.Sprint(uid))); err != nil || !bytes.Equal(got, lettered(next, uid, n)) {
				t.Fatalf("%s: message %d reads %.40q, %v", next, uid, got, err)
			}
		}
		// What is open has its own text or ESTALE, and soon ESTALE: its pages are dropped.
		p := make([]byte, 100_000)
		eventuallyLong(t, func() string {
			k, err := whole.ReadAt(p, 150_000)
			if want := lettered(who, 1, n)[150_000 : 150_000+k]; !bytes.Equal(p[:k], want) {
				t.Fatalf("%s: the open file reads %.40q", who, p[:k])
			}
			return fmt.Sprint(errors.Is(err, syscall.ESTALE), k)
		}, func(got string) bool { return got == "true 0" })
		for _, command := range []string{"ls", "cat 1", "cat 4", "stat 2", "cat .mh_sequences", "ls -l ."} {
			if got := sh.do(command); strings.Contains(got, "of life") || !strings.Contains(got, "Stale") {
				t.Errorf("%s: in the old directory %s says %.200q", who, command, got)
			}
		}
	}
}
