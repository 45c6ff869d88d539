package fs

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imapfs/cache"
)

// fakeAccount is an account whose every answer the test chooses: slow, failing,
// lying about sizes, changing. It keeps the promises of package cache's API:
// what is published is immutable, and the observer is called behind it.
type fakeAccount struct {
	mu    sync.Mutex // guards everything but what is atomic
	tree  atomic.Pointer[fakeTree]
	boxes map[string]*fakeMailbox // by path, joined with \x00
	gen   uint64
	clock time.Time

	server  atomic.Pointer[Server] // observer
	treeErr error
	usage   cache.Usage

	sizesRight atomic.Bool
	looks      atomic.Int64
}

type fakeTree struct {
	root     *fakeMailbox
	children map[*fakeMailbox][]mailbox
	parent   map[*fakeMailbox]*fakeMailbox
	gen      uint64
	changed  map[*fakeMailbox]time.Time
	names    map[*fakeMailbox]component
}

type fakeMailbox struct {
	a          *fakeAccount
	label      string   // in errors; its first name
	path       []string // guarded by a.mu, as is wire
	wire       string
	attrs      []string
	selectable bool
	snap       atomic.Pointer[cache.Snapshot] // as the reader sees it: nil until loaded

	// guarded by a.mu
	validity  cache.UIDValidity
	messages  []cache.Message
	texts     map[cache.UID]*fakeText
	fill      int64 // the length of texts that are not in texts
	changed   time.Time
	loadDelay time.Duration
	loadErr   error
	textDelay time.Duration
	textErr   error
	hang      bool // nothing is answered
	hangRead  bool // OPEN is, READ is not
	unheard   bool // a change has not been published: Load finds it
	opens     int
	loads     int
}

type fakeText struct {
	text   []byte
	loaded bool
	late   bool // its length is only learnt at its end
}

func newFakeAccount() *fakeAccount {
	a := &fakeAccount{boxes: make(map[string]*fakeMailbox), clock: time.Unix(1_600_000_000, 0)}
	a.boxes[""] = &fakeMailbox{a: a}
	a.rebuild()
	return a
}

func (a *fakeAccount) Tree() tree { return a.tree.Load() }

func (a *fakeAccount) LoadTree(ctx context.Context) (tree, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.treeErr != nil {
		return nil, a.treeErr
	}
	return a.tree.Load(), nil
}

func (a *fakeAccount) Look() { a.looks.Add(1) }

func (a *fakeAccount) SizesRight() bool { return a.sizesRight.Load() }

func (a *fakeAccount) Usage() (cache.Usage, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.usage, a.usage != (cache.Usage{})
}

// rebuild publishes a tree. a.mu is held, or nobody knows a yet.
func (a *fakeAccount) rebuild() {
	a.gen++
	a.clock = a.clock.Add(time.Second)
	old := a.tree.Load()
	t := &fakeTree{
		root:     a.boxes[""],
		children: make(map[*fakeMailbox][]mailbox),
		parent:   make(map[*fakeMailbox]*fakeMailbox),
		changed:  make(map[*fakeMailbox]time.Time),
		names:    make(map[*fakeMailbox]component),
		gen:      a.gen,
	}
	keys := make([]string, 0, len(a.boxes))
	for k := range a.boxes {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		m := a.boxes[k]
		if len(m.path) == 0 {
			continue
		}
		p := a.boxes[strings.Join(m.path[:len(m.path)-1], "\x00")]
		t.names[m] = component{m.path[len(m.path)-1], m.wire}
		t.parent[m] = p
		t.children[p] = append(t.children[p], m)
	}
	for _, m := range a.boxes {
		t.changed[m] = a.clock
		same := func(k mailbox) bool { return old.names[k.(*fakeMailbox)] == t.names[k.(*fakeMailbox)] }
		if old != nil && slices.Equal(old.children[m], t.children[m]) && !old.changed[m].IsZero() &&
			!slices.ContainsFunc(t.children[m], func(k mailbox) bool { return !same(k) }) {
			t.changed[m] = old.changed[m]
		}
	}
	a.tree.Store(t)
}

