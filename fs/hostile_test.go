package fs

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"bazil.org/fuse"

	"imapfs/cache"
	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

const (
	hostileTimeout = 2 * time.Second  // of a request, by the bubble's clock
	hostileReal    = 60 * time.Second // of a whole run, by the true one
	hostileDirs    = 12               // visited in one walk
)

// FuzzHostileServer has a server that a program drives (imaptest.Hostile) serve an
// account that is mounted, but for the kernel: everything is listed, looked up,
// opened and read, twice, with a poll and an IDLE between. Whatever the server
// does, each request ends inside its deadline with an errno or without; nothing is
// listed that could not be a file's name; no text is found under another name than
// the one that it was sent under; the account closes, no goroutine is left, memory
// is taken in proportion to what the server has sent, and it is not connected to
// again and again. Time is the bubble's, so that a run takes none.
func FuzzHostileServer(f *testing.F) {
	for _, program := range hostilePrograms {
		f.Add([]byte(program))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 4096 {
			t.Skip("long programs say nothing new")
		}
		stop := watchdog(t, hostileReal)
		defer stop()
		before := allocated()
		h, lasted := hostileRun(t, program)
		sent, connections := h.Written()
		if float64(connections) > hostileConnections+hostileRate*lasted.Seconds() {
			t.Errorf("%d connections were made in %v", connections, lasted)
		}
		if took := int64(allocated() - before); took > hostileAllowance+hostileFactor*sent+hostileConnection*int64(connections) {
			t.Errorf("%d octets of memory were taken for %d of the server's, over %d connections", took, sent, connections)
		}
	})
}

// What a run may allocate, in octets, all in all: beside the buffers of its
// connections, a multiple of what was sent.
const (
	hostileAllowance  = 32 << 20
	hostileConnection = 256 << 10
	hostileFactor     = 64
)

// How often it may connect: at first, and for each second of the bubble's. A server
// that hangs up is tried again with pauses that double, for each of who wait.
const (
	hostileConnections = 300
	hostileRate        = 50
)

// hostileRun plays a program in a bubble, which ends when every goroutine has, and
// says how long that lasted by the bubble's clock.
func hostileRun(t *testing.T, program []byte) (h *imaptest.Hostile, lasted time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		h = imaptest.NewHostile(program)
		defer h.Close()
		hostileSession(t, h)
		lasted = time.Since(begun)
	})
	return h, lasted
}

// hostilePrograms are seeds: an honest server first, then one misdeed each.
var hostilePrograms = []string{
	"", "\x01", "\x00\x00\x0b\x05", "\x03\x00", "\x00\x00\x00\x00\x01\x00\x05\x00\x00\x0f\x00\x05\x05", "\x00\x0e\x00\x01\x00\x0e\x02\x05\x00",
	"\x00\x00\x00\x0e\x00\x02\x00\x13\x01\x06\x3f\x00\x0f\x01\x02\x05\x05\x00", "\x01\x00\x00\x00\x00\x00\x00\x00", "\x0c\x00\x00\x00\x00\x00",
	"\x00\x00\x00\x00\x00\x00\x0b\x20\xff\x00\x00\x00\x0d\xff\x11\x02\x00", "\x00\x00\x00\x00\x00\x00\x00\x0f\x00\x05\x00\x0f\x05\x00\x05\x00",
	// With QRESYNC, and with CONDSTORE: honest, then with changes between one
	// connection and the next, then with a lie at the EXAMINE that asks for them.
	"\x04\x00\x00\x04", "\x03\x00\x00\x03",
	qresyncHello + "\x00\x00\x00\x00\x00\x00\x0b\x01\xff" + qresyncHello + "\x0f\x00\x01\x00\x0f\x00\xfe\x00\x0f\x00\x00\x00\x00\x00\x00\x00\x00\x0b\x01",
	"\x03" + qresyncHello[1:3] + "\x03" + qresyncHello[4:] + "\x00\x00\x00\x00\x00\x00\x0b\x01\xff\x03" + qresyncHello[1:3] + "\x03" + qresyncHello[4:] + "\x0f\x00\x01\x00\x0f\x00\xfe\x00\x00\x00\x00\x00\x0b\x01",
	qresyncHello + "\x00\x00\x00\x00\x00\x00\x0b\x01\xff" + qresyncHello + "\x0f\x00\x01\x00\x01\x05\xfd\x01\x05\xfc\x00\x00\x00\x0b\x01",
}

