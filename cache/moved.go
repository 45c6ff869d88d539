package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"imapfs/imapconn"
)

// A mailbox that another client renames is listed under its new name and no longer
// under the old one. It is the same mailbox if something says so that no other one
// has. An EXAMINE under the new name decides: by MAILBOXID (RFC 8474) and UIDVALIDITY;
// or, where the server gives no identifiers, by UIDVALIDITY, a UIDNEXT and a number of
// messages that fit, and the sizes and dates of some of these. UIDVALIDITY by itself
// proves nothing: servers give the same to mailboxes made in one second. STATUS only
// tells which names are worth it. (Courier gives another UIDVALIDITY with another
// name: there a renamed mailbox is a new one.)
//
// What lies below moves along (RFC 3501 §6.3.5). What was not looked into yet can
// prove nothing and is a new mailbox, unless it lies below one that has moved: nobody
// has a text of it. Whatever is in doubt is new.

const (
	// maxAsked is how many names that are new in one listing are asked about by
	// STATUS, in one flight.
	maxAsked = 64
	// maxExamined is how many of them are examined.
	maxExamined = 16
)

// errOwnRename: a listing that was asked for before we renamed a mailbox
// ourselves says nothing.
var errOwnRename = errors.New("a mailbox was renamed while the mailboxes were listed (try again)")

// errRenamed: the mailbox has another name by now.
var errRenamed = errors.New("the mailbox was renamed (list the directory above again)")

// say gives a mailbox what LIST said of it.
func (m *Mailbox) say(n *listed) {
	if old := m.listed.Load(); old != nil && old.equal(n) {
		return // and n, with all that were listed beside it, need not be kept
	}
	l := *n
	m.listed.Store(&l)
}

// resettle is for a mailbox that has another name now: no connection has it
// selected under that. What it held is still what is known.
func (m *Mailbox) resettle() {
	m.moves.Add(1)
	m.index.mu.Lock()
	// Cyrus has those who are in it see all messages go.
	m.index.gone = nil
	m.index.mu.Unlock()
	if h := m.follow.Load(); h != nil {
		m.lookAnew(h)
	} else {
		m.stir(true)
	}
}

// A moving finds out what became of mailboxes that a listing names no more.
type moving struct {
	t    *trees
	j    *job
	old  *Tree
	gone []*Mailbox // in the tree of now and not listed, the topmost first
	new  []*listed  // listed and not in the tree, the topmost first
	left int        // how many may still be examined

	keys  map[string]*listed   // new, by key
	asked []*listed            // those of them that STATUS was asked about
	said  map[*listed]*facts   // what STATUS said; nil: not asked, or refused
	to    map[*Mailbox]*listed // what has been found
	from  map[*listed]*Mailbox // the same
}

// facts is what is known of a mailbox under a name that is new.
type facts struct {
	imapconn.StatusData
	noStatus bool // the server has none: EXAMINE decides
}

// moved gives the mailboxes that are listed under other names than before, by their
// new keys.
func (t *trees) moved(j *job, names []listed) (map[string]*Mailbox, error) {
	v := t.unsettled(names)
	v.j = j
	loaded := slices.ContainsFunc(v.gone, (*Mailbox).provable)
	if !loaded || !slices.ContainsFunc(v.new, func(n *listed) bool { return n.selectable }) {
		return nil, nil
	}
	if err := v.ask(); err != nil {
		return nil, err
	}
	if err := v.match(); err != nil {
		return nil, err
	}
	v.follow()
	moved := make(map[string]*Mailbox, len(v.to))
	for m, n := range v.to {
		moved[n.key] = m
		t.a.log.Info("a mailbox was renamed", "from", m.full(), "to", strings.Join(n.path, "/"))
	}
	return moved, nil
}

// provable reports whether enough is known of a mailbox to know it again.
func (m *Mailbox) provable() bool {
	e, s := m.current.Load(), m.snap.Load()
	return e != nil && s != nil && e.validity == s.validity
}

