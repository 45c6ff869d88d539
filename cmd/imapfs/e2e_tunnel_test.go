package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// imapOf is the command that speaks IMAP for the first user, logged in already, as
// `ssh host doveadm exec imap` would. Each one that runs has a file in pids, with its
// number, and a child that would stay.
func imapOf(s *imaptest.Dovecot, pids string) string {
	return fmt.Sprintf("echo $$ >%[1]s/$$; echo a banner >&2; sleep 1000 & "+
		"exec setpriv --reuid dovecot --regid dovecot --clear-groups env USER=%[2]s HOME=%[3]s/mail/%[2]s /usr/lib/dovecot/imap -c %[3]s/dovecot.conf",
		pids, s.User, s.Dir)
}

// groups are the process groups of the commands that have run, and those that still have
// a process that is no zombie.
func groups(t *testing.T, pids string) (all, alive []string) {
	t.Helper()
	files, err := os.ReadDir(pids)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	living := make(map[string]bool)
	for _, name := range stats {
		text, _ := os.ReadFile(name) // it may have gone
		if f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])); len(f) > 2 && f[0] != "Z" {
			living[f[2]] = true
		}
	}
	for _, f := range files {
		all = append(all, f.Name())
		if living[f.Name()] {
			alive = append(alive, f.Name())
		}
	}
	return all, alive
}

// TestATunnelIsAConnection mounts over a command that is logged in already: without a
// password, with one command for each connection, all of which ends with it.
func TestATunnelIsAConnection(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
	one, two := letter("one", 1_000), letter("two", 100_000)
	s.Deliver(t, "INBOX", one, two)
	pids, mnt, home := t.TempDir(), t.TempDir(), t.TempDir()
	trace := filepath.Join(home, "trace")
	must(t, "env", "-u", passwordVar, "XDG_STATE_HOME="+home, "imapfs", "mount", "--tunnel", imapOf(s, pids), "--trace", trace,
		"imap://"+s.User+"@mail.invalid/", mnt)
	unmounted := false
	t.Cleanup(func() {
		if !unmounted {
			run(t, "imapfs", "unmount", mnt)
		}
	})
	if got := must(t, "cat", filepath.Join(mnt, "INBOX", "1")); got != string(one) {
		t.Errorf("%d octets of %d", len(got), len(one))
	}
	first, alive := groups(t, pids)
	if len(first) == 0 || len(alive) == 0 {
		t.Fatalf("commands %v, of which run %v", first, alive)
	}
	// The server dies; its child holds the connection open, and must not be let.
	for _, pid := range alive {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(n, syscall.SIGKILL)
	}
	if got := must(t, "cat", filepath.Join(mnt, "INBOX", "2")); got != string(two) {
		t.Errorf("%d octets of %d", len(got), len(two))
	}
	all, alive := groups(t, pids)
	if len(all) <= len(first) {
		t.Error("no command was started for the next connection")
	}
	old := func(pid string) bool { return slices.Contains(first, pid) }
	for deadline := time.Now().Add(time.Minute); slices.ContainsFunc(alive, old); time.Sleep(10 * time.Millisecond) {
		if _, alive = groups(t, pids); time.Now().After(deadline) {
			t.Fatalf("of the commands %v, whose server has died, runs something on: %v", first, alive)
		}
	}
	must(t, "imapfs", "unmount", mnt)
	unmounted = true
	for deadline := time.Now().Add(time.Minute); len(alive) > 0; time.Sleep(10 * time.Millisecond) {
		if _, alive = groups(t, pids); time.Now().After(deadline) {
			t.Fatalf("commands that outlive the mount: %v", alive)
		}
	}
	log, err := os.ReadFile(filepath.Join(home, "imapfs", s.User+"@mail.invalid.log"))
	if err != nil || !strings.Contains(string(log), `the --tunnel command says" line="a banner"`) {
		t.Errorf("the log has not what the command says: %v\n%s", err, log)
	}
	// What asks the account without a mount goes the same way.
	var report struct {
		TLS   any                        `json:"tls"`
		Login struct{ Mechanism string } `json:"login"`
	}
	said := must(t, "env", "-u", passwordVar, "imapfs", "check", "--json", "--tunnel", imapOf(s, pids), "imap://"+s.User+"@mail.invalid/")
	if err := json.Unmarshal([]byte(said), &report); err != nil || report.TLS != nil || report.Login.Mechanism != "" {
		t.Errorf("%v: %s", err, said)
	}
	if _, alive := groups(t, pids); len(alive) > 0 {
		t.Errorf("commands that outlive the check: %v", alive)
	}
	if said, err := os.ReadFile(trace); err != nil || !strings.Contains(string(said), "PREAUTH") || strings.Contains(string(said), "LOGIN ") {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestATunnelThatDoesNotLeadAnywhereSaysWhy: each command ends the mount with one line.
func TestATunnelThatDoesNotLeadAnywhereSaysWhy(t *testing.T) {
	t.Parallel()
	needServers(t)
	for name, test := range map[string]struct {
		flags []string
		want  string
	}{
		"it fails": {[]string{"--tunnel", "echo a banner >&2; echo Could not resolve hostname >&2; exit 255"},
			"the --tunnel command has failed: exit status 255: Could not resolve hostname"},
		"there is none":   {[]string{"--tunnel", "no-such-program"}, "the --tunnel command has failed: exit status 127: "},
		"it says nothing": {[]string{"--tunnel", "exit 0"}, "server closed the connection"},
		"it wants a login": {[]string{"--tunnel", "echo '* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi'; cat >/dev/null"},
			"server wants a password, and there is none (use --password-command, --password-file or --keyring)"},
		"logged in before TLS": {[]string{"--tls", "starttls", "--tunnel", "echo '* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] in'; cat >/dev/null"},
			"server has logged us in before STARTTLS"},
		"no TLS inside": {[]string{"--tls", "implicit", "--tunnel", "echo '* PREAUTH [CAPABILITY IMAP4rev1] in'; cat >/dev/null"},
			"server does not speak TLS on this port"},
		"silence": {[]string{"--timeout", "300ms", "--tunnel", "exec sleep 1000"}, "no answer for 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mnt := t.TempDir()
			args := append([]string{"-u", passwordVar, "XDG_STATE_HOME=" + t.TempDir(), "imapfs", "mount"}, test.flags...)
			r := run(t, "env", append(args, "imap://alice@mail.invalid/", mnt)...)
			if r.status != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, test.want) || isMounted(t, mnt) {
				t.Errorf("status %d: %s", r.status, r.stderr)
			}
		})
	}
}
