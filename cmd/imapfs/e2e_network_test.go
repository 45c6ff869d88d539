package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// throughProxy mounts a Dovecot's account in the clear, behind a proxy.
func throughProxy(t testing.TB, s *imaptest.Dovecot, flags ...string) (*daemon, *imaptest.Proxy) {
	t.Helper()
	p := imaptest.NewProxy(t, s.Addr)
	return mountPlain(t, p.Addr, s.User, s.Password, flags...), p
}

// TestTheTailOfALargeMessageIsAllThatMoves counts octets and round trips at the
// proxy, once a first text has been read: that one makes its connection.
func TestTheTailOfALargeMessageIsAllThatMoves(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	text := letter("huge", 20<<20)
	s.Deliver(t, "INBOX", text, letter("small", 1_000))
	d, p := throughProxy(t, s)
	must(t, "ls", "-l", d.path("INBOX"))
	must(t, "cat", d.path("INBOX", "2"))
	time.Sleep(time.Second) // IDLE has begun on the other connection
	p.Reset()
	if got := must(t, "tail", "-c", "1000", d.path("INBOX", "1")); got != string(text[len(text)-1000:]) {
		t.Errorf("the tail is %.80q", got)
	}
	c := p.Counters()
	t.Logf("%d octets, %d round trips", c.Down, c.Turns)
	if c.Down > 512<<10 || c.Turns > 2 {
		t.Errorf("%d octets and %d round trips for 1,000 octets of %d", c.Down, c.Turns, len(text))
	}
}

func TestTheNextReadAfterACutWorks(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	text := letter("later", 50_000)
	s.Deliver(t, "INBOX", letter("first", 1_000), text)
	d, p := throughProxy(t, s)
	must(t, "cat", d.path("INBOX", "1"))
	p.Cut()
	if got := must(t, "cat", d.path("INBOX", "2")); got != string(text) {
		t.Errorf("read %.80q", got)
	}
	p.Cut()
	if got := must(t, "ls", d.path("INBOX")); got != "1\n2\n" {
		t.Errorf("listed %q", got)
	}
	s.Stop()
	s.Start()
	if got := must(t, "ls", d.path()); !strings.Contains(got, "INBOX") {
		t.Errorf("after a restart of the server: %q", got)
	}
}

// impatient reads a file and has a handler for SIGINT, as editors and pagers do:
// only an answer to the kernel's INTERRUPT lets it go. It makes one file when it is
// ready and waits for the other.
const impatient = `
import os, signal, sys, time
def stop(*_): raise SystemExit(130)
signal.signal(signal.SIGINT, stop)
open(sys.argv[2], "w").close()
while not os.path.exists(sys.argv[3]): time.sleep(0.01)
open(sys.argv[1], "rb").read()
`

// interrupted sends SIGINT to programs that have just begun to wait in the mount, and
// looks at their status: it is another than that of a deadline.
func interrupted(t testing.TB, timeout time.Duration, waiting map[string]*program) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	time.Sleep(700 * time.Millisecond) // they are in the kernel by now
	for name, p := range waiting {
		began := time.Now()
		late := time.Until(deadline) < time.Second // on a machine that has other things to do
		p.cmd.Process.Signal(syscall.SIGINT)
		want := -1 // by the signal
		if name == "python" {
			want = 130
		}
		r := p.wait(t, time.Minute)
		t.Logf("%s ended %v after SIGINT", name, time.Since(began))
		if r.status != want && !late {
			t.Errorf("%s ended with status %d, want %d: %s", name, r.status, want, r.stderr)
		}
	}
}