// qresyncHello is an honest connection up to where it is logged in.
const qresyncHello = "\x04\x00\x00\x04\x00\x00\x00\x00"

// watchdog ends a run that takes too long by the true clock, saying where it is.
func watchdog(t *testing.T, limit time.Duration) (stop func()) {
	timer := time.AfterFunc(limit, func() {
		debug.SetTraceback("all")
		panic("the run does not end: " + t.Name())
	})
	return func() { timer.Stop() }
}

// allocated is how many octets were ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func hostileSession(t *testing.T, h *imaptest.Hostile) {
	d := &imapconn.Dialer{
		Host: "hostile", TLS: imapconn.TLSNone, Timeout: hostileTimeout, DialContext: h.Dial,
		Credentials: func(context.Context) (imapconn.Credentials, error) {
			return imapconn.Credentials{User: "u", Password: "p"}, nil
		},
	}
	cfg := cache.Config{Dial: d.Dial, CacheBytes: 4 << 20, Timeout: hostileTimeout, Poll: 5 * time.Second, Connections: 3, Logger: slog.New(slog.DiscardHandler)}
	if os.Getenv("TRACE") != "" {
		d.Trace = os.Stderr
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	w := &hostileWalk{t: t, h: h}
	var a *cache.Account
	var err error
	w.within("open", 10*time.Second, func(context.Context) error {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // and the time of a goodbye
		defer cancel()
		a, err = cache.Open(ctx, cfg)
		return nil
	})
	if err != nil {
		w.plain("open", err)
		return
	}
	s, err := newServer(cacheAccount{a}, Options{Logger: cfg.Logger})
	if err != nil {
		t.Fatal(err)
	}
	s.kernel, s.ctx = &toldKernel{}, t.Context()
	a.Observe(observer{s})
	w.s = s
	w.all()
	time.Sleep(12 * time.Second) // polls, and IDLE
	w.all()
	w.within("close", 2*hostileTimeout+3*time.Second, func(context.Context) error { return a.Close() })
	s.waits.close()
	s.notifiers.close()
}

// hostileWalk is one reading of everything that is shown.
type hostileWalk struct {
	t    *testing.T
	h    *imaptest.Hostile
	s    *Server
	dirs int
}

// within runs a request and holds it to its deadline.
func (w *hostileWalk) within(what string, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begun := time.Now()
	err := f(ctx)
	if took := time.Since(begun); took > limit+100*time.Millisecond {
		w.t.Errorf("%s took %v of %v", what, took, limit)
	}
	if err != nil {
		w.typed(what, err)
	}
	return err
}

// typed sees to it that an error has an errno, and a text for one line.
func (w *hostileWalk) typed(what string, err error) {
	var known *cache.Error
	var errno syscall.Errno
	if !errors.As(err, &known) && !errors.As(err, &errno) {
		w.t.Errorf("%s: %T %v has no errno", what, err, err)
	}
	if known != nil && cache.KindOf(err) == 0 {
		w.t.Errorf("%s: %v has no kind", what, err)
	}
	w.plain(what, err)
}

// plain sees to it that an error can be shown on a terminal.
func (w *hostileWalk) plain(what string, err error) {
	text := err.Error()
	if len(text) > 4<<10 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		w.t.Errorf("%s: not fit for a terminal: %.300q", what, text)
	}
}

// all walks from the root.
func (w *hostileWalk) all() {
	w.dirs = 0
	w.directory(fuse.RootID)
	w.s.statfs()
}

