package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"imapfs/imapconn"
)

// trees makes the trees of an account.
type trees struct {
	a       *Account
	exclude patterns
	root    []string
	spaces  *namespaces // the job's own; nil: not asked for yet

	mu     sync.Mutex // held over no network; before crier.mu
	boxes  map[string]*Mailbox
	number uint32
	own    uint64        // how often we have begun or ended to change the names ourselves
	held   int           // how many changes of names are under way
	freed  chan struct{} // closed when there is none any more; nil: there is none
	job    *job
	asked  time.Time // when the LIST was asked for that the tree is made of
	asks   uint64    // how often LIST was asked for
	answer uint64    // the number of the newest that was answered
	sum    uint64    // of what it gave
	octets int       // about how many it took
	count  int       // the mailboxes that it named

	saidMany sync.Once
}

const (
	// manyMailboxes is from when on a tree is not asked for whenever somebody looks.
	manyMailboxes = 10_000
	// treeOldest is how old a tree becomes at most to stay within pollRate.
	treeOldest = 10 * time.Minute
	// listOctets is about what LIST takes for a mailbox beside its name.
	listOctets = 40
)

// weigh notes what a listing has cost, and says so where that is much. t.mu is held.
func (t *trees) weigh(data []imapconn.ListData, sum uint64) {
	octets := listOctets * len(data)
	for i := range data {
		octets += len(data[i].Name)
	}
	t.sum, t.octets, t.count = sum, octets, len(data)
	if len(data) > manyMailboxes {
		t.saidMany.Do(func() {
			t.a.log.Warn("the account has very many mailboxes, and each look at them lists them all; what is made or renamed elsewhere is seen late"+
				" (name only a part in the URL, or --exclude some)", "mailboxes", len(data), "every", t.oldest(true))
		})
	}
}

// maxAge is how old a tree may be: for somebody who looks at it, and for the poll.
func (t *trees) maxAge(looking bool) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.oldest(looking)
}

// oldest is maxAge with t.mu held.
func (t *trees) oldest(looking bool) time.Duration {
	age := t.a.cfg.Poll
	if !looking {
		age /= 2
	}
	if looking && t.count <= manyMailboxes {
		return age
	}
	return max(age, min(time.Duration(t.octets)*time.Second/pollRate, treeOldest))
}

func (t *trees) init(a *Account) {
	t.a, t.exclude, t.root = a, patterns(a.cfg.Exclude), a.cfg.rootPath()
	root := &Mailbox{account: a}
	root.listed.Store(&listed{made: true})
	t.boxes = map[string]*Mailbox{"": root}
	a.tree.Store(&Tree{root: root, nodes: map[*Mailbox]*treeNode{root: {listed: root.listed.Load()}}})
}

// LoadTree gives a tree that is not older than Config.Poll, whole or an error:
// where the one in memory is older it waits for a LIST.
func (a *Account) LoadTree(ctx context.Context) (*Tree, error) {
	a.Look()
	j := a.trees.refresh(ctx, a.trees.maxAge(true))
	if j == nil {
		return a.Tree(), nil
	}
	if err := j.await(ctx, "list", nil, 0); err != nil {
		return nil, err
	}
	return a.Tree(), nil
}

// refresh joins or starts a LIST; nil where the tree is younger than maxAge.
func (t *trees) refresh(ctx context.Context, maxAge time.Duration) *job {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.asked.IsZero() && time.Since(t.asked) < maxAge {
		return nil
	}
	j := t.job
	if j == nil {
		j = t.a.newJob()
		t.job = j
		if !t.a.spawn(func() { t.run(j) }) {
			j.finish(errClosed)
			t.job = nil
		}
	}
	j.join(ctx, t.a.cfg.Timeout)
	return j
}

// mark is a moment, for answeredSince.
func (t *trees) mark() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asks
}

// answeredSince reports whether a LIST was answered that was asked for behind a mark.
func (t *trees) answeredSince(mark uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answer > mark
}

// distrust has whoever looks next ask for the tree.
func (t *trees) distrust() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = time.Time{}
}

// run asks until there is an answer or nobody waits any more.
func (t *trees) run(j *job) {
	err := t.list(j)
	for j.again(err) {
		err = t.list(j)
	}
	t.mu.Lock()
	t.job = nil
	t.mu.Unlock()
	j.finish(err)
}

// hold has nobody list the mailboxes until the function is called that it returns: what
// is listed while we change names may be halfway.
func (t *trees) hold() (free func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own++
	if t.held++; t.held == 1 {
		t.freed = make(chan struct{})
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.own++
		if t.held--; t.held == 0 {
			close(t.freed)
			t.freed = nil
		}
	}
}

// awaitFree waits until we change no names, or the job is over.
func (t *trees) awaitFree(j *job) {
	for !j.over() {
		t.mu.Lock()
		freed := t.freed
		t.mu.Unlock()
		if freed == nil {
			return
		}
		select {
		case <-freed:
		case <-j.ctx.Done():
		}
	}
}

// list asks once, and again where we have changed names meanwhile.
func (t *trees) list(j *job) error {
	for {
		t.awaitFree(j)
		if err := t.listNow(j); !errors.Is(err, errOwnRename) || j.over() {
			return err
		}
	}
}

func (t *trees) listNow(j *job) error {
	l, err := t.a.pool.acquire(j.ctx, want{})
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.asks++
	own, asked, number := t.own, time.Now(), t.asks
	t.mu.Unlock()
	data, err := t.listAll(l)
	l.release()
	if err != nil {
		return err
	}
	sum := digest(data)
	if t.unchanged(sum, asked, number) {
		return nil
	}
	names, err := arrange(data, t.exclude, t.root)
	if err != nil {
		return err
	}
	moved, err := t.moved(j, names)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.own != own {
		return errOwnRename
	}
	t.weigh(data, sum)
	t.adopt(names, asked, moved)
	t.answer = number
	return nil
}

