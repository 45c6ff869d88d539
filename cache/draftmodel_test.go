package cache

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// TestDrafts runs random programs on drafts, with another client, a server that refuses and cuts,
// and crashes, and judges by what the server has in the end. The programs are always the
// same ones, unless -rapid.seed and -rapid.checks are given.
func TestDrafts(t *testing.T) {
	for name, value := range map[string]string{"rapid.seed": "23", "rapid.checks": "40", "rapid.nofailfile": "true"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := f.Value.Set(value); err != nil {
				t.Fatal(err)
			}
		}
	}
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		w := newDraftWorld(t, base)
		defer w.end()
		t.Repeat(map[string]func(*rapid.T){
			"create":   w.as((*draftWorld).create),
			"edit":     w.as((*draftWorld).edit),
			"edit2":    w.as((*draftWorld).edit),
			"write":    w.as((*draftWorld).write),
			"truncate": w.as((*draftWorld).truncate),
			"send":     w.as((*draftWorld).send),
			"send2":    w.as((*draftWorld).send),
			"owe":      w.as((*draftWorld).owe),
			"close":    w.as((*draftWorld).close),
			"discard":  w.as((*draftWorld).discard),
			"expunge":  w.as((*draftWorld).expunge),
			"fault":    w.as((*draftWorld).fault),
			"fault2":   w.as((*draftWorld).fault),
			"crash":    w.as((*draftWorld).crash),
			"midway":   w.as((*draftWorld).crashMidway),
			"flush":    w.as((*draftWorld).check),
		})
		w.t = t
		w.check()
	})
}

// chain is a message with all the texts that are to take its place, in order: those that were
// committed. The last one is what is to be there.
type chain struct {
	texts     []string // as they are sent
	acked     int      // how many of them were there when somebody was told so
	expunged  map[string]bool
	discarded bool
	of        *modelDraft // what is written to it; nil: nothing
}

// modelDraft is a draft that a program has open.
type modelDraft struct {
	d       *Draft
	content []byte
	dirty   bool
	chain   *chain
}

// draftWorld is a server, an account, and what is wanted of both.
type draftWorld struct {
	t      *rapid.T
	server *imaptest.Scripted
	box    *imaptest.Box
	base   string
	state  string
	a      *Account
	m      *Mailbox
	up     *scissors
	ids    int
	lines  []*chain
	drafts []*modelDraft

	mu     sync.Mutex
	faults []string // of the next commands that bring a text
	keeps  atomic.Int64
	midway chan bool // one is sent when such a command is held; whether it is done is received
	over   chan bool // behind it
}

var draftWorlds atomic.Int64

func newDraftWorld(t *rapid.T, base string) *draftWorld {
	w := &draftWorld{t: t, base: base, up: &scissors{left: -1}, midway: make(chan bool), over: make(chan bool)}
	w.server = imaptest.NewScripted(t)
	w.server.Capabilities(imaptest.ScriptedCapabilities + rapid.SampledFrom([]string{" UIDPLUS REPLACE", " UIDPLUS"}).Draw(t, "capabilities"))
	w.server.Mailbox("INBOX")
	w.box = w.server.Mailbox("A")
	for range 3 {
		x := w.text()
		w.box.Add([]byte(crlf(x)))
		w.lines = append(w.lines, &chain{texts: []string{crlf(x)}, acked: 1, expunged: make(map[string]bool)})
	}
	w.server.On("APPEND", w.arrives)
	w.server.On("UID REPLACE", w.arrives)
	w.server.On("UID EXPUNGE", func(c *imaptest.Call) {
		if w.keeps.Add(-1) >= 0 {
			c.Done("NO not now")
			return
		}
		c.Default()
	})
	w.state = w.newState()
	w.open()
	return w
}

func (w *draftWorld) newState() string {
	return filepath.Join(w.base, fmt.Sprint(draftWorlds.Add(1)))
}

func (w *draftWorld) as(action func(*draftWorld)) func(*rapid.T) {
	return func(t *rapid.T) {
		w.t = t
		action(w)
	}
}

// arrives is APPEND or REPLACE with the next of the faults.
func (w *draftWorld) arrives(c *imaptest.Call) {
	w.mu.Lock()
	fault := ""
	if len(w.faults) > 0 {
		fault, w.faults = w.faults[0], w.faults[1:]
	}
	w.mu.Unlock()
	switch fault {
	case "no":
		c.Done("NO not so")
	case "full":
		c.Done("NO [OVERQUOTA] full")
	case "cut":
		c.Cut()
	case "lost":
		c.CutAfter(1)
		c.Default()
	case "midway":
		w.midway <- true
		if <-w.midway {
			c.Default()
		}
		c.Cut()
		w.over <- true
	default:
		c.Default()
	}
}

