package fs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapfs/cache"
)

// The tests over a real mount start the test binary again to serve it: a
// process that opens files in its own mount waits for itself. The tests
// tell the serving process what the account does, a JSON line at a time.

const (
	daemonEnv   = "IMAPFS_TEST_MOUNT"
	noDeviceEnv = "IMAPFS_TEST_NO_DEVICE" // bazil answers each READ
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(daemonEnv); dir != "" {
		if err := daemonMain(dir); err != nil {
			fmt.Fprintln(os.Stderr, "daemon:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// An order is what a test wants of the account. Op says which fields count.
type order struct {
	Op    string
	Path  []string
	To    []string
	UID   cache.UID
	Last  cache.UID
	Text  []byte
	Size  int64
	Flags []string
	MS    int64
	Kind  cache.Kind
}

type answer struct {
	Err   string
	Value int64
}

func daemonMain(dir string) error {
	var o Options
	if err := json.Unmarshal([]byte(os.Getenv("IMAPFS_TEST_OPTIONS")), &o); err != nil {
		return err
	}
	var err error
	if o.lookEvery, err = time.ParseDuration(os.Getenv("IMAPFS_TEST_LOOKEVERY")); err != nil {
		return err
	}
	o.MountPoint = dir
	o.Umask = 0o077
	o.UID, o.GID = uint32(os.Getuid()), uint32(os.Getgid())
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a := newFakeAccount()
	s, err := mount(a, o)
	if err != nil {
		return err
	}
	if os.Getenv(noDeviceEnv) != "" {
		s.device.close()
		s.device = device{}
	}
	a.server.Store(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	ordered := make(chan struct{})
	go func() {
		defer close(ordered)
		readOrders(a, s)
	}()
	select {
	case err = <-served:
	case <-ordered:
		select {
		case err = <-served: // unmounted by the test
			break
		case <-time.After(100 * time.Millisecond):
			if err := s.Unmount(); err != nil {
				return err
			}
			err = <-served
		}
	}
	return errors.Join(err, goleak.Find(goleak.IgnoreAnyFunction("imapfs/fs.readOrders")))
}

// readOrders obeys until the test closes its end.
func readOrders(a *fakeAccount, s *Server) {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	fmt.Println(`{}`)
	for in.Scan() {
		var ord order
		var ans answer
		if err := json.Unmarshal(in.Bytes(), &ord); err != nil {
			ans.Err = err.Error()
		} else if ans.Value, err = obey(a, s, ord); err != nil {
			ans.Err = err.Error()
		}
		line, _ := json.Marshal(ans)
		fmt.Println(string(line))
	}
}

func obey(a *fakeAccount, s *Server, o order) (int64, error) {
	if o.Op == "remove" {
		a.remove(o.Path...)
		return 0, nil
	}
	if o.Op == "rename" {
		a.rename(o.Path, o.To)
		return 0, nil
	}
	if o.Op == "looks" {
		return a.looks.Load(), nil
	}
	if o.Op == "cpu" {
		var ru syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
		return ru.Utime.Nano() + ru.Stime.Nano(), err
	}
	if o.Op == "unmount" {
		return 0, s.Unmount()
	}
	if o.Op == "nodes" { // of slot 0
		s.generated.mu.Lock()
		defer s.generated.mu.Unlock()
		return int64(len(s.generated.nodes)), nil
	}
	if o.Op == "device" {
		if s.device.file == nil {
			return 0, errors.New("there is none")
		}
		return 0, nil
	}
	if o.Op == "readers" {
		return int64(s.readers.Load()), nil
	}
	m := a.mailbox(o.Path...)
	switch o.Op {
	case "mailbox":
	case "noselect":
		m.setup(func() { m.selectable = false })
	case "add":
		m.add(o.UID, o.Text, o.Size)
	case "late":
		m.add(o.UID, o.Text, o.Size)
		m.setup(func() { m.texts[o.UID].late = true })
	case "settle": // as a read-ahead does: the true size is learnt before anybody opens
		m.Open(context.Background(), m.validity, o.UID)
	case "many":
		m.addMany(o.UID, o.Last, o.Size)
	case "expunge":
		m.expunge(o.UID)
	case "flags":
		m.setFlags(o.UID, o.Flags...)
	case "flagsunheard":
		m.setFlagsUnheard(o.UID, o.Flags...)
	case "renew":
		m.renew(cache.UIDValidity(o.Size), o.UID, o.Last, func(uid cache.UID) []byte { return lettered(string(o.Text), uid, 300_000) })
	case "validity":
		m.setValidity(cache.UIDValidity(o.UID))
	case "slow": // texts
		m.setup(func() { m.textDelay = time.Duration(o.MS) * time.Millisecond })
	case "slowload":
		m.setup(func() { m.loadDelay = time.Duration(o.MS) * time.Millisecond })
	case "hang":
		m.setup(func() { m.hang = o.MS != 0 })
	case "hangread":
		m.setup(func() { m.hangRead = o.MS != 0 })
	case "stall": // TryOpen and TryView keep the goroutine that calls them
		go m.setup(func() { time.Sleep(time.Duration(o.MS) * time.Millisecond) })
	case "fail":
		m.setup(func() { m.textErr = m.kind(o.Kind) })
	case "failload":
		m.setup(func() { m.loadErr = m.kind(o.Kind) })
	case "sizesright":
		m.a.sizesRight.Store(true)
	case "opens":
		n := 0
		m.setup(func() { n = m.opens })
		return int64(n), nil
	default:
		return 0, errors.New("no such order: " + o.Op)
	}
	return 0, nil
}

func (m *fakeMailbox) kind(k cache.Kind) error {
	if k == 0 {
		return nil
	}
	return m.failure("test", 0, k, "the test wants it so")
}

// A daemon is a mount that another process serves.
type daemon struct {
	t      testing.TB
	dir    string
	device string // of the mount, major:minor
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	mu     sync.Mutex
	log    bytes.Buffer
	done   chan struct{}
}

// startDaemon mounts an empty account; the test fills it. At the end of the test
// it is unmounted, and must have ended cleanly with no goroutine left.
func startDaemon(t testing.TB, o Options) *daemon {
	t.Helper()
	needFUSE(t)
	d := &daemon{t: t, dir: t.TempDir(), done: make(chan struct{})}
	options, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	d.cmd = exec.Command(os.Args[0])
	d.cmd.Env = append(os.Environ(), daemonEnv+"="+d.dir, "IMAPFS_TEST_OPTIONS="+string(options),
		"IMAPFS_TEST_LOOKEVERY="+o.lookEvery.String())
	d.cmd.Stderr = d
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.out = bufio.NewScanner(out)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	if !d.out.Scan() {
		t.Fatalf("the mount did not start: %s", d.logged())
	}
	if m, err := findMount(d.dir); err == nil && m != nil {
		d.device = fmt.Sprintf("%d:%d", m.Major, m.Minor)
	}
	return d
}

// holders says who has the mount still: processes in whose mount namespace it is to be
// seen, and files of it that are open.
func (d *daemon) holders() string {
	var all []string
	for _, links := range []string{"/proc/[0-9]*/fd/*", "/proc/[0-9]*/cwd", "/proc/[0-9]*/root", "/proc/[0-9]*/exe"} {
		names, _ := filepath.Glob(links)
		for _, name := range names {
			if to, err := os.Readlink(name); err == nil && strings.HasPrefix(to, d.dir) {
				all = append(all, name+" is "+to)
			}
		}
	}
	tables, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, table := range tables {
		if t, err := os.ReadFile(table); err == nil && d.device != "" && bytes.Contains(t, []byte(" "+d.device+" ")) {
			all = append(all, table+" has it")
		}
	}
	return strings.Join(all, ", ")
}

func needFUSE(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.SkipNow()
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		t.Fatal("fusermount3 is missing: install fuse3 (make deps)")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Fatal("/dev/fuse is missing: install fuse3 (make deps)")
	}
}

// Write takes the daemon's log.
func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func (d *daemon) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

func (d *daemon) stop() {
	d.in.Close()
	ended := make(chan error, 1)
	go func() { ended <- d.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			d.t.Errorf("the serving process: %v\n%s", err, d.logged())
		}
	case <-time.After(20 * time.Second):
		holders := d.holders()
		d.cmd.Process.Signal(syscall.SIGQUIT)
		<-ended
		d.t.Errorf("the serving process did not end; who has the mount: %q\n%s", holders, d.logged())
	}
	if m, err := findMount(d.dir); err != nil || m != nil {
		exec.Command("fusermount3", "-u", "-z", d.dir).Run()
		d.t.Errorf("still mounted (%v)", err)
	}
}

// do gives an order and waits until it is done.
func (d *daemon) do(o order) int64 {
	d.t.Helper()
	line, err := json.Marshal(o)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		d.t.Fatalf("%v\n%s", err, d.logged())
	}
	var a answer
	if !d.out.Scan() {
		d.t.Fatalf("the serving process has gone:\n%s", d.logged())
	}
	if err := json.Unmarshal(d.out.Bytes(), &a); err != nil || a.Err != "" {
		d.t.Fatalf("%s: %v %s", o.Op, err, a.Err)
	}
	return a.Value
}

func (d *daemon) add(box string, uid cache.UID, text string) {
	d.t.Helper()
	d.do(order{Op: "add", Path: strings.Split(box, "/"), UID: uid, Text: []byte(text), Size: -1})
}

func (d *daemon) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// sh runs a shell command in the mount and gives its output and error.
func (d *daemon) sh(script string) (string, error) {
	d.t.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "MNT="+d.dir, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is sh for what is to succeed.
func (d *daemon) must(script string) string {
	d.t.Helper()
	out, err := d.sh(script)
	if err != nil {
		d.t.Fatalf("%s: %v\n%s%s", script, err, out, d.logged())
	}
	return out
}

// eventuallyLong is eventually for a busy machine.
func eventuallyLong(t *testing.T, get func() string, ok func(string) bool) {
	t.Helper()
	var got string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = get(); ok(got) {
			return
		}
	}
	t.Fatalf("after 30 s: %s", got)
}

// eventually waits for news to arrive: the kernel is told behind the change.
func eventually(t *testing.T, get func() string, ok func(string) bool) {
	t.Helper()
	var got string
	for range 100 {
		if got = get(); ok(got) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("after a second: %s", got)
}