func TestABlackHoleEndsAtTheDeadlineAndCtrlCAtOnce(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	for i := range 6 {
		s.Deliver(t, "INBOX", letter("message "+strconv.Itoa(i), 200_000))
	}
	s.Deliver(t, "Other", letter("other", 1_000))
	const timeout = 10 * time.Second
	d, p := throughProxy(t, s, "--timeout", timeout.String())
	must(t, "cat", d.path("INBOX", "1"))
	must(t, "ls", "-l", d.path("INBOX"))
	ready, begin := filepath.Join(t.TempDir(), "ready"), filepath.Join(t.TempDir(), "begin")
	python := startProgram(t, "python3", "-c", impatient, d.path("INBOX", "4"), ready, begin)
	waitFor(t, time.Minute, "python", func() bool { _, err := os.Stat(ready); return err == nil })
	p.Stall(true)

	cat := startProgram(t, "cat", d.path("INBOX", "2"))
	if err := os.WriteFile(begin, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	interrupted(t, timeout, map[string]*program{
		"cat":    startProgram(t, "cat", d.path("INBOX", "3")),
		"ls":     startProgram(t, "ls", d.path("Other")),
		"python": python,
	})
	if got := must(t, "cat", d.path("INBOX", "1")); got != string(letter("message 0", 200_000)) {
		t.Error("what was read before cannot be read in a black hole")
	}
	r := cat.wait(t, 60*time.Second)
	if r.status != 1 || !strings.Contains(r.stderr, "timed out") {
		t.Errorf("cat in a black hole: status %d, %s", r.status, r.stderr)
	}
	if r.took < timeout-500*time.Millisecond || r.took > 2*timeout-500*time.Millisecond {
		t.Errorf("cat ended after %v, the deadline being %v", r.took, timeout)
	}
	failFast(t, d, timeout)

	p.Stall(false)
	p.Cut()
	took := waitFor(t, time.Minute, "a read after the black hole", func() bool {
		r := run(t, "cat", d.path("INBOX", "2"))
		return r.status == 0 && r.stdout == string(letter("message 1", 200_000))
	})
	t.Logf("right again after %v", took)
}

// failFast has every sort of request made of a server that is known to be away: all
// end with the same errno, and long before all their deadlines.
func failFast(t testing.TB, d *daemon, timeout time.Duration) {
	t.Helper()
	requests := [][]string{
		{"cat", d.path("INBOX", "3")},
		{"head", "-c", "1", d.path("INBOX", "4")},
		{"ls", d.path("Other")},
		{"stat", d.path("Other", "1")},
		{"find", d.path("Other")},
		{"getfattr", "-n", "user.imap.subject", d.path("INBOX", "5")},
		{"cat", d.path("INBOX", "6")},
		{"cp", d.path("INBOX", "6"), "/dev/null"},
	}
	began := time.Now()
	for _, args := range requests {
		if r := run(t, args[0], args[1:]...); r.status == 0 || !strings.Contains(r.stderr, "timed out") {
			t.Errorf("%v: status %d, %s", args, r.status, r.stderr)
		}
	}
	took := time.Since(began)
	t.Logf("%d requests of a server that is known to be away took %v", len(requests), took)
	if took > time.Duration(len(requests))*timeout*3/4 {
		t.Errorf("%d requests took %v, the deadline being %v", len(requests), took, timeout)
	}
}

func TestAStoppedServerIsFoundAgainWithoutHelp(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	for i := range 6 {
		s.Deliver(t, "INBOX", letter("message "+strconv.Itoa(i), 50_000))
	}
	s.Deliver(t, "Other", letter("other", 1_000))
	const timeout = 8 * time.Second
	d, p := throughProxy(t, s, "--timeout", timeout.String())
	must(t, "cat", d.path("INBOX", "1"))
	p.Refuse(true)
	s.Stop()
	p.Cut()

	cat := startProgram(t, "cat", d.path("INBOX", "2"))
	interrupted(t, timeout, map[string]*program{
		"cat": startProgram(t, "cat", d.path("INBOX", "3")),
		"ls":  startProgram(t, "ls", d.path("Other")),
	})
	r := cat.wait(t, time.Minute)
	if r.status != 1 || !strings.Contains(r.stderr, "timed out") || r.took > 2*timeout {
		t.Errorf("cat from a stopped server: status %d after %v, %s", r.status, r.took, r.stderr)
	}
	failFast(t, d, timeout)
	if got := must(t, "cat", d.path("INBOX", "1")); got != string(letter("message 0", 50_000)) {
		t.Error("what was read before cannot be read from a stopped server")
	}

	s.Start()
	p.Refuse(false)
	took := waitFor(t, time.Minute, "a read after the server is back", func() bool {
		r := run(t, "cat", d.path("INBOX", "2"))
		return r.status == 0 && r.stdout == string(letter("message 1", 50_000))
	})
	t.Logf("right again after %v", took)
	if got := must(t, "ls", d.path("Other")); got != "1\n" {
		t.Errorf("listed %q", got)
	}
	d.stop(t)
	away, back := strings.Count(d.errs.String(), "cannot reach the server"), strings.Count(d.errs.String(), "the server is back")
	if away == 0 || away != back {
		t.Errorf("the log says %d times that the server is away and %d times that it is back:\n%s", away, back, d.errs)
	}
}

// TestADaemonThatWasStoppedGoesOn has all connections dropped while the daemon
// cannot notice, and a reader who has waited since.
func TestADaemonThatWasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	s.Deliver(t, "INBOX", letter("first", 1_000), letter("second", 50_000), letter("third", 50_000))
	d, p := throughProxy(t, s)
	must(t, "cat", d.path("INBOX", "1"))
	d.cmd.Process.Signal(syscall.SIGSTOP)
	p.Cut()
	cat := startProgram(t, "cat", d.path("INBOX", "2"))
	time.Sleep(stopped)
	d.cmd.Process.Signal(syscall.SIGCONT)
	began := time.Now()
	if r := cat.wait(t, time.Minute); r.status != 0 || r.stdout != string(letter("second", 50_000)) {
		t.Errorf("who has waited: status %d, %.60q, %s", r.status, r.stdout, r.stderr)
	}
	if got := must(t, "cat", d.path("INBOX", "3")); got != string(letter("third", 50_000)) {
		t.Errorf("read %.60q", got)
	}
	t.Logf("right again after %v", time.Since(began))
}

