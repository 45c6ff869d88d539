package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// statusOf is what imapfs status --json says of a mount.
func statusOf(t testing.TB, d *daemon) report {
	t.Helper()
	var r report
	if err := json.Unmarshal([]byte(must(t, "imapfs", "status", "--json", d.dir)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// untilListed waits until ls gives these names.
func untilListed(t testing.TB, dir, want string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := strings.Join(strings.Fields(must(t, "ls", dir)), " ")
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s lists %q, want %q", dir, got, want)
		}
	}
}

// A server that tells of nothing, and a poll that is far away: only a refresh, and
// only SIGHUP, show what another client has done. Dovecot without these extensions
// is asked by the clock alone.
func TestARefreshShowsWhatOthersHaveDone(t *testing.T) {
	needServers(t)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	s.Deliver(t, "INBOX", letter("one", 1_000))
	filter := imaptest.NewFilter(t, s.Addr, imaptest.FilterOptions{Hide: []string{"IDLE", "NOTIFY"}})
	d := mountPlain(t, filter.Addr, s.User, s.Password, "--poll", "10m")
	untilListed(t, d.path("INBOX"), "1")
	if r := statusOf(t, d); r.PID != d.cmd.Process.Pid || len(r.Mailboxes) != 1 || r.Mailboxes[0].By != "poll" || !r.Mailboxes[0].Fresh {
		t.Errorf("%+v", r)
	}

	s.Deliver(t, "INBOX", letter("two", 1_000))
	s.Doveadm("mailbox", "create", "-u", s.User, "Made elsewhere")
	if got := must(t, "ls", d.path("INBOX")); got != "1\n" {
		t.Fatalf("%q is listed before anybody can know", got)
	}
	before := statusOf(t, d)
	must(t, "imapfs", "refresh", d.dir)
	after := statusOf(t, d)
	if m := after.Mailboxes[0]; m.Messages != 2 || !m.Checked.After(before.Time) || !after.Tree.Checked.After(before.Time) || after.Tree.Mailboxes <= before.Tree.Mailboxes {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	untilListed(t, d.path("INBOX"), "1 2") // the kernel hears of it just behind
	must(t, "ls", d.path("Made elsewhere"))

	s.Deliver(t, "INBOX", letter("three", 1_000))
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	untilListed(t, d.path("INBOX"), "1 2 3")
}

// TestStatusBesideReaders asks again and again while grep reads, connections end and
// all is looked at anew: every answer is whole, and none goes back.
func TestStatusBesideReaders(t *testing.T) {
	needServers(t)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	var texts [][]byte
	for i := range 20 {
		texts = append(texts, letter(fmt.Sprintf("letter %d", i), 100_000))
	}
	s.Deliver(t, "INBOX", texts...)
	d, p := throughProxy(t, s)
	var group sync.WaitGroup
	over := make(chan struct{})
	group.Go(func() {
		defer close(over)
		if r := run(t, "grep", "-rc", "letter", d.dir); r.status != 0 {
			t.Errorf("grep: %s", r.stderr)
		}
		p.Cut()
		if r := run(t, "imapfs", "refresh", d.dir); r.status != 0 {
			t.Errorf("refresh: %s", r.stderr)
		}
	})
	var in int64
	for asked := 0; ; asked++ {
		r := statusOf(t, d)
		if r.In < in {
			t.Errorf("%d octets, then %d", in, r.In)
		}
		in = r.In
		select {
		case <-over:
			group.Wait()
			if in < 2_000_000 || asked == 0 {
				t.Errorf("%d octets came, asked %d times", in, asked)
			}
			return
		default:
		}
	}
}