var listSeed = maphash.MakeSeed()

// digest is what two listings share only if they are word for word the same.
func digest(data []imapconn.ListData) uint64 {
	var h maphash.Hash
	h.SetSeed(listSeed)
	for i := range data {
		l := &data[i]
		h.WriteString(l.Name)
		h.WriteByte(0)
		h.WriteString(string(l.Delimiter))
		for _, a := range l.Attrs {
			h.WriteByte(1)
			h.WriteString(a)
		}
		h.WriteByte(2)
	}
	return h.Sum64()
}

// unchanged reports whether the tree was made of the same listing: then it is as
// young as this one.
func (t *trees) unchanged(sum uint64, asked time.Time, number uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked.IsZero() || t.sum != sum {
		return false
	}
	t.asked, t.answer = asked, number
	return true
}

// arrange makes of LIST what is to be shown, each parent before its children.
func arrange(data []imapconn.ListData, exclude patterns, root []string) ([]listed, error) {
	byKey := make(map[string]int, len(data))
	var all []listed
	for _, l := range data {
		if l.Name == "" {
			continue
		}
		for _, n := range readName(l) {
			i, known := byKey[n.key]
			switch {
			case !known && len(all) == maxNodes:
				return nil, fmt.Errorf("server lists more than %d mailboxes (leave some out on the server)", maxNodes)
			case !known:
				byKey[n.key] = len(all)
				all = append(all, n)
			case all[i].made && !n.made, !all[i].selectable && n.selectable:
				all[i] = n
			}
		}
	}
	return shown(all, byKey, exclude, root), nil
}

// shown leaves out what is excluded or outside root, but for the parents of
// what is not: these are shown without their messages.
func shown(all []listed, byKey map[string]int, exclude patterns, root []string) []listed {
	paths := make([][]string, len(all))
	keep := make([]bool, len(all))
	for i := range all {
		n := &all[i]
		var above []string
		if n.parent != "" {
			above = paths[byKey[n.parent]]
		}
		paths[i] = append(above[:len(above):len(above)], n.name)
		inside := len(paths[i]) >= len(root) && slices.Equal(paths[i][:len(root)], root)
		if n.made {
			continue
		}
		if !inside || exclude.excludes(strings.Join(paths[i], "/")) {
			n.selectable = false
			continue
		}
		for k := i; !keep[k]; k = byKey[all[k].parent] {
			keep[k] = true
			if all[k].parent == "" {
				break
			}
		}
	}
	var out []listed
	for i := range all {
		if keep[i] {
			all[i].path = paths[i]
			out = append(out, all[i])
		}
	}
	return out
}

// adopt makes the tree of what is shown and publishes it, if it is another than
// the last. Mailboxes that are there still are kept; those that moved names, by
// their new keys, are there under other names. t.mu is held.
func (t *trees) adopt(names []listed, asked time.Time, moved map[string]*Mailbox) {
	t.asked = asked
	old := t.a.tree.Load()
	next := &Tree{root: old.root, nodes: make(map[*Mailbox]*treeNode, len(names)+1), gen: old.gen + 1}
	next.nodes[old.root] = &treeNode{listed: old.nodes[old.root].listed}
	boxes := map[string]*Mailbox{"": old.root}
	same := len(names)+1 == len(old.nodes) && len(moved) == 0
	for i := range names {
		n := &names[i]
		m, isMoved := moved[n.key]
		if !isMoved {
			m = t.boxes[n.key]
		}
		if m == nil || !isMoved && !slices.Equal(m.Path(), n.path) {
			t.number++
			m = &Mailbox{account: t.a, number: t.number}
			same = false
		}
		m.say(n)
		if isMoved {
			m.resettle()
		}
		boxes[n.key] = m
		parent := boxes[n.parent]
		next.nodes[m] = &treeNode{listed: m.listed.Load(), parent: parent}
		kids := next.nodes[parent]
		kids.children = append(kids.children, m)
	}
	if same && old.gen > 0 {
		return
	}
	now := time.Now()
	for m, n := range next.nodes {
		slices.SortFunc(n.children, func(a, b *Mailbox) int {
			return cmp.Or(strings.Compare(next.Name(a), next.Name(b)), strings.Compare(next.WireName(a), next.WireName(b)))
		})
		was := old.nodes[m]
		switch {
		case old.gen == 0:
			n.changed = t.a.since
		case was == nil:
			n.changed = now
		case !sameNames(old, next, m):
			n.changed = later(now, was.changed)
		default:
			n.changed = was.changed
		}
	}
	for m := range old.nodes {
		if next.nodes[m] == nil {
			m.leave()
		}
	}
	wake(t.a.rewatch)
	t.boxes = boxes
	t.a.tree.Store(next)
	if old.gen > 0 {
		t.a.crier.cry(news{oldTree: old, newTree: next})
	}
}

// sameNames reports whether a mailbox has the same children, under the same names,
// in two trees.
func sameNames(old, next *Tree, m *Mailbox) bool {
	was, is := old.Children(m), next.Children(m)
	return slices.Equal(was, is) && !slices.ContainsFunc(is, func(k *Mailbox) bool { return old.Name(k) != next.Name(k) })
}

// later is now, or last where the clock has been put back.
func later(now, last time.Time) time.Time {
	if now.After(last) {
		return now
	}
	return last
}

// rooted reports whether a tree holds the mailbox that alone is to be shown.
func (t *trees) rooted(tree *Tree) bool {
	m := tree.Root()
	for _, name := range t.root {
		if m = tree.Child(m, name); m == nil {
			return false
		}
	}
	return true
}
