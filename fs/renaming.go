package fs

import "syscall"

// rename is rename(2) of a message or file. What the table in given.go says is
// decided here, by what the two names mean when nobody else has a claim on them.
func (n *names) rename(from, to place) *change {
	return n.start(func(c *change) {
		src, dst := n.lookup(from), n.lookup(to)
		switch {
		case src.kind == foundUnknown:
			n.again(c, step{kind: stepLoad, box: from.box})
			return
		case dst.kind == foundUnknown:
			n.again(c, step{kind: stepLoad, box: to.box})
			return
		case src.kind == foundNone:
			n.over(c, syscall.ENOENT)
			return
		case from == to:
			n.over(c, nil)
			return
		}
		f, x, g := src.file, src.msg, dst.file
		m := dst.msg
		if f != nil {
			x = f.base
		}
		if g != nil && !g.scratch {
			m = g.base
		}
		if !n.claim(c, from, to, f, x, g, m, n.recent[x]) {
			return
		}
		if f != nil && f.unknown() {
			n.find(c, f)
			return
		}
		r := renaming{names: n, c: c, from: from, to: to, f: f, x: x, g: g, m: m}
		switch {
		case f == nil, !f.dirty() && n.stands(x):
			r.message()
		case f.dirty() && n.stands(x):
			r.commitFirst()
		case f.arrived && !f.dirty() && !f.scratch:
			n.over(c, syscall.ENOENT) // expunged by another client while open
		default:
			r.text()
		}
	})
}

// A renaming is one rename whose names are known.
type renaming struct {
	*names
	c        *change
	from, to place
	f        *file // what from is; nil: the message x
	x        ref   // f's base, or what from is
	g        *file // what to is; nil: the message m, or nothing
	m        ref   // the message that to means
}

// commitFirst sends an edit under the name that it has, and begins again.
func (r renaming) commitFirst() {
	if r.f.empty {
		r.over(r.c, syscall.EBUSY) // between a cut and its write
		return
	}
	r.land(r.c, r.f, r.x.box, r.x, func(l landing) {
		if l.again {
			r.retry(r.c)
			return
		}
		if l.err != nil {
			if !r.f.scratch {
				r.f.owed = true
				r.note(r.f)
			}
			r.over(r.c, l.err)
			return
		}
		r.retry(r.c)
	})
}

// message renames a message, or a file that says what its message does.
func (r renaming) message() {
	scratch := r.naming.isScratch(r.to.name)
	switch {
	case r.x.box != r.to.box && scratch:
		r.over(r.c, syscall.EPERM)
	case r.x.box != r.to.box:
		r.away()
	case scratch:
		r.putAside()
	case r.m == r.x:
		// Two names of one message: the other is its edit, made since.
		r.over(r.c, syscall.EBUSY)
	case r.stands(r.m):
		r.onto()
	case r.g != nil && r.g.unsent():
		// Its text is about to go: not for a message that another client has expunged.
		r.c.do(step{kind: stepCompare, message: r.x, other: r.x}, func(res result) {
			switch {
			case res.err == nil && res.verdict == textGone:
				res.err = syscall.ENOENT
			case res.err == nil:
				r.take()
			}
			r.over(r.c, res.err)
		})
	default:
		r.take()
		r.over(r.c, nil)
	}
}

// take gives the name to what is renamed, which it has to itself: a file that had
// it is discarded, a message has its own again.
func (r renaming) take() {
	if r.g != nil && r.g.at == r.to {
		r.remove(r.g)
	}
	if e := r.lookup(r.to); e.kind == foundFile && e.file != r.f {
		// Made meanwhile. What is renamed has its number, once nobody has it open.
		if r.f != nil && !r.f.dirty() && r.stands(r.f.base) {
			r.f.scratch = false
		}
		return
	}
	if r.f == nil {
		r.f = r.box(r.x.box).behind[r.x.uid] // opened meanwhile
	}
	if r.f == nil {
		r.give(r.to, r.x)
		r.changed(r.to)
		r.changed(r.from)
		return
	}
	r.rebind()
	r.settle(r.f)
}

// rebind gives the file the name; what had it must be gone.
func (r renaming) rebind() {
	f := r.f
	base := f.base
	r.unnameFile(f)
	r.changed(r.from)
	f.scratch = r.naming.isScratch(r.to.name)
	if !f.scratch {
		for p, a := range r.aside {
			if a == f {
				delete(r.aside, p)
			}
		}
	}
	r.bind(r.to, f, 0)
	r.setBase(f, base)
}

// putAside makes a scratch file of a message. It stays on the server.
func (r renaming) putAside() {
	f := r.f
	if f == nil {
		f = r.newFile()
	}
	done := func(err error) {
		if err == nil && (r.box(r.x.box).behind[r.x.uid] != r.f || !r.stands(r.x)) {
			err = syscall.EBUSY // opened meanwhile, or expunged
		}
		if err != nil {
			if r.f == nil {
				r.spend(f)
			}
			r.over(r.c, err)
			return
		}
		if r.g != nil && r.g.at == r.to {
			r.remove(r.g)
		}
		was := f.scratch
		r.unname(r.x)
		f.base, f.arrived = r.x, true
		r.f = f
		r.rebind()
		if !was {
			r.aside[r.from] = f
		}
		r.over(r.c, nil)
	}
	if f.whole {
		done(nil)
		return
	}
	r.fetch(r.c, f, r.x, done)
}

