package main

import (
	"bytes"
	"os"
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
// only an answer to the kernel's INTERRUPT lets it go.
const impatient = `
import signal, sys
def stop(*_): raise SystemExit(130)
signal.signal(signal.SIGINT, stop)
print("reading", flush=True)
open(sys.argv[1], "rb").read()
`

func TestABlackHoleEndsAtTheDeadlineAndCtrlCAtOnce(t *testing.T) {
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	for i := range 6 {
		s.Deliver(t, "INBOX", letter("message "+strconv.Itoa(i), 200_000))
	}
	const timeout = 4 * time.Second
	d, p := throughProxy(t, s, "--timeout", timeout.String())
	must(t, "cat", d.path("INBOX", "1"))
	must(t, "ls", "-l", d.path("INBOX"))
	p.Stall(true)

	cat := startProgram(t, "cat", d.path("INBOX", "2"))
	for name, reader := range map[string]*program{
		"cat":    startProgram(t, "cat", d.path("INBOX", "3")),
		"python": startProgram(t, "python3", "-c", impatient, d.path("INBOX", "4")),
	} {
		time.Sleep(700 * time.Millisecond) // it is in the kernel by now
		interrupted := time.Now()
		reader.cmd.Process.Signal(syscall.SIGINT)
		r := reader.wait(t, 30*time.Second)
		if took := time.Since(interrupted); took > time.Second || r.status == 0 {
			t.Errorf("%s ended %v after SIGINT, with status %d", name, took, r.status)
		}
	}
	if got := must(t, "cat", d.path("INBOX", "1")); got != string(letter("message 0", 200_000)) {
		t.Error("what was read before cannot be read in a black hole")
	}
	r := cat.wait(t, 60*time.Second)
	if r.status != 1 || !strings.Contains(r.stderr, "timed out") {
		t.Errorf("cat in a black hole: status %d, %s", r.status, r.stderr)
	}
	if r.took < timeout-500*time.Millisecond || r.took > timeout+timeout/2 {
		t.Errorf("cat ended after %v, the deadline being %v", r.took, timeout)
	}

	p.Stall(false)
	p.Cut()
	if got := must(t, "cat", d.path("INBOX", "2")); got != string(letter("message 1", 200_000)) {
		t.Error("after the black hole the text is another")
	}
}

func TestNewMailIsListedByIDLE(t *testing.T) {
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	s.Deliver(t, "INBOX", letter("first", 1_000))
	d := mountDovecot(t, s, "--poll", "10m")
	newMail(t, s, d, 3*time.Second)
}

func TestNewMailIsListedByThePollWithoutIDLE(t *testing.T) {
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{Capabilities: "IMAP4rev1"})
	s.Deliver(t, "INBOX", letter("first", 1_000))
	d := mountDovecot(t, s, "--poll", "1s")
	newMail(t, s, d, 6*time.Second)
}

// newMail delivers, by APPEND since Dovecot tells of a Maildir only when it
// looks there, and expects it in listings and by name, where the kernel knew a
// miss. The bound is for machines that are busy; what it took is logged.
func newMail(t *testing.T, s *imaptest.Dovecot, d *daemon, limit time.Duration) {
	t.Helper()
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