// unsettled finds what a listing has more, and what less, than the tree.
func (t *trees) unsettled(names []listed) *moving {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := &moving{
		t: t, old: t.a.tree.Load(), left: maxExamined,
		keys: make(map[string]*listed), said: make(map[*listed]*facts),
		to: make(map[*Mailbox]*listed), from: make(map[*listed]*Mailbox),
	}
	found := 0
	for i := range names {
		if n := &names[i]; t.boxes[n.key] != nil {
			found++
		} else {
			v.new = append(v.new, n)
			v.keys[n.key] = n
		}
	}
	if len(v.new) == 0 || found == len(t.boxes)-1 { // but for the root
		return v
	}
	still := make(map[string]bool, found)
	for i := range names {
		still[names[i].key] = true
	}
	for key, m := range t.boxes {
		if key != "" && !still[key] {
			v.gone = append(v.gone, m)
		}
	}
	slices.SortFunc(v.gone, func(a, b *Mailbox) int {
		return cmp.Or(len(a.Path())-len(b.Path()), slices.Compare(a.Path(), b.Path()))
	})
	return v
}

// ask asks for the facts by which names are told apart, those first that are most
// like one that is gone.
func (v *moving) ask() error {
	likely := make(map[string]bool, 2*len(v.gone))
	for _, m := range v.gone {
		l := m.listed.Load()
		likely["/"+l.parent] = true
		likely[l.name] = true
	}
	var first, rest []*listed
	for _, n := range v.new {
		switch {
		case !n.selectable:
		case likely["/"+n.parent] || likely[n.name]:
			first = append(first, n)
		default:
			rest = append(rest, n)
		}
	}
	all := append(first, rest...)
	all = all[:min(len(all), maxAsked)]
	v.asked = all
	l, err := v.t.a.pool.acquire(v.j.ctx, want{})
	if err != nil {
		return err
	}
	defer l.release()
	if caps := l.client.Caps(); !caps.Rev1() && caps.Has("IMAP4") { // RFC 1730 has no STATUS
		for _, n := range all {
			v.said[n] = &facts{noStatus: true}
		}
		return nil
	}
	said := make([]*facts, len(all))
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, n := range all {
		group.Go(func() {
			var data imapconn.StatusData
			if data, errs[i] = l.client.Status(v.t.a.ctx, n.wire, "MESSAGES", "UIDNEXT", "UIDVALIDITY"); errs[i] == nil {
				said[i] = &facts{StatusData: data}
			}
		})
	}
	group.Wait()
	for i, n := range all {
		if lostConnection(errs[i]) || errors.Is(errs[i], context.Canceled) {
			return errs[i]
		}
		if said[i] != nil {
			v.said[n] = said[i]
		}
	}
	return nil
}

// match finds those that prove what they are. Where two could be one, or one
// two, neither is.
func (v *moving) match() error {
	could := make(map[*Mailbox][]*listed)
	wanted := make(map[*listed]int)
	for _, m := range v.gone {
		if !m.provable() {
			continue
		}
		for _, n := range v.asked {
			f := v.said[n]
			if f == nil || !f.fit(m) {
				continue
			}
			proven, err := v.examine(m, n)
			if err != nil {
				return err
			}
			if !proven {
				continue
			}
			could[m] = append(could[m], n)
			wanted[n]++
		}
	}
	for m, names := range could {
		if len(names) == 1 && wanted[names[0]] == 1 {
			v.found(m, names[0])
		}
	}
	return nil
}

func (v *moving) found(m *Mailbox, n *listed) { v.to[m], v.from[n] = n, m }

// fit reports whether what is said does not speak against its being m.
func (f *facts) fit(m *Mailbox) bool {
	if f.noStatus {
		return true
	}
	e, s := m.current.Load(), m.snap.Load()
	// Who was in a mailbox of Cyrus's that is renamed has seen all messages go.
	return f.HasUIDValidity && f.UIDValidity == e.wire && (e.id != "" || s.precedes(f.UIDNext, int64(f.Messages)))
}

// precedes reports whether a mailbox may have come to a UIDNEXT, 0 where that is not
// known, and a number of messages, from what s says.
func (s *Snapshot) precedes(next UID, messages int64) bool {
	return next == 0 || next >= s.uidNext && messages <= int64(s.Len())+int64(next-s.uidNext)
}

