package fs

import "syscall"

// unlink is unlink(2) of a message or file.
func (n *names) unlink(p place) *change {
	return n.start(func(c *change) {
		what := n.lookup(p)
		switch what.kind {
		case foundUnknown:
			n.again(c, step{kind: stepLoad, box: p.box})
			return
		case foundNone:
			n.over(c, syscall.ENOENT)
			return
		case foundMessage:
			if n.claim(c, p, what.msg) {
				n.unlinkMessage(c, what.msg, nil)
			}
			return
		}
		f := what.file
		m := f.base
		if other := n.claims[f]; other != nil && other != c && other.commit && m.validity == 0 {
			f.doomed = true
			n.remove(f)
			n.note(f)
			n.over(c, nil)
			return
		}
		if !n.claim(c, p, f, m) {
			return
		}
		switch {
		case f.arrived && m.uid == 0 && m.validity != 0:
			n.find(c, f)
		case !n.stands(m):
			n.remove(f)
			n.over(c, nil)
		case f.scratch && n.heir(f) != nil:
			g := n.heir(f)
			n.remove(f)
			n.setBase(g, m)
			g.cut, g.instead = true, true
			n.note(g)
			n.over(c, nil)
		default:
			n.unlinkMessage(c, m, f)
		}
	})
}

// heir gives the file whose text waits under the old name of one put aside.
func (n *names) heir(f *file) *file {
	var heir *file
	for p, a := range n.aside {
		if a != f {
			continue
		}
		e := n.box(p.box).names[p.name]
		if e == nil || e.file == nil || !e.file.unsent() || n.stands(e.file.base) {
			continue
		}
		if heir == nil || e.file.id > heir.id {
			heir = e.file // the newest
		}
	}
	return heir
}

func (n *names) unlinkMessage(c *change, m ref, f *file) {
	c.do(step{kind: stepDelete, message: m}, func(r result) {
		if r.err != nil {
			n.over(c, r.err)
			return
		}
		n.vanished(m)
		if f != nil {
			n.remove(f)
		}
		n.over(c, nil)
	})
}

// link is link(2): a copy of a message. That the new name is free the kernel
// has seen.
func (n *names) link(from, to place) *change {
	return n.start(func(c *change) {
		what := n.lookup(from)
		m := what.msg
		switch {
		case what.kind == foundUnknown:
			n.again(c, step{kind: stepLoad, box: from.box})
			return
		case what.kind == foundNone:
			n.over(c, syscall.ENOENT)
			return
		case n.naming.isScratch(to.name):
			n.over(c, syscall.EPERM)
			return
		case what.file != nil:
			m = what.file.base
			if what.file.scratch || what.file.dirty() || !n.stands(m) {
				n.over(c, syscall.EPERM)
				return
			}
		}
		if k := n.lookup(to).kind; k == foundMessage || k == foundFile {
			n.over(c, syscall.EEXIST)
			return
		}
		if !n.claim(c, to, m) {
			return
		}
		c.do(step{kind: stepCopy, message: m, box: to.box}, func(r result) {
			if r.err == nil && n.lookup(to).kind != foundFile {
				renaming{names: n, to: to}.adoptName(ref{to.box, r.validity, r.uid})
			}
			n.over(c, r.err)
		})
	})
}