// stopped is how long that is.
const stopped = 3 * time.Second

func TestNewMailIsListedByIDLE(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	s.Deliver(t, "INBOX", letter("first", 1_000))
	d := mountDovecot(t, s, "--poll", "10m")
	newMail(t, s, d)
}

func TestNewMailIsListedByThePollWithoutIDLE(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{Capabilities: "IMAP4rev1"})
	s.Deliver(t, "INBOX", letter("first", 1_000))
	d := mountDovecot(t, s, "--poll", "1s")
	newMail(t, s, d)
}

// newMail delivers, by APPEND since Dovecot tells of a Maildir only when it
// looks there, and expects it in listings and by name, where the kernel knew a
// miss. What it took is logged.
func newMail(t *testing.T, s *imaptest.Dovecot, d *daemon) {
	t.Helper()
	const limit = time.Minute // the other way of hearing of it is ten minutes away, or not offered
	if got := must(t, "ls", d.path("INBOX")); got != "1\n" {
		t.Fatalf("listed %q", got)
	}
	time.Sleep(500 * time.Millisecond) // IDLE has begun
	if _, err := os.Stat(d.path("INBOX", "2")); !os.IsNotExist(err) {
		t.Fatalf("stat of what is not there: %v", err)
	}
	appendTo(t, s, "INBOX", letter("new", 2_000))
	byName := waitFor(t, limit, "the new name", func() bool {
		_, err := os.Stat(d.path("INBOX", "2"))
		return err == nil
	})
	listed := waitFor(t, limit, "the new message in ls", func() bool {
		return must(t, "ls", d.path("INBOX")) == "1\n2\n"
	})
	if got, err := os.ReadFile(d.path("INBOX", "2")); err != nil || !bytes.Equal(got, letter("new", 2_000)) {
		t.Errorf("the new message reads %.60q, %v", got, err)
	}
	s.Doveadm("expunge", "-u", s.User, "mailbox", "INBOX", "uid", "1")
	gone := waitFor(t, limit, "the expunged name to vanish", func() bool {
		_, err := os.Stat(d.path("INBOX", "1"))
		return os.IsNotExist(err) && must(t, "ls", d.path("INBOX")) == "2\n"
	})
	s.Doveadm("flags", "add", "-u", s.User, `\Flagged`, "mailbox", "INBOX", "uid", "2")
	flagged := waitFor(t, limit, "the flag", func() bool {
		return strings.Contains(flagsOf(d.path("INBOX", "2")), "Flagged")
	})
	t.Logf("seen after: by name %v, in ls %v more, expunged %v, flagged %v", byName, listed, gone, flagged)
}

// appendTo stores a message as another client of the first user's.
func appendTo(t testing.TB, s *imaptest.Dovecot, mailbox string, text []byte) {
	t.Helper()
	f := t.TempDir() + "/message"
	if err := os.WriteFile(f, text, 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "sh", "-c", `doveadm -c "$1" save -u "$2" -m "$3" <"$4"`, "sh", s.Dir+"/dovecot.conf", s.User, mailbox, f)
}