func (w *draftWorld) open() {
	w.up.set(-1)
	host, port, _ := net.SplitHostPort(w.server.Addr)
	n, _ := strconv.Atoi(port)
	dial := &imapconn.Dialer{
		Host: host, Port: n, TLS: imapconn.TLSNone, Timeout: patient,
		Credentials: func(context.Context) (imapconn.Credentials, error) {
			return imapconn.Credentials{User: w.server.User, Password: w.server.Password}, nil
		},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return cuttable{c, w.up}, err
		},
	}
	a, err := Open(context.Background(), Config{Dial: dial.Dial, State: w.state, Timeout: patient, Poll: time.Hour,
		Logger: slog.New(slog.DiscardHandler),
		pauses: &draftPauses{looks: []time.Duration{0, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond},
			first: 2 * time.Millisecond, last: 20 * time.Millisecond, check: time.Millisecond}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.a, w.m = a, a.Tree().Child(a.Tree().Root(), "A")
	w.load()
}

func (w *draftWorld) load() *Snapshot {
	s, err := w.m.Load(w.ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *draftWorld) end() {
	w.mu.Lock()
	w.faults = nil
	w.mu.Unlock()
	w.a.Close()
}

func (w *draftWorld) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	w.t.Cleanup(cancel)
	return ctx
}

// text is one of its own.
func (w *draftWorld) text() string {
	w.ids++
	return strings.ReplaceAll(lf(w.ids, 200+w.ids), "\r", "") // one that stands alone makes it another kind of text
}

func (w *draftWorld) draft() *modelDraft {
	i := rapid.IntRange(0, 999).Draw(w.t, "draft")
	if len(w.drafts) == 0 {
		w.t.Skip("none is open")
	}
	return w.drafts[i%len(w.drafts)]
}

func (w *draftWorld) create() {
	d, err := w.a.NewDraft(w.m, fmt.Sprint("new", w.ids))
	if err != nil {
		w.t.Fatal(err)
	}
	l := &chain{expunged: make(map[string]bool)}
	w.lines = append(w.lines, l)
	w.opened(d, l)
}

// opened has a program write to a draft at once, as an empty one is no text.
func (w *draftWorld) opened(d *Draft, l *chain) {
	o := &modelDraft{d: d, chain: l}
	l.of = o
	w.drafts = append(w.drafts, o)
	w.put(o, 0, w.text())
}

// put has the text be what it was up to an octet, and then others.
func (w *draftWorld) put(o *modelDraft, from int, with string) {
	o.content = append(o.content[:from:from], with...)
	o.dirty = true
	if err := o.d.Truncate(int64(from)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := o.d.WriteAt([]byte(with), int64(from)); err != nil {
		w.t.Fatal(err)
	}
}

// edit begins to write over a message that nobody writes to.
func (w *draftWorld) edit() {
	i := rapid.IntRange(0, 999).Draw(w.t, "message")
	s := w.load()
	if s.Len() == 0 {
		w.t.Skip("there is no message")
	}
	msg := s.At(i % s.Len())
	texts := w.box.Named()
	x, there := texts[msg.UID]
	for _, l := range w.lines {
		if there && len(l.texts) > 0 && l.texts[len(l.texts)-1] == x && l.of == nil && !l.discarded {
			if l.acked < len(l.texts) {
				w.t.Skip("it may be sent still")
			}
			d, err := w.a.EditDraft(w.ctx(), w.m, s.Validity(), msg.UID, "edit", 0)
			if err != nil {
				w.t.Fatal(err)
			}
			w.opened(d, l)
			return
		}
	}
	w.t.Skip("it is being written to")
}

func (w *draftWorld) write() { w.put(w.draft(), 0, w.text()) }

func (w *draftWorld) truncate() {
	o := w.draft()
	w.ids++
	w.put(o, min(len(o.content), 150), fmt.Sprintf("\nthe %d. end\n", w.ids))
}

// commit notes what a program has committed.
func (w *draftWorld) commit(o *modelDraft) {
	if o.dirty {
		o.chain.texts = append(o.chain.texts, crlf(string(o.content)))
		o.dirty = false
	}
}

func (w *draftWorld) send() {
	o := w.draft()
	w.commit(o)
	if _, err := o.d.Send(w.ctx(), Fate{Box: w.m}); err == nil {
		o.chain.acked = len(o.chain.texts)
	}
}

func (w *draftWorld) owe() {
	o := w.draft()
	w.commit(o)
	if err := o.d.Owe(Fate{Box: w.m}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *draftWorld) close() {
	o := w.draft()
	if o.dirty {
		w.commit(o)
		if err := o.d.Owe(Fate{Box: w.m}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := o.d.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.forget(o)
}

func (w *draftWorld) forget(o *modelDraft) {
	o.chain.of = nil
	w.drafts = slices.DeleteFunc(w.drafts, func(x *modelDraft) bool { return x == o })
}

func (w *draftWorld) discard() {
	o := w.draft()
	if err := o.d.Discard(); err != nil {
		w.t.Fatal(err)
	}
	o.chain.discarded = o.chain.acked < len(o.chain.texts)
	w.forget(o)
}

// expunge is another client's.
func (w *draftWorld) expunge() {
	i := rapid.IntRange(0, 999).Draw(w.t, "message")
	texts := w.box.Named()
	var uids []UID
	for uid := range texts {
		uids = append(uids, uid)
	}
	if len(uids) == 0 {
		w.t.Skip("there is no message")
	}
	slices.Sort(uids)
	uid := uids[i%len(uids)]
	for _, l := range w.lines {
		if slices.Contains(l.texts, texts[uid]) {
			l.expunged[texts[uid]] = true
		}
	}
	w.box.Expunge(uid, imaptest.DovecotGone)
}

func (w *draftWorld) fault() {
	what := rapid.SampledFrom([]string{"no", "full", "cut", "lost", "upload", "kept"}).Draw(w.t, "fault")
	at := rapid.Int64Range(0, 1500).Draw(w.t, "octet")
	switch what {
	case "upload":
		w.up.set(at)
	case "kept":
		w.keeps.Store(1 + at%3)
	default:
		w.mu.Lock()
		w.faults = append(w.faults, what)
		w.mu.Unlock()
	}
}

// crash has the process be gone at this moment: the next one has the files that there are now.
func (w *draftWorld) crash() {
	w.cut()
	for w.server.Sessions() > 0 {
		time.Sleep(time.Millisecond)
	}
	w.restart(w.copied(), nil)
}

// cut has the server hear nothing more of the account.
func (w *draftWorld) cut() {
	w.server.On("LOGIN", func(c *imaptest.Call) { c.Cut() })
	w.server.Cut()
}

// crashMidway is a crash while the server has a text and has not answered.
func (w *draftWorld) crashMidway() {
	done := rapid.Bool().Draw(w.t, "done")
	o := w.draft()
	if !o.dirty {
		w.t.Skip("nothing is to be sent")
	}
	w.settle()
	w.mu.Lock()
	w.faults = []string{"midway"}
	w.mu.Unlock()
	w.commit(o)
	if err := o.d.Owe(Fate{Box: w.m}); err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-w.midway:
	case <-time.After(patient):
		w.t.Fatal("nothing is sent")
	}
	w.cut()
	w.restart(w.copied(), func() { w.midway <- done; <-w.over })
}

func (w *draftWorld) restart(state string, between func()) {
	w.a.Close()
	if between != nil {
		between()
	}
	for _, o := range slices.Clone(w.drafts) {
		w.forget(o)
	}
	w.state = state
	w.server.On("LOGIN", nil)
	w.open()
}

// copied makes a copy of the spool as it is at one moment.
func (w *draftWorld) copied() string {
	for range 1000 {
		to := w.newState()
		before := w.files()
		failed := os.CopyFS(to, os.DirFS(w.state))
		if failed == nil && slices.Equal(before, w.files()) {
			// CopyFS makes all readable for others, which the spool does not like.
			filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
				if err == nil && e.IsDir() {
					return os.Chmod(path, 0o700)
				}
				return os.Chmod(path, 0o600)
			})
			return to
		}
		os.RemoveAll(to)
		time.Sleep(time.Millisecond)
	}
	w.t.Fatal("the spool changes all the time")
	return ""
}

func (w *draftWorld) files() (all []string) {
	filepath.WalkDir(w.state, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			all = append(all, fmt.Sprint(path, info.Size(), info.ModTime()))
		}
		return nil
	})
	return all
}