func (t *fakeTree) Root() mailbox                { return t.root }
func (t *fakeTree) Children(m mailbox) []mailbox { return t.children[m.(*fakeMailbox)] }
func (t *fakeTree) Gen() uint64                  { return t.gen }
func (t *fakeTree) Changed(m mailbox) time.Time  { return t.changed[m.(*fakeMailbox)] }
func (t *fakeTree) Name(m mailbox) string        { return t.names[m.(*fakeMailbox)].name }
func (t *fakeTree) WireName(m mailbox) string    { return t.names[m.(*fakeMailbox)].wire }
func (t *fakeTree) Parent(m mailbox) mailbox {
	if p := t.parent[m.(*fakeMailbox)]; p != nil {
		return p
	}
	return nil
}

// mailbox makes a mailbox, and its parents, or finds it.
func (a *fakeAccount) mailbox(path ...string) *fakeMailbox {
	a.mu.Lock()
	for i := 1; i <= len(path); i++ {
		key := strings.Join(path[:i], "\x00")
		if a.boxes[key] == nil {
			a.boxes[key] = &fakeMailbox{
				a: a, label: path[i-1], path: path[:i:i], wire: strings.Join(path[:i], "/"),
				selectable: i == len(path), validity: 1, texts: make(map[cache.UID]*fakeText), changed: a.clock,
			}
		}
	}
	m := a.boxes[strings.Join(path, "\x00")]
	m.selectable = len(path) > 0
	a.publishTree()
	return m
}

func (a *fakeAccount) remove(path ...string) {
	a.mu.Lock()
	key := strings.Join(path, "\x00")
	for k := range a.boxes {
		if k == key || strings.HasPrefix(k, key+"\x00") {
			delete(a.boxes, k)
		}
	}
	a.publishTree()
}

// rename gives a mailbox, and all below it, another name, as another client does. The
// levels above the new one must be there.
func (a *fakeAccount) rename(from, to []string) {
	a.mu.Lock()
	key := strings.Join(from, "\x00")
	for k, m := range maps.Clone(a.boxes) {
		if k == key || strings.HasPrefix(k, key+"\x00") {
			delete(a.boxes, k)
			m.path = slices.Concat(to, m.path[len(from):])
			m.wire = strings.Join(m.path, "/")
			a.boxes[strings.Join(m.path, "\x00")] = m
		}
	}
	a.publishTree()
}

// publishTree rebuilds, releases a.mu, and tells the observer.
func (a *fakeAccount) publishTree() {
	a.rebuild()
	a.mu.Unlock()
	if s := a.server.Load(); s != nil {
		s.treeChanged()
	}
}

func (m *fakeMailbox) WireName() string {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	return m.wire
}
func (m *fakeMailbox) Attrs() []string { return m.attrs }
func (m *fakeMailbox) Selectable() bool {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	return m.selectable
}
func (m *fakeMailbox) Snapshot() *cache.Snapshot { return m.snap.Load() }
func (m *fakeMailbox) Touch()                    {}

func (m *fakeMailbox) failure(op string, uid cache.UID, k cache.Kind, text string) error {
	return &cache.Error{Op: op, Mailbox: m.label, UID: uid, Kind: k, Err: errors.New(text)}
}

// pause waits as the mailbox has been told to.
func (m *fakeMailbox) pause(ctx context.Context, d time.Duration) error {
	for {
		m.a.mu.Lock()
		hang := m.hang
		m.a.mu.Unlock()
		switch {
		case hang:
			d = 10 * time.Millisecond // then it is asked again
		case d == 0:
			return nil
		}
		select {
		case <-time.After(d):
			d = 0
		case <-ctx.Done():
			return m.failure("wait", 0, cache.Interrupted, "nobody waits any more")
		}
	}
}

func (m *fakeMailbox) Load(ctx context.Context) (*cache.Snapshot, error) {
	m.a.mu.Lock()
	delay, err := m.loadDelay, m.loadErr
	m.loads++
	m.a.mu.Unlock()
	if e := m.pause(ctx, delay); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	m.a.mu.Lock()
	if m.snap.Load() == nil || m.unheard {
		m.publish(true)
	} else {
		m.a.mu.Unlock()
	}
	return m.snap.Load(), nil
}

// publish makes a snapshot, releases a.mu, and tells the observer. Before the
// first load nothing is published.
func (m *fakeMailbox) publish(first bool) {
	old := m.snap.Load()
	if old == nil && !first {
		m.a.mu.Unlock()
		return
	}
	m.a.gen++
	m.unheard = false
	next := cache.UID(1)
	if n := len(m.messages); n > 0 {
		next = m.messages[n-1].UID + 1
	}
	snap := newSnapshot(m.validity, next, slices.Clone(m.messages), m.a.gen, m.changed)
	m.snap.Store(snap)
	m.a.mu.Unlock()
	if s := m.a.server.Load(); s != nil {
		s.mailboxChanged(m)
	}
}