func (w *hostileWalk) directory(id fuse.NodeID) {
	if w.dirs++; w.dirs > hostileDirs {
		return
	}
	if err := w.request("opendir", func(ctx context.Context) error { _, err := w.s.opendir(ctx, id); return err }); err != nil {
		return
	}
	entries := w.entries(id)
	for i, e := range entries {
		if e.name == "." || e.name == ".." {
			continue
		}
		if i > 4 && i < len(entries)-6 && e.typ == direntFile {
			continue
		}
		var r fuse.LookupResponse
		if w.request("lookup", func(context.Context) (err error) { r, err = w.s.lookup(id, e.name); return err }) != nil || r.Node == 0 {
			continue // it went meanwhile
		}
		if e.typ == direntDir {
			w.directory(r.Node)
		} else {
			w.file(r.Node)
		}
	}
}

// request is a request of the kernel.
func (w *hostileWalk) request(what string, f func(context.Context) error) error {
	return w.within(what, hostileTimeout, func(ctx context.Context) error {
		if err := f(ctx); err != errWait {
			return err
		}
		return syscall.EAGAIN // as after a load that was overtaken by a new UIDVALIDITY
	})
}

// entries lists a directory, a little at a time.
func (w *hostileWalk) entries(id fuse.NodeID) []dirent {
	var all []dirent
	seen := make(map[string]bool)
	off := int64(0)
	for range 100 {
		l, err := w.s.readdir(id, off, 4096, nil)
		if err != nil {
			if err != errWait {
				w.typed("readdir", err)
			}
			return nil
		}
		page := parseDirents(l.data)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if e.name == "" || len(e.name) > maxName || strings.ContainsFunc(e.name, func(r rune) bool { return r == '/' || unicode.IsControl(r) }) {
				w.t.Errorf("listed: %q", e.name)
			}
			if seen[e.name] {
				w.t.Errorf("listed twice: %q", e.name)
			}
			seen[e.name] = true
		}
		all = append(all, page...)
		off = int64(page[len(page)-1].off)
	}
	return all
}

// file opens a message and reads it: all of a small one, the ends of a large one.
func (w *hostileWalk) file(id fuse.NodeID) {
	if w.request("open", func(ctx context.Context) error { _, err := w.s.openWait(ctx, id, fuse.OpenReadOnly); return err }) != nil {
		return
	}
	attr, err := w.s.getattr(id)
	if err != nil {
		return // it went
	}
	w.request("getxattr", func(ctx context.Context) error { return w.header(ctx, id) })
	for _, off := range []int64{0, int64(attr.Size) - 100, 200_000} {
		if off < 0 || off > 0 && off >= int64(attr.Size) {
			continue
		}
		p := make([]byte, maxRead)
		n := 0
		if w.request("read", func(ctx context.Context) (err error) { n, err = w.s.readWait(ctx, id, p, off); return err }) == nil {
			w.own(id, p[:n], off)
		}
	}
}

// header reads what extended attributes are made of.
func (w *hostileWalk) header(ctx context.Context, id fuse.NodeID) error {
	sl, uid, b, err := w.s.readable(id)
	if err != nil {
		return err
	}
	text, err := sl.dir.box.Header(ctx, b.validity, uid)
	if err == nil {
		w.own(id, text, 0)
	}
	return err
}

// own sees to it that octets at off are of the text that bears the name of id.
func (w *hostileWalk) own(id fuse.NodeID, p []byte, off int64) {
	sl, uid, err := w.s.node(id)
	b := sl.bound.Load()
	if err != nil || b == nil || w.h.Forged() || w.h.Renumbered() && w.h.AskedPartial() {
		return
	}
	box := sl.dir.box.WireName()
	if !w.h.Said(uint32(b.validity)) {
		return // the cache's own number for a shuffled mailbox, which the server never said
	}
	unit := imaptest.HostileText(box, uint32(b.validity), uint32(uid))
	for i := range p {
		if p[i] != unit[(off+int64(i))%int64(len(unit))] {
			w.t.Errorf("message %d of %q under %d is %.80q at %d, not %q", uid, box, b.validity, p, off, unit)
			return
		}
	}
}
