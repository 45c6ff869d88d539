package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
)

// The end-to-end tests run the command as a person does: the daemon is another
// process, the mount is the kernel's, the readers are the programs people use,
// and the judge is never imapfs itself.

// daemon is one `imapfs mount -f` and the directory it serves.
type daemon struct {
	dir  string
	home string // holds the log; a private $XDG_STATE_HOME
	cmd  *exec.Cmd
	errs *bytes.Buffer // what it wrote to stderr; read only after stop
	done chan struct{}
}

// mountURL mounts url at a fresh directory and waits until the kernel shows it.
// The daemon is stopped when the test ends.
func mountURL(t testing.TB, url, password string, flags ...string) *daemon {
	t.Helper()
	return mountAt(t, t.TempDir(), url, password, flags...)
}

func mountAt(t testing.TB, dir, url, password string, flags ...string) *daemon {
	t.Helper()
	d := startMount(t, dir, t.TempDir(), url, password, flags...)
	t.Cleanup(func() { d.stop(t) })
	return d
}

// startMount is mountAt for who stops the daemon himself.
func startMount(t testing.TB, dir, home, url, password string, flags ...string) *daemon {
	t.Helper()
	d := &daemon{dir: dir, home: home, errs: new(bytes.Buffer), done: make(chan struct{})}
	args := append([]string{"mount", "--foreground"}, flags...)
	d.cmd = exec.Command("imapfs", append(args, url, dir)...)
	d.cmd.Env = append(os.Environ(), "IMAPFS_PASSWORD="+password, "XDG_STATE_HOME="+d.home)
	d.cmd.Stderr = d.errs
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.cmd.Wait()
		close(d.done)
	}()
	deadline := time.Now().Add(20 * time.Second)
	for !isMounted(t, dir) {
		select {
		case <-d.done:
			t.Fatalf("imapfs mount ended: %s", d.errs)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("not mounted after 20 s")
		}
	}
	return d
}

func isMounted(t testing.TB, dir string) bool {
	t.Helper()
	m, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	return len(m) > 0
}

// stop ends the daemon as a person would, and fails the test where it had to
// be killed or left its mount behind. A second call does nothing.
func (d *daemon) stop(t testing.TB) {
	t.Helper()
	select {
	case <-d.done:
	default:
		d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(15 * time.Second):
			t.Errorf("the daemon did not end on SIGTERM")
			d.cmd.Process.Signal(syscall.SIGQUIT)
			<-time.After(time.Second)
			d.cmd.Process.Kill()
			<-d.done
			t.Logf("its last words: %s", tail(d.errs.String(), 20_000))
		}
	}
	if isMounted(t, d.dir) {
		t.Errorf("%s is still mounted", d.dir)
		exec.Command("fusermount3", "-uz", d.dir).Run()
	}
	if strings.Contains(d.errs.String(), "DATA RACE") || strings.Contains(d.errs.String(), "panic:") {
		t.Errorf("the daemon said: %s", tail(d.errs.String(), 20_000))
	}
}

// cpu is the daemon's user and system time so far.
func (d *daemon) cpu(t testing.TB) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	// Fields 14 and 15, counted after the parenthesised name; proc(5), in ticks of 10 ms.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func (d *daemon) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// result is what a program left behind.
type result struct {
	stdout, stderr string
	status         int
	took           time.Duration
}

// runWithin runs a program and fails the test where it is not over in time:
// a hang is a finding, not a timeout of the test binary.
func runWithin(t testing.TB, limit time.Duration, name string, args ...string) result {
	t.Helper()
	p := startProgram(t, name, args...)
	return p.wait(t, limit)
}

// run is runWithin for what has no reason to be slow.
func run(t testing.TB, name string, args ...string) result {
	t.Helper()
	return runWithin(t, 2*time.Minute, name, args...)
}

// must is run for what has to succeed; it returns the standard output.
func must(t testing.TB, name string, args ...string) string {
	t.Helper()
	r := run(t, name, args...)
	if r.status != 0 {
		t.Fatalf("%s %s: status %d: %s", name, strings.Join(args, " "), r.status, r.stderr)
	}
	return r.stdout
}

type program struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	began          time.Time
	done           chan error
}

func startProgram(t testing.TB, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...), began: time.Now(), done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%v (make deps installs what the tests run)", err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p
}

func (p *program) wait(t testing.TB, limit time.Duration) result {
	t.Helper()
	select {
	case err := <-p.done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return result{p.stdout.String(), p.stderr.String(), p.cmd.ProcessState.ExitCode(), time.Since(p.began)}
	case <-time.After(limit - time.Since(p.began)):
		p.cmd.Process.Kill()
		t.Fatalf("%s did not end within %v", strings.Join(p.cmd.Args, " "), limit)
		panic("unreachable")
	}
}
