package fs

import "imapfs/cache"

// see is told what a mailbox holds now. A new UIDVALIDITY ends what was known of
// its messages.
func (n *names) see(box boxID, v cache.UIDValidity, w view) {
	b := n.box(box)
	b.view = w
	if b.validity == v {
		return
	}
	if b.validity != 0 {
		n.expire(box, b)
	}
	b.validity = v
}

// expire ends given names of messages, and what files know of theirs.
func (n *names) expire(box boxID, b *given) {
	for m, f := range n.recent {
		if m.box == box {
			n.forget(f)
		}
	}
	b.validity = 0
	for _, e := range b.order {
		switch {
		case e.dead:
		case e.file == nil:
			n.changed(place{box, e.name})
			n.drop(b, e)
		case e.file.base.box == box:
			e.file.base, e.file.instead = ref{}, false
			n.note(e.file)
		}
	}
	clear(b.behind)
	for _, e := range b.order {
		if !e.dead && e.file != nil {
			n.settle(e.file)
		}
	}
}

// refresh drops the given names of messages: each has its number again.
func (n *names) refresh(box boxID) {
	b := n.box(box)
	for _, e := range b.order {
		if !e.dead && e.file == nil {
			n.unname(ref{box, b.validity, e.uid})
		}
	}
}

// gone is told that a mailbox is no more. The files whose texts only the spool has
// now, scratch included, are returned: they stay in it, and are named nowhere.
func (n *names) gone(box boxID) []*file {
	b := n.box(box)
	n.expire(box, b)
	var orphaned []*file
	for _, e := range b.order {
		if e.dead || e.file == nil {
			continue
		}
		f := e.file
		if f.whole && (!f.empty || f.kept) && (f.dirty() || f.scratch) {
			n.unnameFile(f)
			f.orphaned = true
			orphaned = append(orphaned, f)
			continue
		}
		n.remove(f)
	}
	delete(n.boxes, box)
	return orphaned
}

// An orphan is a text that the spool has from an earlier mount, as its journal
// says. Where it was being sent, and turns out to have arrived, but was written to since,
// base is what arrived, and instead false.
type orphan struct {
	at      place
	base    ref // what it is an edit of
	cut     bool
	instead bool
}

// orphan gives what the journal is to say of a noted file.
func (n *names) orphan(f *file) orphan {
	m := n.replaced(f)
	return orphan{at: f.at, base: m, cut: f.cut || f.sentCut || m != f.base, instead: f.instead}
}

// adopt lists a text of an earlier mount: under its name, or where that is
// taken, its name with -2, -3 and so on. A copy of a message that was put aside, and
// not written to, is not adopted but discarded: the message is there.
func (n *names) adopt(o orphan) *file {
	at := o.at
	for i := 2; ; i++ {
		if k := n.lookup(at).kind; k == foundNone || k == foundUnknown || k == foundMessage && n.lookup(at).msg == o.base {
			break
		}
		at.name = adoptedName(o.at.name, i)
	}
	f := n.newFile()
	f.whole, f.wrote, f.cut, f.instead = true, 1, o.cut, o.instead
	f.scratch = n.naming.isScratch(at.name)
	f.owed = !f.scratch
	n.bind(at, f, 0)
	if !n.stands(o.base) || o.base.box != at.box {
		return f
	}
	// Of a text that was put aside and the new one, both have the old message.
	other := n.box(o.base.box).behind[o.base.uid]
	if other != nil && (f.scratch || !other.scratch) {
		return f
	}
	if other != nil {
		n.setBase(other, ref{})
	}
	f.arrived = true
	n.setBase(f, o.base)
	return f
}