// away moves a message to another mailbox.
func (r renaming) away() {
	r.c.do(step{kind: stepMove, message: r.x, box: r.to.box}, func(res result) {
		if res.err != nil {
			r.over(r.c, res.err)
			return
		}
		y := ref{r.to.box, res.validity, res.uid}
		r.vanished(r.x)
		taken := r.lookup(r.to).kind == foundFile
		switch {
		case r.f != nil && (r.f.opens > 0 || r.f.dirty()) && !taken:
			r.f.base = ref{}
			r.rebind()
			r.came(r.f, y)
		case r.f != nil && r.f.dirty():
			// Written meanwhile: it stays where it is, without a base.
		case r.f != nil:
			r.remove(r.f)
			fallthrough
		default:
			if !taken {
				r.adoptName(y)
			}
		}
		r.changed(r.from)
		r.changed(r.to) // for the kernel it is what was renamed
		r.over(r.c, nil)
	})
}

// adoptName gives the name to a message that has just arrived in the mailbox.
func (r renaming) adoptName(y ref) {
	if b := r.box(y.box); b.validity == 0 {
		b.validity = y.validity
	}
	r.give(r.to, y)
	r.changed(r.to)
}

// onto renames a message to the name of another of the same mailbox.
func (r renaming) onto() {
	var wrote uint64
	if r.f != nil {
		wrote = r.f.wrote
	}
	r.c.do(step{kind: stepCompare, file: r.dating(), message: r.x, other: r.m}, func(res result) {
		switch {
		case r.f != nil && r.f.wrote != wrote:
			r.retry(r.c)
		case res.err != nil:
			r.over(r.c, res.err)
		case res.verdict == textSame:
			r.edit()
		case res.verdict == textEqual:
			r.c.do(step{kind: stepDelete, message: r.x}, func(res result) {
				if res.err != nil {
					r.over(r.c, res.err)
					return
				}
				r.vanished(r.x)
				if r.g != nil && r.g.at == r.to {
					r.remove(r.g)
				}
				r.x = r.m
				if r.f != nil {
					r.setBase(r.f, r.m)
				}
				r.take()
				r.over(r.c, nil)
			})
		default:
			r.take()
			r.over(r.c, nil)
		}
	})
}

// dating gives the file whose text the renamed message is, if it was sent a
// moment ago: it may have a date.
func (r renaming) dating() *file {
	if r.f != nil && r.f.whole {
		return r.f
	}
	return r.recent[r.x]
}

// edit sends the renamed text again, with the flags and the date of the
// message whose name it takes, in place of both.
func (r renaming) edit() {
	f := r.f
	if f == nil {
		f = r.recent[r.x]
	}
	if f == nil {
		f = r.newFile()
	}
	send := func(err error) {
		if err != nil {
			if f != r.f {
				r.spend(f)
			}
			r.over(r.c, err)
			return
		}
		if r.f != nil && r.f.dirty() {
			r.retry(r.c)
			return
		}
		s := step{box: r.to.box, replaces: []ref{r.m, r.x}, like: r.m}
		delete(r.recent, r.x)
		r.send(r.c, f, s, func(l landing) {
			if l.err != nil || l.again {
				switch {
				case f == r.f:
				case f.ours && r.stands(r.x):
					r.recent[r.x] = f
				default:
					r.spend(f)
				}
				if l.again {
					r.retry(r.c)
				} else {
					r.over(r.c, l.err)
				}
				return
			}
			if l.other != nil && f != r.f {
				r.setBase(l.other, f.base) // opened meanwhile
			}
			r.x = f.base
			r.take()
			switch {
			case f == r.f:
			case r.stands(f.base):
				r.recent[f.base] = f
			default:
				r.spend(f)
			}
			r.over(r.c, nil)
		})
	}
	if f.whole {
		send(nil)
		return
	}
	r.fetch(r.c, f, r.x, send)
}

// text renames a file whose text the server does not have.
func (r renaming) text() {
	f, g, c := r.f, r.g, r.c
	switch {
	case f.empty && g != nil && (g.unsent() || r.stands(g.base)):
		r.over(c, syscall.EPERM)
	case r.naming.isScratch(r.to.name):
		f.owed = false
		r.take()
		r.over(c, nil)
	case f.empty, !f.scratch && !r.stands(r.m) && f.dirty():
		r.take()
		r.over(c, nil)
	default:
		over := r.m
		if a := r.aside[r.to]; !r.stands(over) && a != nil && a != f {
			over = a.base
		}
		r.land(c, f, r.to.box, over, func(l landing) {
			switch {
			case l.again:
				r.retry(c)
			case l.err != nil:
				r.over(c, l.err)
			default:
				r.take()
				r.over(c, nil)
			}
		})
	}
}
