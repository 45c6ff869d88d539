package fs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imapfs/cache"
)

func TestInterruptEndsAWaitingProcessAtOnce(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "text")
	d.add("Unloaded", 1, "text")
	d.add("Big", 1, "text")
	d.must(`ls -l $MNT/INBOX $MNT/Big`)
	d.must(`cat $MNT/Big/1`)
	d.add("Big", 2, strings.Repeat("x", 1<<20))
	d.do(order{Op: "hang", Path: []string{"INBOX"}, MS: 1})
	d.do(order{Op: "hang", Path: []string{"Unloaded"}, MS: 1})
	d.do(order{Op: "hangread", Path: []string{"Big"}, MS: 1})
	for name, args := range map[string][]string{
		"cat, OPEN":      {"cat", d.path("INBOX/1")},
		"cat, LOOKUP":    {"cat", d.path("Unloaded/1")},
		"cat, READ":      {"cat", d.path("Big/2")},
		"ls, OPENDIR":    {"ls", d.path("Unloaded")},
		"python, OPEN":   {"python3", "-c", pythonWithHandler, d.path("INBOX/1")},
		"python, READ":   {"python3", "-c", pythonWithHandler, d.path("Big/2")},
		"python, LOOKUP": {"python3", "-c", pythonWithHandler, d.path("Unloaded/1")},
	} {
		if strings.HasSuffix(name, "READ") {
			d.do(order{Op: "settle", Path: []string{"Big"}, UID: 2})
		}
		cmd := exec.Command(args[0], args[1:]...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitUntilBlocked(t, cmd.Process.Pid)
		start := time.Now()
		cmd.Process.Signal(syscall.SIGINT)
		err := cmd.Wait()
		took := time.Since(start)
		if took > 500*time.Millisecond || err == nil {
			t.Errorf("%s: %v after %v\n%s", name, err, took, out.String())
		}
		if strings.HasPrefix(name, "python") && !strings.Contains(out.String(), "interrupted by handler") {
			t.Errorf("%s: %s", name, out.String())
		}
		t.Logf("%s: %v", name, took.Round(time.Millisecond))
	}
}

func TestDeadlineIsFeltOnce(t *testing.T) {
	const timeout = time.Second
	d := startDaemon(t, Options{Timeout: timeout})
	d.add("INBOX", 1, "text")
	d.add("Unloaded", 1, "text")
	d.add("Big", 2, strings.Repeat("x", 1<<20))
	d.must(`ls -l $MNT/INBOX $MNT/Big`)
	d.do(order{Op: "hang", Path: []string{"INBOX"}, MS: 1})
	d.do(order{Op: "hang", Path: []string{"Unloaded"}, MS: 1})
	d.do(order{Op: "hangread", Path: []string{"Big"}, MS: 1})
	d.do(order{Op: "settle", Path: []string{"Big"}, UID: 2})
	for _, cmd := range []string{`cat $MNT/INBOX/1`, `cat $MNT/Unloaded/1`, `cat $MNT/Big/2`, `ls $MNT/Unloaded`, `tail -c 10 $MNT/Big/2`,
		`getfattr -n user.imap.subject $MNT/INBOX/1`} {
		start := time.Now()
		out, err := d.sh(cmd)
		took := time.Since(start)
		if err == nil || !strings.Contains(out, "Connection timed out") || took < timeout || took > timeout+700*time.Millisecond {
			t.Errorf("%s: %v after %v: %s", cmd, err, took, out)
		}
	}
	if n := strings.Count(d.logged(), "has not answered inside the deadline"); n != 1 {
		t.Errorf("%d lines for one cause:\n%s", n, d.logged())
	}
}

// A LOOKUP that waits for the server holds its directory in the kernel, and with it
// whoever would tell the kernel news of it. Another directory's news come all the same.
func TestOneDirectoryWaitsForItselfOnly(t *testing.T) {
	d := startDaemon(t, Options{Timeout: time.Minute})
	d.add("Slow", 1, "text")
	d.add("Quick", 1, "text")
	d.must(`ls -l $MNT/Quick; test ! -e $MNT/Quick/2; test ! -e $MNT/New`)
	d.do(order{Op: "hang", Path: []string{"Slow"}, MS: 1})
	slow := exec.Command("cat", d.path("Slow/1"))
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	waitUntilBlocked(t, slow.Process.Pid)
	d.add("Slow", 2, "two")
	d.add("Quick", 2, "two")
	d.do(order{Op: "expunge", Path: []string{"Quick"}, UID: 1})
	d.do(order{Op: "mailbox", Path: []string{"New"}})
	seen := func(script, want string) {
		t.Helper()
		eventuallyLong(t, func() string { out, _ := d.sh(script); return out }, func(out string) bool { return out == want })
	}
	seen(`ls $MNT/Quick; cat $MNT/Quick/2; test -e $MNT/Quick/1 || echo gone; test -d $MNT/New && echo new`, "2\ntwogone\nnew\n")
	if slow.ProcessState != nil {
		t.Error("the LOOKUP has not waited")
	}
	d.do(order{Op: "hang", Path: []string{"Slow"}})
	if err := slow.Wait(); err != nil {
		t.Error(err)
	}
	seen(`ls $MNT/Slow`, "1\n2\n")
}

func TestManyReadersAtOnce(t *testing.T) {
	d := startDaemon(t, Options{})
	const n, octets = 2 * maxWaiting, 20000
	d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: n, Size: octets})
	d.do(order{Op: "slow", Path: []string{"INBOX"}, MS: 200})
	var wg sync.WaitGroup
	for uid := 1; uid <= n; uid++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			got, err := os.ReadFile(d.path("INBOX", strconv.Itoa(uid)))
			if err != nil || !bytes.Equal(got, made(cache.UID(uid), octets)) {
				t.Errorf("%d: %d octets, %v", uid, len(got), err)
			}
		}()
	}
	wg.Wait()
}

func TestSecondReaderWhenAHandlerIsSlow(t *testing.T) {
	d := startDaemon(t, Options{})
	d.add("INBOX", 1, "text")
	d.add("Other", 1, "text")
	d.must(`cat $MNT/INBOX/1; ls -l $MNT/Other`)
	if n := d.do(order{Op: "readers"}); n != 1 {
		t.Errorf("%d reading goroutines", n)
	}
	d.do(order{Op: "stall", Path: []string{"INBOX"}, MS: 1000})
	time.Sleep(50 * time.Millisecond)
	cat := exec.Command("cat", d.path("INBOX/1"))
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	d.must(`test ! -e $MNT/Other/99`)
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("the others waited %v", took)
	}
	cat.Wait()
	if n := d.do(order{Op: "readers"}); n != 2 {
		t.Errorf("%d reading goroutines", n)
	}
	if !strings.Contains(d.logged(), "starting a second one") {
		t.Errorf("no line in the log:\n%s", d.logged())
	}
}

const pythonWithHandler = `
import signal, sys
def handler(*args): raise InterruptedError("interrupted by handler")
signal.signal(signal.SIGINT, handler)
open(sys.argv[1], "rb").read()
`

// waitUntilBlocked returns when the process has been waiting in the mount for a while.
func waitUntilBlocked(t *testing.T, pid int) {
	t.Helper()
	blocked := 0
	for range 500 {
		wchan, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
		stack, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		if strings.Contains(string(wchan), "request_wait_answer") || strings.Contains(string(wchan), "fuse") {
			blocked++
		} else if len(wchan) <= 1 && len(stack) > 0 && !strings.HasPrefix(string(stack), "running") {
			blocked++
		}
		if blocked > 20 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the process does not wait")
}
