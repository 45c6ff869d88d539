package fs

import (
	"syscall"
	"time"
)

// create makes an empty file. That the name is free the kernel has seen; where
// it is not so any more, EEXIST.
func (n *names) create(p place) (*file, error) {
	if k := n.lookup(p).kind; k == foundMessage || k == foundFile {
		return nil, syscall.EEXIST
	}
	f := n.newFile()
	f.opens, f.empty, f.whole = 1, true, true
	f.scratch = n.naming.isScratch(p.name)
	n.bind(p, f, 0)
	return f, nil
}

func (n *names) newFile() *file {
	n.last++
	return &file{id: n.last}
}

// open counts a handle of a file, or makes the file that stands for a message
// from its opening for writing to its last release. The message keeps its node.
// ENOENT: the name means nothing any more.
func (n *names) open(p place) (*file, error) {
	what := n.lookup(p)
	switch what.kind {
	case foundFile:
		what.file.opens++
		return what.file, nil
	case foundMessage:
		f := n.recent[what.msg]
		if f != nil && n.claims[f] == nil {
			delete(n.recent, what.msg)
		} else {
			f = n.newFile()
			f.arrived = true
		}
		f.opens++
		n.unname(what.msg)
		n.bind(p, f, 0)
		n.setBase(f, what.msg)
		return f, nil
	}
	return nil, syscall.ENOENT
}

// fill makes the text of a file whole in the spool, which a write or a cut to
// other than zero needs first.
func (n *names) fill(f *file) *change {
	return n.start(func(c *change) {
		if f.whole {
			n.over(c, nil)
			return
		}
		if !n.claim(c, f) {
			return
		}
		n.fetch(c, f, f.base, func(err error) { n.over(c, err) })
	})
}

func (n *names) fetch(c *change, f *file, m ref, then func(error)) {
	c.do(step{kind: stepFetch, file: f, message: m}, func(r result) {
		if r.err == nil && !f.whole {
			f.whole, f.empty = true, false
		}
		then(r.err)
	})
}

// written is told of each write, and each change of size to other than zero, of
// a file that is whole.
func (n *names) written(f *file) {
	if !f.dirty() {
		n.note(f)
	}
	f.wrote++
	f.empty, f.kept = false, false
}

// truncated is told of a cut to zero. Where it returns true, the text that was
// there is nowhere else: the spool keeps it until written or the last release.
func (n *names) truncated(f *file) bool {
	if f.empty {
		return f.kept
	}
	f.kept = f.whole && f.unsent()
	f.whole, f.empty, f.cut = true, true, true
	f.wrote++
	n.note(f) // before its first octet: whether it was cut decides what it may replace
	return f.kept
}

// closed is what the last release of a file leads to.
type closed struct {
	commit  *change // to be run behind it; nil: nothing to send
	restore bool    // the text that was kept is the file's again
}

// close is told of a release.
func (n *names) close(f *file) closed {
	f.opens--
	switch {
	case f.opens > 0:
	case f.at.name == "":
		n.spend(f)
	case f.empty && f.kept:
		f.empty, f.kept, f.owed = false, false, true
		n.note(f)
		return closed{restore: true}
	case f.empty && f.cut && f.arrived && !f.scratch && n.stands(f.base):
		// Nothing is replaced by zero octets: the message is as it was.
		f.sent, f.cut, f.ours = f.wrote, false, false
		n.settle(f)
	case f.dirty() && !f.scratch && !f.empty:
		f.owed = true
		n.note(f)
		return closed{commit: n.commit(f)}
	default:
		n.settle(f)
	}
	return closed{}
}

// dated is utimens of a file, to a date that is not its own. EPERM: it is a
// message that was opened and not changed, and not ours.
func (n *names) dated(f *file, t time.Time) *change {
	if f.arrived && !f.ours && !f.dirty() && !f.scratch {
		return finished(syscall.EPERM)
	}
	f.date = t
	n.note(f)
	if f.dirty() || f.scratch || !f.ours || f.at.name == "" {
		return finished(nil)
	}
	return n.redate(f)
}

// datedMessage is utimens of a message for which no file is listed, to a date
// that is not its own.
func (n *names) datedMessage(m ref, t time.Time) *change {
	f := n.recent[m]
	if f == nil {
		return finished(syscall.EPERM)
	}
	f.date = t
	return n.redate(f)
}

// redate sends a text again that arrived a moment ago, in place of itself.
func (n *names) redate(f *file) *change {
	return n.start(func(c *change) {
		m := f.base
		switch {
		case f.at.name == "" && n.recent[m] != f:
			n.over(c, syscall.EPERM) // forgotten, or gone, while this waited
			return
		case f.dirty():
			n.over(c, nil)
			return
		case m.validity != 0 && m.uid == 0:
			n.find(c, f)
			return
		case !n.stands(m):
			n.over(c, syscall.ENOENT)
			return
		}
		if !n.claim(c, f, m) {
			return
		}
		name, listed := n.nameOf(m.box, m.uid)
		wasRecent := n.recent[m] == f
		n.send(c, f, step{box: m.box, replaces: []ref{m}, like: m}, func(l landing) {
			if l.again {
				n.retry(c)
				return
			}
			if l.other != nil {
				n.setBase(l.other, f.base) // opened meanwhile
			} else if l.err == nil && listed {
				n.give(place{m.box, name}, f.base)
			}
			if l.err == nil && wasRecent && f.at.name == "" && n.stands(f.base) {
				n.recent[f.base] = f
			}
			n.over(c, l.err)
		})
	})
}

// find asks for the UID of what was sent, and begins the change again.
func (n *names) find(c *change, f *file) {
	if !n.claim(c, f) {
		return
	}
	c.do(step{kind: stepFind, file: f}, func(r result) {
		if r.err != nil || r.uid == 0 {
			if r.err == nil {
				r.err = syscall.EIO
			}
			n.over(c, r.err)
			return
		}
		n.found(f, ref{f.base.box, r.validity, r.uid})
		n.retry(c)
	})
}
