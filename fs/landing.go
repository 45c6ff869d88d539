package fs

// commit sends a file whose text the server does not have: flush, fsync, the last
// release, and the retry of what is owed.
func (n *names) commit(f *file) *change {
	return n.start(func(c *change) {
		c.commit = true
		if f.at.name == "" || f.scratch || f.empty || !f.dirty() {
			n.over(c, nil)
			return
		}
		f.owed = true // until it is sent
		n.note(f)
		if f.unknown() {
			n.find(c, f)
			return
		}
		over := n.replaced(f)
		if !n.claim(c, f, f.at, over, f.base) {
			return
		}
		n.land(c, f, f.at.box, over, func(l landing) {
			switch {
			case l.again:
				n.retry(c)
				return
			case f.at.name == "":
				n.removedMeanwhile(c, f, l)
				return
			}
			n.over(c, l.err)
		})
	})
}

// replaced gives the message that a file would replace under its present name.
func (n *names) replaced(f *file) ref {
	if n.stands(f.base) && f.base.box == f.at.box {
		return f.base
	}
	if a := n.aside[f.at]; a != nil && n.stands(a.base) {
		return a.base
	}
	return ref{}
}

// removedMeanwhile ends a commit whose file was removed while it was under way:
// what arrived was removed, too.
func (n *names) removedMeanwhile(c *change, f *file, l landing) {
	if !f.doomed || l.err != nil || !n.stands(f.base) {
		n.over(c, l.err)
		return
	}
	m := f.base
	c.do(step{kind: stepDelete, message: m}, func(r result) {
		if r.err == nil {
			n.vanished(m)
		}
		n.over(c, nil)
	})
}

// A landing is what came of a text that was to be sent.
type landing struct {
	err    error
	again  bool // the file was written to before it was sent
	beside bool // over is still there, and was not touched

	// of send: the file that was listed for the last of replaces, if not the one sent
	other *file
}

// land sends the text of f to a mailbox: in the place of over where that is
// the same message, or f is it and was not cut; else beside it.
func (n *names) land(c *change, f *file, box boxID, over ref, then func(landing)) {
	if !n.stands(over) {
		n.send(c, f, step{box: box}, then)
		return
	}
	inPlace := over == f.base && (!f.cut || f.instead)
	wrote := f.wrote
	c.do(step{kind: stepCompare, file: f, other: over}, func(r result) {
		switch {
		case r.err != nil:
			then(landing{err: r.err})
		case f.wrote != wrote || f.empty:
			then(landing{again: true})
		case r.verdict == textGone:
			n.send(c, f, step{box: box}, then)
		case r.verdict == textEqual:
			f.sent, f.cut, f.arrived, f.owed, f.instead, f.equal = wrote, false, true, false, false, true
			n.setBase(f, over)
			n.note(f)
			then(landing{})
		case r.verdict == textSame || inPlace:
			n.send(c, f, step{box: box, replaces: []ref{over}, like: over}, then)
		default:
			n.send(c, f, step{box: box}, func(l landing) {
				l.beside = true
				then(l)
			})
		}
	})
}

// send does a stepSend.
func (n *names) send(c *change, f *file, s step, then func(landing)) {
	if f.empty {
		then(landing{again: true})
		return
	}
	wrote, cut := f.wrote, f.cut
	s.kind, s.file, s.wrote = stepSend, f, wrote
	f.cut, f.sentCut = false, cut // from here on, of the text that is being sent
	c.do(s, func(r result) {
		f.sentCut = false
		if r.err != nil || r.changed {
			f.cut = f.cut || cut
			then(landing{err: r.err, again: r.changed})
			return
		}
		var other *file
		if k := len(s.replaces); k > 0 {
			last := s.replaces[k-1]
			other = n.box(last.box).behind[last.uid]
		}
		if !r.left {
			for _, m := range s.replaces {
				n.vanished(m)
			}
		}
		f.sent, f.arrived, f.ours, f.owed, f.instead, f.equal = wrote, true, true, false, false, false
		if n.recent[f.base] == f {
			delete(n.recent, f.base)
		}
		n.came(f, ref{s.box, r.validity, r.uid})
		n.note(f)
		if other == f || r.left {
			other = nil
		}
		then(landing{other: other})
	})
}

// settle makes a file its message again when nothing more is to come of it: the
// entry stays, and with it its place in a listing. During a change of it nothing is
// done: its end does it.
func (n *names) settle(f *file) {
	if f.opens > 0 || n.claims[f] != nil || f.at.name == "" || f.scratch || f.dirty() || !f.arrived {
		return
	}
	if f.base.validity != 0 && f.base.uid == 0 && f.base.validity == n.box(f.at.box).validity {
		return // arrived says which
	}
	at, m := f.at, f.base
	stands := n.stands(m)
	if b := n.box(m.box); b.behind[m.uid] == f {
		delete(b.behind, m.uid)
	}
	n.changed(at)
	b := n.box(at.box)
	e := b.names[at.name]
	f.at.name = ""
	switch {
	case !stands, m.box != at.box, at.name == n.naming.messageName(m.uid):
		n.drop(b, e)
	default:
		e.file, e.uid = nil, m.uid
		b.byUID[m.uid] = e
	}
	if stands && f.ours {
		if old := n.recent[m]; old != nil && old != f {
			n.forget(old)
		}
		n.recent[m] = f
		n.note(f)
		return
	}
	n.spend(f)
}

// found is told the UID of what was sent from a file, where the server had not
// said it at once.
func (n *names) found(f *file, m ref) {
	if f.base.uid != 0 || !f.arrived || f.base.box != m.box || f.base.validity != m.validity {
		return
	}
	n.came(f, m)
	n.settle(f)
}

// came is setBase of a message that has just become known. Somebody may have
// opened it by its number before: then it is listed as that file.
func (n *names) came(f *file, m ref) {
	if h := n.box(m.box).behind[m.uid]; m.uid != 0 && h != nil && h != f {
		m = ref{}
	}
	n.setBase(f, m)
}

// forget ends the time in which a text can be given another date. That time
// begins, also anew, when the file is noted.
func (n *names) forget(f *file) {
	if n.recent[f.base] == f {
		delete(n.recent, f.base)
		n.spend(f)
	}
}
