package fs

import (
	"sort"

	"imapfs/cache"
)

// found is what a name means.
type found struct {
	kind foundKind
	msg  ref   // of foundMessage
	file *file // of foundFile
}

type foundKind uint8

const (
	foundNone    foundKind = iota // no message and no file; perhaps a mailbox
	foundMessage                  // msg
	foundFile                     // file
	foundUnknown                  // the mailbox must be loaded first
)

// lookup says what a name means.
func (n *names) lookup(p place) found {
	b := n.box(p.box)
	if e := n.entry(b, p); e != nil {
		if e.file != nil {
			return found{kind: foundFile, file: e.file}
		}
		return found{kind: foundMessage, msg: ref{p.box, b.validity, e.uid}}
	}
	uid, ok := n.naming.parseMessage(p.name)
	if !ok {
		uid, ok = n.naming.parseEscaped(p.name)
	}
	if !ok {
		return found{}
	}
	if b.view == nil {
		return found{kind: foundUnknown}
	}
	if name, listed := n.nameOf(p.box, uid); b.view.message(uid) != here || !listed || name != p.name {
		return found{}
	}
	return found{kind: foundMessage, msg: ref{p.box, b.validity, uid}}
}

// entry gives what is under a given name, unless its message is gone.
func (n *names) entry(b *given, p place) *entry {
	e := b.names[p.name]
	if e != nil && e.file == nil && b.view != nil && b.view.message(e.uid) == gone {
		n.drop(b, e)
		return nil
	}
	return e
}

// nameOf gives the one listed name of a message; false: a file is listed for it.
func (n *names) nameOf(box boxID, uid cache.UID) (string, bool) {
	b := n.box(box)
	if b.behind[uid] != nil {
		return "", false
	}
	if e := b.byUID[uid]; e != nil {
		return e.name, true
	}
	name := n.naming.messageName(uid)
	if n.entry(b, place{box, name}) == nil {
		return name, true
	}
	for times := 0; ; times++ {
		name = n.naming.escaped(uid, times)
		if n.entry(b, place{box, name}) == nil && (b.view == nil || !b.view.mailbox(name)) {
			return name, true
		}
	}
}

// numbered gives the name under which a message is listed at its number's place;
// false: it is among the given names (named), or a file is listed for it.
func (n *names) numbered(box boxID, uid cache.UID) (string, bool) {
	if n.box(box).byUID[uid] != nil {
		return "", false
	}
	return n.nameOf(box, uid)
}

// named lists the given names of a mailbox in the order of their offsets, from
// behind the offset on (dirent.go), until yield returns false.
func (n *names) named(box boxID, offset uint64, yield func(at uint64, name string, what found) bool) {
	b := n.box(box)
	order := b.order
	i := sort.Search(len(order), func(i int) bool { return offLocal+order[i].at > offset })
	for _, e := range order[i:] {
		if e.dead || n.entry(b, place{box, e.name}) != e {
			continue
		}
		what := found{kind: foundFile, file: e.file}
		if e.file == nil {
			what = found{kind: foundMessage, msg: ref{box, b.validity, e.uid}}
		}
		if !yield(offLocal+e.at, e.name, what) {
			return
		}
	}
}