// add puts a message in; size is what the server says of its length, -1 the truth.
func (m *fakeMailbox) add(uid cache.UID, text []byte, size int64) {
	m.a.mu.Lock()
	if size < 0 {
		size = int64(len(text))
	}
	m.texts[uid] = &fakeText{text: text}
	m.insert(cache.Message{UID: uid, Size: size, Date: 1_500_000_000 + int64(uid)})
	m.publish(false)
}

// addMany puts in messages of n octets that are made up when read.
func (m *fakeMailbox) addMany(first, last cache.UID, n int64) {
	m.a.mu.Lock()
	m.fill = n
	for uid := first; uid <= last; uid++ {
		m.messages = append(m.messages, cache.Message{UID: uid, Size: n, Date: 1_500_000_000 + int64(uid)})
	}
	slices.SortFunc(m.messages, func(a, b cache.Message) int { return int(int64(a.UID) - int64(b.UID)) })
	m.touchNames()
	m.publish(false)
}

// insert and touchNames want a.mu held.
func (m *fakeMailbox) insert(msg cache.Message) {
	i, _ := slices.BinarySearchFunc(m.messages, msg.UID, func(a cache.Message, u cache.UID) int { return int(int64(a.UID) - int64(u)) })
	m.messages = slices.Insert(m.messages, i, msg)
	m.touchNames()
}

func (m *fakeMailbox) touchNames() {
	m.a.clock = m.a.clock.Add(time.Second)
	m.changed = m.a.clock
}

func (m *fakeMailbox) expunge(uids ...cache.UID) {
	m.a.mu.Lock()
	m.messages = slices.DeleteFunc(m.messages, func(x cache.Message) bool { return slices.Contains(uids, x.UID) })
	for _, uid := range uids {
		delete(m.texts, uid)
	}
	m.touchNames()
	m.publish(false)
}

func (m *fakeMailbox) setFlags(uid cache.UID, flags ...string) {
	m.a.mu.Lock()
	m.flag(uid, flags)
	m.publish(false)
}

// setFlagsUnheard is a change that the server does not tell by itself.
func (m *fakeMailbox) setFlagsUnheard(uid cache.UID, flags ...string) {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	m.flag(uid, flags)
	m.unheard = true
}

// flag wants a.mu held.
func (m *fakeMailbox) flag(uid cache.UID, flags []string) {
	for i := range m.messages {
		if m.messages[i].UID == uid {
			m.messages[i].Flags = flags
		}
	}
}

func (m *fakeMailbox) setValidity(v cache.UIDValidity) {
	m.a.mu.Lock()
	m.validity = v
	m.touchNames()
	m.publish(false)
}

// renew is the mailbox deleted and made again by another client, between two looks:
// other messages under the same UIDs.
func (m *fakeMailbox) renew(v cache.UIDValidity, first, last cache.UID, text func(cache.UID) []byte) {
	m.a.mu.Lock()
	m.validity, m.messages, m.texts = v, nil, make(map[cache.UID]*fakeText)
	for uid := first; uid <= last; uid++ {
		m.texts[uid] = &fakeText{text: text(uid)}
		m.messages = append(m.messages, cache.Message{UID: uid, Size: int64(len(m.texts[uid].text)), Date: 1_500_000_000 + int64(uid)})
	}
	m.touchNames()
	m.publish(false)
}

// setup changes how the mailbox answers.
func (m *fakeMailbox) setup(f func()) {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	f()
}

// text finds a text by its identity. a.mu is held.
func (m *fakeMailbox) text(v cache.UIDValidity, uid cache.UID) (*fakeText, error) {
	if v != m.validity {
		return nil, m.failure("read", uid, cache.Stale, "another UIDVALIDITY")
	}
	t := m.texts[uid]
	if t == nil {
		i := slices.IndexFunc(m.messages, func(x cache.Message) bool { return x.UID == uid })
		if i < 0 {
			return nil, m.failure("read", uid, cache.Stale, "expunged")
		}
		t = &fakeText{text: made(uid, m.fill)}
		m.texts[uid] = t
	}
	return t, nil
}

