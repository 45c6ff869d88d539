package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
)

// ownRuntimeDir has the sockets of this test lie in a place of its own, which it returns.
func ownRuntimeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("TMPDIR", t.TempDir())
	return dir
}

// controlOf begins to answer for a mount, which is given.
func controlOf(t *testing.T, s subject) *control {
	t.Helper()
	if s.status == nil {
		s.status = func() report { return report{MountPoint: s.mountPoint, PID: os.Getpid()} }
	}
	if s.mounted == nil {
		s.mounted = func() bool { return true }
	}
	c, err := newControl(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func mountAtPoints(device string, points ...string) *mounted {
	return &mounted{device, os.Geteuid(), points}
}

// askStatus gives the mount point that the answer is about.
func askStatus(m *mounted) (string, error) {
	var answer []byte
	err := m.ask(context.Background(), http.MethodGet, "/status", nil, func(r io.Reader) (err error) {
		answer, err = io.ReadAll(r)
		return err
	})
	_, after, _ := strings.Cut(string(answer), `"mountpoint":"`)
	point, _, _ := strings.Cut(after, `"`)
	return point, err
}

func TestMountsAreToldApartByDevice(t *testing.T) {
	entry := func(minor int, point, options string) *mountinfo.Info {
		return &mountinfo.Info{Minor: minor, Mountpoint: point, VFSOptions: options}
	}
	got := byDevice([]*mountinfo.Info{
		entry(7, "/z", "rw,user_id=1000,group_id=0"),
		entry(8, "/left out", "rw,user_id=1001"),
		entry(9, "/a", "rw,user_id=1000"),
		entry(7, "/bound", "rw,user_id=1000,group_id=0"),
	}, func(e *mountinfo.Info) bool { owner, known := mountOwner(e); return known && owner == 1000 })
	want := []mounted{{"0:9", 1000, []string{"/a"}}, {"0:7", 1000, []string{"/z", "/bound"}}}
	if len(got) != len(want) || !reflect.DeepEqual(*got[0], want[0]) || !reflect.DeepEqual(*got[1], want[1]) {
		t.Errorf("%+v", got)
	}
	for _, options := range []string{"rw", "rw,user_id=", "rw,user_id=x"} {
		if _, known := mountOwner(entry(7, "/a", options)); known {
			t.Errorf("%q names a user", options)
		}
	}
}

func names(t *testing.T, dir string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func TestControlIsFoundByItsMountPoint(t *testing.T) {
	run := ownRuntimeDir(t)
	a := controlOf(t, subject{mountPoint: "/a", device: "0:7"})
	controlOf(t, subject{mountPoint: "/b", device: "0:8"})
	dir := filepath.Join(run, "imapfs")
	for name, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, filepath.Join(dir, a.name): os.ModeSocket | 0o600} {
		if st, err := os.Stat(name); err != nil || st.Mode() != want {
			t.Errorf("%s: mode %v, %v", name, st.Mode(), err)
		}
	}
	for _, point := range []string{"/a", "/b"} {
		device := map[string]string{"/a": "0:7", "/b": "0:8"}[point]
		if got, err := askStatus(mountAtPoints(device, point)); got != point || err != nil {
			t.Errorf("%s: answered for %q, %v", point, got, err)
		}
	}
	// Bound to another place, it is found by its first.
	if got, err := askStatus(mountAtPoints("0:7", "/elsewhere", "/a")); got != "/a" || err != nil {
		t.Errorf("answered for %q, %v", got, err)
	}
	// Another mount lies over it.
	if _, err := askStatus(mountAtPoints("0:9", "/a")); !errors.Is(err, errNoDaemon) {
		t.Errorf("another mount at its mount point: %v", err)
	}
	if _, err := askStatus(mountAtPoints("0:7", "/c")); !errors.Is(err, errNoDaemon) {
		t.Errorf("nobody there: %v", err)
	}
}

// A socket that has the name of another mount's, by whatever accident, says so.
func TestASocketOfAnotherMountIsNoticed(t *testing.T) {
	run := ownRuntimeDir(t)
	a := controlOf(t, subject{mountPoint: "/a", device: "0:7"})
	dir := filepath.Join(run, "imapfs")
	if err := os.Rename(filepath.Join(dir, a.name), filepath.Join(dir, socketName("/b"))); err != nil {
		t.Fatal(err)
	}
	if _, err := askStatus(mountAtPoints("0:7", "/b")); !errors.Is(err, errNoDaemon) {
		t.Errorf("%v", err)
	}
}

func TestControlWithdrawsWhenItsMountIsOutOfSight(t *testing.T) {
	run := ownRuntimeDir(t)
	controlOf(t, subject{mountPoint: "/a", device: "0:7", mounted: func() bool { return false }})
	if _, err := askStatus(mountAtPoints("0:7", "/a")); !errors.Is(err, errNoDaemon) {
		t.Errorf("%v", err)
	}
	for deadline := time.Now().Add(30 * time.Second); len(names(t, run)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is left", names(t, run))
		}
	}
}

// The next daemon at a mount point takes the name; the one before, which may serve
// the last users of a mount that is out of sight, does not take it away.
func TestTheNextDaemonTakesTheName(t *testing.T) {
	run := ownRuntimeDir(t)
	old := controlOf(t, subject{mountPoint: "/a", device: "0:7"})
	next := controlOf(t, subject{mountPoint: "/a", device: "0:8"})
	old.close()
	if got, err := askStatus(mountAtPoints("0:8", "/a")); got != "/a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	next.close()
	if left := names(t, run); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

// leaveSocket makes a socket that nobody listens at, as a killed daemon does.
func leaveSocket(t *testing.T, d *controlDir, name string, age time.Duration) {
	t.Helper()
	l, err := d.listen(name)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	then := time.Now().Add(-age)
	if err := os.Chtimes(d.entry(name), then, then); err != nil {
		t.Fatal(err)
	}
}

func TestSocketsOfDeadDaemonsAreRemoved(t *testing.T) {
	run := ownRuntimeDir(t)
	living := controlOf(t, subject{mountPoint: "/living", device: "0:1"})
	d := living.dir
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(d.entry(living.name), then, then); err != nil {
		t.Fatal(err)
	}
	leaveSocket(t, d, socketName("/dead"), time.Hour)
	leaveSocket(t, d, socketName("/begins just now"), 0)
	leaveSocket(t, d, socketName("/dead, mounted again"), time.Hour)
	leaveSocket(t, d, "of-another-program", time.Hour)
	for _, name := range []string{"file.sock", "file"} {
		if err := os.WriteFile(d.entry(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(d.entry(name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	again := controlOf(t, subject{mountPoint: "/dead, mounted again", device: "0:2"})
	left := names(t, filepath.Join(run, "imapfs"))
	want := map[string]bool{living.name: true, again.name: true, socketName("/begins just now"): true, "of-another-program": true, "file.sock": true, "file": true}
	for _, name := range left {
		if !want[name] {
			t.Errorf("%s is left", name)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("%v are gone", want)
	}
	if got, err := askStatus(mountAtPoints("0:2", "/dead, mounted again")); got == "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestThePathOfASocketMayBeLong(t *testing.T) {
	run := filepath.Join(ownRuntimeDir(t), strings.Repeat("long", 50))
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", run)
	controlOf(t, subject{mountPoint: "/a", device: "0:7"})
	if got, err := askStatus(mountAtPoints("0:7", "/a")); got != "/a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if len(names(t, filepath.Join(run, "imapfs"))) != 1 {
		t.Errorf("%q", names(t, run))
	}
}

// A directory of somebody else's, one that a link leads to, and one that is not
// there are passed over; one of ours is closed to others.
func TestOnlyADirectoryOfOurOwnIsTaken(t *testing.T) {
	run := ownRuntimeDir(t)
	t.Setenv("XDG_RUNTIME_DIR", "relative")
	for _, dir := range controlDirs(os.Geteuid()) {
		if !filepath.IsAbs(dir) {
			t.Errorf("%q is taken", dir)
		}
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(run, "is not there"))
	elsewhere := func(what string) {
		t.Helper()
		d, err := makeControlDir()
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		if strings.HasPrefix(d.path, run) {
			t.Errorf("%s is taken", what)
		}
	}
	elsewhere("what is not there")
	t.Setenv("XDG_RUNTIME_DIR", run)
	own := filepath.Join(run, "imapfs")
	if err := os.Symlink(t.TempDir(), own); err != nil {
		t.Fatal(err)
	}
	elsewhere("a link")
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(own, 0o700), os.Chmod(own, 0o777)); err != nil {
		t.Fatal(err)
	}
	d, err := makeControlDir()
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(own); d.path != own || err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%s has mode %v, %v", d.path, st.Mode(), err)
	}
	d.f.Close()
	if os.Geteuid() != 0 {
		return // who is not root can give nothing away
	}
	for _, path := range []string{own, run} {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		elsewhere("a directory of another user")
		if err := os.Chown(path, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// The modes keep others out; so does the socket itself.
func TestOtherUsersAreNotAnswered(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can be another user
	}
	// Not t.TempDir, which is closed to others on some machines.
	dir, err := os.MkdirTemp("/tmp", "imapfs-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(name, 0o777); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with l
		for {
			c, err := ofOurUser{l}.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	script := fmt.Sprintf("import os, socket\nfor uid in 0, 65534:\n os.setuid(uid); s = socket.socket(socket.AF_UNIX); s.connect(%q); print(uid, s.recv(9))", name)
	if got := must(t, "python3", "-c", script); got != "0 b'hello'\n65534 b''\n" {
		t.Errorf("answered: %q", got)
	}
}

func TestRefreshEndsWithWhoeverAsked(t *testing.T) {
	ownRuntimeDir(t)
	begun, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	c := controlOf(t, subject{mountPoint: "/a", device: "0:7", refresh: func(ctx context.Context) error {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	}})
	m := mountAtPoints("0:7", "/a")
	for _, who := range []string{"who asks", "the daemon"} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- m.ask(ctx, http.MethodPost, "/refresh", nil, func(r io.Reader) error {
				_, err := io.ReadAll(r)
				return err
			})
		}()
		<-begun
		if who == "who asks" {
			cancel()
		} else {
			c.close()
		}
		<-ended
		if err := <-done; who == "who asks" && err == nil {
			t.Error("interrupted without an error")
		}
		cancel()
	}
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	ownRuntimeDir(t)
	controlOf(t, subject{mountPoint: "/a", device: "0:7"})
	m := mountAtPoints("0:7", "/a")
	for _, r := range [][2]string{{http.MethodPost, "/status"}, {http.MethodGet, "/refresh"}, {http.MethodGet, "/"}} {
		err := m.ask(t.Context(), r[0], r[1], nil, func(io.Reader) error { return nil })
		if err == nil || errors.Is(err, errNoDaemon) || !strings.HasSuffix(err.Error(), ")") {
			t.Errorf("%v: %v", r, err)
		}
	}
	conn := m.dial("/a")
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 100_000) + "\r\n\r\n")); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if head, _ := io.ReadAll(io.LimitReader(conn, 1000)); strings.Contains(string(head), " 200 ") {
		t.Errorf("%q", head)
	}
}