// settle has all arrive that is owed.
func (w *draftWorld) settle() {
	w.mu.Lock()
	w.faults = nil
	w.mu.Unlock()
	w.keeps.Store(0)
	w.up.set(-1)
	var err error
	for range 3 { // what failed at this moment is tried once more
		if err = w.a.FlushDrafts(w.ctx(), nil); err == nil {
			return
		}
		if !slices.ContainsFunc(w.a.Pending(), func(p Pending) bool { return p.State != "writing" }) {
			return
		}
	}
	w.t.Fatalf("%v: %+v", err, w.a.Pending())
}

// check has all arrive, and looks.
func (w *draftWorld) check() {
	w.settle()
	count := make(map[string]int)
	for _, x := range w.box.Texts() {
		count[x]++
	}
	for i, l := range w.lines {
		for k, x := range l.texts {
			last := k == len(l.texts)-1
			gone := l.expunged[l.texts[len(l.texts)-1]] || l.discarded
			switch n := count[x]; {
			case n > 1, !gone && last && n != 1, !gone && !last && n != 0:
				w.t.Logf("pending: %+v; commands: %q", w.a.Pending(), w.server.Commands(""))
				w.t.Fatalf("text %d of %d of message %d is there %d times (acknowledged: %d, expunged: %t, discarded: %t)",
					k+1, len(l.texts), i, n, l.acked, l.expunged[x], l.discarded)
			}
			delete(count, x)
			if last && !gone {
				l.acked = len(l.texts)
			}
		}
	}
	for x := range count {
		w.t.Fatalf("nobody has sent %q", strings.SplitN(x, "\r\n", 3)[1])
	}
}