// examine looks under a new name for the messages that are known of m.
func (v *moving) examine(m *Mailbox, n *listed) (bool, error) {
	if v.left == 0 {
		return false, nil
	}
	v.left--
	e, s := m.current.Load(), m.snap.Load()
	trial := &Mailbox{account: v.t.a} // nobody's; selected until another is
	trial.say(n)
	l, err := v.t.a.pool.acquire(v.j.ctx, want{box: trial})
	switch {
	case lostConnection(err) || v.j.over():
		return false, err
	case err != nil:
		return false, nil
	}
	defer l.release()
	switch id := l.epoch.id; {
	case l.epoch.wire != e.wire:
		return false, nil
	case id != "" && e.id != "":
		return id == e.id, nil
	case !s.precedes(l.hear.next(), int64(l.hear.messages())):
		return false, nil
	}
	there, err := s.isThere(v.t.a.ctx, l.client)
	if lostConnection(err) {
		return false, err
	}
	return there, nil
}

// follow finds what has moved along with those that were found: all below them,
// and above them what nobody has looked into.
func (v *moving) follow() {
	for _, m := range v.gone {
		if n := v.to[m]; n != nil {
			v.followUp(m, n)
		}
	}
	for _, m := range v.gone { // parents come first
		p := v.to[v.old.Parent(m)]
		if v.to[m] != nil || p == nil {
			continue
		}
		l := m.listed.Load()
		n := v.keys[p.key+strings.TrimPrefix(l.key, l.parent)]
		if n == nil || v.from[n] != nil {
			continue
		}
		if f := v.said[n]; m.provable() && f != nil && !f.fit(m) {
			continue
		}
		v.found(m, n)
	}
}

func (v *moving) followUp(m *Mailbox, n *listed) {
	for {
		p, to := v.old.Parent(m), v.keys[n.parent]
		if p == nil || to == nil || v.to[p] != nil || v.from[to] != nil || m.Name() != n.name ||
			p.snap.Load() != nil || !slices.Contains(v.gone, p) {
			return
		}
		v.found(p, to)
		m, n = p, to
	}
}

// renamed gives a mailbox, and all below it, the name that we have just given it
// ourselves, on the wire (RFC 3501 §6.3.5). It is not in the tree any more where
// that name is not shown.
//
// NotExist: a listing was faster, and has the mailbox for gone and a new one in its
// place. Exists: the name is another's.
func (t *trees) renamed(m *Mailbox, wire string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	tree := t.a.tree.Load()
	was := m.listed.Load()
	if tree.Parent(m) == nil {
		return failure("rename", m, 0, errGone)
	}
	now := readName(imapconn.ListData{Name: wire, Delimiter: was.delimiter})
	to := &now[len(now)-1]
	if t.boxes[to.key] != nil && to.key != was.key {
		return &Error{Op: "rename", Mailbox: m.full(), Kind: Exists, Err: fmt.Errorf("there is a mailbox %q", wire)}
	}
	var data []imapconn.ListData
	moved := make(map[string]*Mailbox)
	for k := range tree.all {
		l := k.listed.Load()
		name, below := strings.CutPrefix(l.wire, was.key)
		if below = below && tree.within(k, m); below {
			name = to.key + name
		} else {
			name = l.wire
		}
		if l.made {
			continue
		}
		data = append(data, imapconn.ListData{Name: name, Delimiter: l.delimiter, Attrs: l.attrs})
	}
	names, err := arrange(data, t.exclude, t.root)
	if err != nil {
		return failure("rename", m, 0, err)
	}
	shown := make(map[string]bool, len(names))
	for i := range names {
		shown[names[i].key] = true
	}
	for k := range tree.all {
		l := k.listed.Load()
		if !tree.within(k, m) {
			continue
		}
		if key := to.key + strings.TrimPrefix(l.key, was.key); shown[key] && key != l.key {
			moved[key] = k
		}
	}
	t.own++
	t.sum = 0
	t.adopt(names, t.asked, moved)
	return nil
}
