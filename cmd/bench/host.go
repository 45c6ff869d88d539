package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"imapfs/imapconn/imaptest"
)

// A host is where a run takes place: it is imaptest.TB, whose Fatal ends the run by
// a panic, so that what was started is stopped.
type host struct {
	dir      string
	cleanups []func()
}

type fatal struct{ error }

func (h *host) Helper()           {}
func (h *host) Fatal(args ...any) { panic(fatal{errors.New(fmt.Sprint(args...))}) }
func (h *host) Fatalf(format string, args ...any) {
	panic(fatal{fmt.Errorf(format, args...)})
}
func (h *host) Errorf(format string, args ...any) { h.Fatalf(format, args...) }
func (h *host) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (h *host) Cleanup(f func())                  { h.cleanups = append(h.cleanups, f) }

func (h *host) must(err error) {
	if err != nil {
		h.Fatal(err)
	}
}

// close undoes, last first.
func (h *host) close() {
	for i := len(h.cleanups) - 1; i >= 0; i-- {
		h.cleanups[i]()
	}
}

// path makes a directory of the run's.
func (h *host) path(elem ...string) string {
	p := filepath.Join(append([]string{h.dir}, elem...)...)
	h.must(os.MkdirAll(p, 0o700))
	return p
}

// run runs a command; exit statuses up to ok are no failure (grep has 1). It gives the wall time.
func (h *host) run(ok int, name string, args ...string) time.Duration {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() >= 0 && exit.ExitCode() <= ok {
		err = nil
	}
	if err != nil {
		h.Fatalf("%s %s: %v: %.500s", name, strings.Join(args, " "), err, said.String())
	}
	return took
}

// forget has the kernel drop what it keeps of files.
func (h *host) forget() {
	h.must(os.WriteFile("/proc/sys/vm/drop_caches", []byte("2\n"), 0))
}

// A mount is an imapfs of the run's.
type mount struct {
	h       *host
	dir     string
	process *os.Process
	proxy   *imaptest.Proxy
	binary  string
}

// mounted starts an imapfs and waits until it serves.
func (h *host) mounted(binary string, d *imaptest.Dovecot, p *imaptest.Proxy, flags ...string) *mount {
	return h.mountedAs(binary, d.User, d.Password, p, flags...)
}

func (h *host) mountedAs(binary, user, password string, p *imaptest.Proxy, flags ...string) *mount {
	m := &mount{h: h, dir: h.path("mnt"), proxy: p, binary: binary}
	args := append([]string{"mount", "-f", "--tls", "none"}, flags...)
	cmd := exec.Command(binary, append(args, "imap://"+user+"@"+p.Addr+"/", m.dir)...)
	cmd.Env = h.environment(password)
	log, err := os.Create(filepath.Join(h.dir, "imapfs.log"))
	h.must(err)
	defer log.Close()
	cmd.Stderr = log
	h.must(cmd.Start())
	m.process = cmd.Process
	h.awaitMount(m.dir)
	return m
}

func (h *host) environment(password string) []string {
	return append(os.Environ(), "XDG_STATE_HOME="+h.path("state"), "XDG_RUNTIME_DIR="+h.path("run"), "IMAPFS_PASSWORD="+password)
}

const mountLimit = time.Minute

func (h *host) awaitMount(dir string) {
	for end := time.Now().Add(mountLimit); ; time.Sleep(5 * time.Millisecond) {
		table, err := os.ReadFile("/proc/self/mounts")
		h.must(err)
		switch {
		case strings.Contains(string(table), " "+dir+" fuse"):
			return
		case time.Now().After(end):
			said, _ := os.ReadFile(filepath.Join(h.dir, "imapfs.log"))
			h.Fatalf("%s is not mounted: %s", dir, said)
		}
	}
}

func (m *mount) close() {
	m.h.run(0, "fusermount3", "-u", m.dir)
	m.process.Wait()
}

func (m *mount) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

// requests asks the daemon how many requests of the kernel's it has read.
func (m *mount) requests() int64 {
	cmd := exec.Command(m.binary, "status", "--json", m.dir)
	cmd.Env = m.h.environment("")
	out, err := cmd.Output()
	m.h.must(err)
	var status struct{ Requests int64 }
	m.h.must(json.Unmarshal(out, &status))
	return status.Requests
}

// A sample is what a piece of work has cost.
type sample struct {
	wall, cpu time.Duration // cpu: of the daemon, or of the process measured
	turns     int64         // round trips, about
	down      int64         // octets from the server
	lines     int64         // commands to it
	requests  int64         // of the kernel to the daemon
	rss       int64         // octets, the most there was
}

// measure does a piece of work in the mount.
func (m *mount) measure(work func() time.Duration) sample {
	cpu, requests := cpuOf(m.h, m.process.Pid), m.requests()
	m.proxy.Reset()
	var s sample
	s.wall = work()
	c := m.proxy.Counters()
	s.turns, s.down, s.lines = c.Turns, c.Down, c.Lines
	s.cpu = cpuOf(m.h, m.process.Pid) - cpu
	s.requests = m.requests() - requests
	s.rss = statusOf(m.h, m.process.Pid, "VmHWM")
	return s
}

// cpuOf is the user and system time of a process so far (proc(5)).
func cpuOf(h *host, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	h.must(err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick
}

// statusOf gives a line of /proc/PID/status, in octets.
func statusOf(h *host, pid int, name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	h.must(err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	h.Fatalf("no %s of process %d", name, pid)
	return 0
}