// made is a text of n octets that names its message in each line.
func made(uid cache.UID, n int64) []byte {
	line := []byte("message " + strconv.Itoa(int(uid)) + ", a line of its own\r\n")
	return bytes.Repeat(line, int(n)/len(line)+1)[:n]
}

func (m *fakeMailbox) Open(ctx context.Context, v cache.UIDValidity, uid cache.UID) (int64, error) {
	if _, err := m.wait(ctx, v, uid); err != nil {
		return 0, err
	}
	m.a.mu.Lock()
	t, err := m.text(v, uid)
	if err != nil {
		m.a.mu.Unlock()
		return 0, err
	}
	m.opens++
	n := int64(len(t.text))
	if !t.late {
		m.settle(uid, n)
	} else {
		m.a.mu.Unlock()
	}
	return n, nil
}

// settle records the true size, as package cache does before Open returns. It
// releases a.mu.
func (m *fakeMailbox) settle(uid cache.UID, n int64) {
	for i := range m.messages {
		if m.messages[i].UID == uid && m.messages[i].Size != n {
			m.messages = slices.Clone(m.messages)
			m.messages[i].Size = n
			m.publish(false)
			return
		}
	}
	m.a.mu.Unlock()
}

// wait loads the text, as slowly as the test has chosen.
func (m *fakeMailbox) wait(ctx context.Context, v cache.UIDValidity, uid cache.UID) (*fakeText, error) {
	m.a.mu.Lock()
	t, err := m.text(v, uid)
	delay, fail := m.textDelay, m.textErr
	loaded := err == nil && t.loaded
	m.a.mu.Unlock()
	if err != nil || loaded {
		return t, err
	}
	if err := m.pause(ctx, delay); err != nil {
		return nil, err
	}
	if fail != nil {
		return nil, fail
	}
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	t, err = m.text(v, uid)
	if err == nil {
		t.loaded = true
	}
	return t, err
}

func (m *fakeMailbox) TryOpen(v cache.UIDValidity, uid cache.UID) (int64, bool) {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	t := m.texts[uid]
	if t == nil || !t.loaded || v != m.validity {
		return 0, false
	}
	return int64(len(t.text)), true
}

func (m *fakeMailbox) ReadAt(ctx context.Context, v cache.UIDValidity, uid cache.UID, p []byte, off int64) (int, error) {
	t, err := m.wait(ctx, v, uid)
	if err != nil {
		return 0, err
	}
	m.a.mu.Lock()
	hang := m.hangRead
	m.a.mu.Unlock()
	if hang {
		<-ctx.Done()
		return 0, m.failure("wait", 0, cache.Interrupted, "nobody waits any more")
	}
	n := copyAt(p, t.text, off)
	if t.late && n < len(p) {
		m.a.mu.Lock()
		m.settle(uid, int64(len(t.text)))
	}
	return n, nil
}

func (m *fakeMailbox) TryView(v cache.UIDValidity, uid cache.UID, n int, off int64, pieces [][]byte) ([][]byte, bool) {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	t := m.texts[uid]
	if t == nil || !t.loaded || t.late || m.hangRead || v != m.validity {
		return nil, false
	}
	if off < int64(len(t.text)) { // in two, as what lies in two blocks
		p := t.text[off:min(off+int64(n), int64(len(t.text)))]
		pieces = append(pieces, p[:(len(p)+1)/2], p[(len(p)+1)/2:])
	}
	return pieces, true
}

func copyAt(p, text []byte, off int64) int {
	if off >= int64(len(text)) {
		return 0
	}
	return copy(p, text[off:])
}

func (m *fakeMailbox) Header(ctx context.Context, v cache.UIDValidity, uid cache.UID) ([]byte, error) {
	t, err := m.wait(ctx, v, uid)
	if err != nil {
		return nil, err
	}
	header, _, _ := bytes.Cut(t.text, []byte("\r\n\r\n"))
	return append(slices.Clone(header), "\r\n\r\n"...), nil
}

// newSnapshot is the only place where the tests know how a snapshot is made.
func newSnapshot(v cache.UIDValidity, next cache.UID, ms []cache.Message, gen uint64, changed time.Time) *cache.Snapshot {
	return cache.NewSnapshot(v, next, ms, gen, changed)
}
