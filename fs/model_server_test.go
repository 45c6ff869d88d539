package fs

import (
	"maps"
	"slices"
	"syscall"
	"time"

	"pgregory.net/rapid"

	"imapfs/cache"
)

// The server and the spool of the model: what a step does, at once or not at all,
// and what each of them must never see.

// A text is what a message or a file says.
type text struct {
	id     int // its Message-ID; 0: it is no mail
	body   int // no two texts have the same
	parent *text
}

// from says that a text was made from another without a cut to zero.
func (x *text) from(old *text) bool {
	for p := x; p != nil; p = p.parent {
		if p == old {
			return true
		}
	}
	return false
}

type stored struct {
	text  *text
	date  time.Time
	flags int
	lost  bool // the client has not heard of it yet
}

type simBox struct {
	validity cache.UIDValidity
	next     cache.UID
	messages map[cache.UID]*stored
	loaded   bool
}

// A spooled text is what the spool has of a file.
type spooled struct {
	text    *text // nil: zero octets
	kept    *text // what it was before it was cut, where that is nowhere else
	sent    *stored
	unknown *unanswered
	journal orphan
	owner   *file
}

// unanswered is a stepSend without an answer that was done: what the
// journal knows of it.
type unanswered struct {
	message  *stored
	replaces []ref
	text     *text
}

// A heard is a view.
type heard struct {
	uids map[cache.UID]bool
	next cache.UID
}

func (h heard) message(uid cache.UID) presence {
	switch {
	case h.uids[uid]:
		return here
	case uid < h.next:
		return gone
	}
	return unheard
}

func (h heard) mailbox(listed string) bool { return slices.Contains(modelMailboxes, listed) }

// world is a mount, its server and its spool, and what a person may expect.
type world struct {
	*rapid.T
	n     *names
	boxes map[boxID]*simBox
	spool map[*file]*spooled
	heard map[boxID]heard

	running []*op
	handles []*file
	bodies  int
	clock   int

	condemned map[*stored]bool // to be deleted, as somebody said so
	unwanted  map[*file]bool   // the same of texts
	orphans   map[*file]bool   // of texts whose mailbox is gone
	known     map[int]bool     // bodies that the server has had
	copies    map[int]int      // bodies that were copied
	noisy     bool             // something happened besides the operation that is looked at
}

// op is one system call of a program.
type op struct {
	kind     string
	c        *change
	from, to place
	file     *file
	text     *text   // of file, when it began
	vague    bool    // the server did not say what came of a step
	earlier  *stored // what was sent from file before, and is not known by its UID
	held     *result // of its step, which was done
}

func (w *world) find(m ref) *stored {
	b := w.boxes[m.box]
	if m.uid == 0 || b.validity != m.validity {
		return nil
	}
	return b.messages[m.uid]
}

// store puts a message into a mailbox.
func (w *world) store(box boxID, s *stored) cache.UID {
	if s.text == nil {
		w.Fatalf("an empty message came to be in %d", box)
	}
	b := w.boxes[box]
	uid := b.next
	b.next++
	b.messages[uid] = s
	w.known[s.text.body] = true
	return uid
}

func (w *world) locate(s *stored) (boxID, cache.UID) {
	for id, b := range w.boxes {
		for uid, other := range b.messages {
			if other == s {
				return id, uid
			}
		}
	}
	return 0, 0
}

// erase takes a message from the server. by is what replaced it, nil for a
// delete that somebody asked for.
func (w *world) erase(s *stored, by *text) {
	box, uid := w.locate(s)
	if box == 0 {
		return
	}
	switch {
	case s.lost:
	case w.condemned[s]:
		for p, f := range w.n.aside {
			if e := w.n.lookup(p); by == nil && len(w.running) <= 1 && w.find(f.base) == s && e.kind == foundFile && e.file.unsent() && !w.unwanted[e.file] && w.spooled(e.file).sent == nil && w.find(e.file.base) == nil && w.copies[s.text.body] == 0 {
				w.Fatalf("%d/%d is deleted, and its new text at %v is not sent", box, uid, p)
			}
		}
	case by == nil:
		w.Fatalf("%d/%d (text %d) is deleted, and nobody has asked for that", box, uid, s.text.body)
	case by.id == 0:
		w.Fatalf("%d/%d is replaced by what is no mail", box, uid)
	case by.id != s.text.id && !by.from(s.text) && by.body != s.text.body:
		w.Fatalf("%d/%d (message %d) is replaced by another message (%d)", box, uid, s.text.id, by.id)
	}
	delete(w.boxes[box].messages, uid)
	w.publish(box)
}

// publish lets the mount hear of a mailbox.
func (w *world) publish(id boxID) {
	b := w.boxes[id]
	if !b.loaded {
		return
	}
	h := heard{uids: make(map[cache.UID]bool), next: b.next}
	for uid := range b.messages {
		h.uids[uid] = true
	}
	w.heard[id] = h
	w.n.see(id, b.validity, h)
}

var errServer = syscall.EIO // a refusal, or no answer

// do does the step of an operation: with outcome 1 the server refuses, with 2
// it does it and the answer is lost.
func (w *world) do(o *op, outcome int) (r result) {
	s := o.c.step
	if outcome == 1 && s.kind != stepWait {
		return result{err: errServer}
	}
	if outcome == 2 {
		o.vague = true
		defer func() {
			if r.err == nil && s.kind != stepWait {
				r = result{err: errServer}
			}
		}()
	}
	switch s.kind {
	case stepLoad:
		w.boxes[s.box].loaded = true
		w.publish(s.box)
	case stepFetch:
		m := w.find(s.message)
		if m == nil {
			return result{err: syscall.ESTALE}
		}
		if !s.file.whole {
			w.spooled(s.file).text = m.text
		}
	case stepFind:
		sp := w.spooled(s.file)
		box, uid := w.locate(sp.sent)
		if box == 0 || box != s.file.base.box {
			return result{err: errServer}
		}
		return result{validity: w.boxes[box].validity, uid: uid}
	case stepCompare:
		return w.compare(s)
	case stepSend:
		return w.send(o, s, outcome)
	case stepDelete:
		if m := w.find(s.message); m != nil {
			w.erase(m, nil)
		}
	case stepMove, stepCopy:
		m := w.find(s.message)
		if m == nil {
			return result{err: syscall.ENOENT}
		}
		if s.kind == stepMove {
			if box, uid := w.locate(m); s.box == box {
				w.Fatalf("%d/%d is moved to where it is", box, uid)
			}
			delete(w.boxes[s.message.box].messages, s.message.uid)
			w.publish(s.message.box)
			if outcome == 2 && w.n.lookup(o.from).kind == foundFile {
				w.copies[m.text.body]++ // the file has its text, and no message any more: a duplicate, no loss
			}
		} else {
			dup := *m
			m = &dup
			w.copies[m.text.body]++
		}
		uid := w.store(s.box, m)
		w.publish(s.box)
		r := result{validity: w.boxes[s.box].validity, uid: uid}
		if rapid.IntRange(0, 4).Draw(w.T, "silent") == 0 {
			r.uid, o.vague = 0, true
		}
		return r
	}
	return result{}
}

func (w *world) compare(s step) result {
	var x *text
	if s.file != nil {
		x = w.spooled(s.file).text
	} else if m := w.find(s.message); m != nil {
		x = m.text
	}
	other := w.find(s.other)
	switch {
	case x == nil:
		return result{err: syscall.ESTALE}
	case other == nil:
		return result{verdict: textGone}
	case x.body == other.text.body && (s.file == nil || s.file.date.IsZero() || s.file.date.Equal(other.date)):
		return result{verdict: textEqual}
	case x.id == other.text.id:
		return result{verdict: textSame}
	}
	return result{}
}

func (w *world) send(o *op, s step, outcome int) result {
	sp := w.spooled(s.file)
	stale := func(m ref) bool { return m.validity != w.boxes[m.box].validity }
	if s.file.wrote != s.wrote || slices.ContainsFunc(s.replaces, stale) {
		return result{changed: true}
	}
	if sp.text == nil {
		w.Fatalf("an empty file is sent")
	}
	if s.file.scratch && o.kind != "rename" {
		w.Fatalf("scratch %q is sent", s.file.at.name)
	}
	if sp.text.id == 0 {
		return result{err: syscall.EINVAL}
	}
	if len(s.replaces) > 0 && !slices.Contains(s.replaces, s.like) {
		w.Fatalf("the flags of what is replaced are lost")
	}
	earlier := sp.unknown
	sp.unknown = nil
	m := &stored{text: sp.text, date: s.file.date}
	if old := w.find(s.like); old != nil {
		m.flags = old.flags
		if m.date.IsZero() {
			m.date = old.date
		}
	}
	if earlier != nil && earlier.text == sp.text {
		// It arrived, and is only now known to have.
		if box, _ := w.locate(earlier.message); box == s.box {
			earlier.message.flags, earlier.message.date = m.flags, m.date
			m = earlier.message
		}
	}
	if box, _ := w.locate(m); box == 0 {
		w.store(s.box, m)
	}
	_, uid := w.locate(m)
	if outcome == 2 {
		m.lost = true
		sp.unknown = &unanswered{m, s.replaces, sp.text}
		if earlier != nil && earlier.message != m {
			w.erase(earlier.message, sp.text)
		}
		w.publish(s.box)
		return result{}
	}
	m.lost = false
	if earlier != nil && earlier.message != m {
		w.erase(earlier.message, sp.text)
	}
	r := result{validity: w.boxes[s.box].validity, uid: uid}
	r.left = len(s.replaces) > 0 && rapid.IntRange(0, 9).Draw(w.T, "left") == 0
	for _, old := range s.replaces {
		switch x := w.find(old); {
		case x == nil, x == m:
		case r.left:
			w.copies[x.text.body]++
			o.vague = true
		default:
			w.erase(x, sp.text)
		}
	}
	w.publish(s.box)
	sp.sent = m
	if rapid.IntRange(0, 4).Draw(w.T, "silent") == 0 {
		r.uid, o.vague = 0, true
	}
	return r
}

func (w *world) spooled(f *file) *spooled {
	sp := w.spool[f]
	if sp == nil {
		sp = &spooled{owner: f}
		w.spool[f] = sp
	}
	return sp
}

// after does what names owes: the journal is written, spent texts go.
func (w *world) after() {
	a := w.n.after()
	for _, f := range a.noted {
		sp := w.spooled(f)
		sp.journal = w.n.orphan(f)
		if u := sp.unknown; u != nil && w.find(f.base) == u.message {
			u.message.lost = false
			sp.sent, sp.unknown = u.message, nil
		}
	}
	for _, f := range a.spent {
		sp := w.spool[f]
		if sp == nil {
			continue
		}
		for _, x := range []*text{sp.text, sp.kept} {
			if x != nil && !w.known[x.body] && !w.unwanted[f] {
				w.Fatalf("text %d of file %d was nowhere else, and is discarded", x.body, f.id)
			}
		}
		if sp.unknown != nil {
			w.erase(sp.unknown.message, nil)
		}
		delete(w.spool, f)
	}
}

// crash ends the mount in the middle of everything, and mounts again.
func (w *world) crash() {
	old := w.spool
	w.n = newNames(w.n.naming)
	w.running, w.handles = nil, nil
	w.spool = make(map[*file]*spooled)
	w.heard = make(map[boxID]heard)
	for _, b := range w.boxes {
		b.loaded = false
	}
	if rapid.Bool().Draw(w.T, "load first") {
		w.load()
	}
	entries := slices.SortedFunc(maps.Values(old), func(a, b *spooled) int { return int(a.owner.id) - int(b.owner.id) })
	for _, sp := range entries {
		x, base := sp.text, sp.journal.base
		if x == nil {
			x = sp.kept
		}
		if u := sp.unknown; u != nil {
			if box, uid := w.locate(u.message); box != 0 {
				u.message.lost = false
				for _, m := range u.replaces {
					if s := w.find(m); s != nil && s != u.message {
						w.erase(s, u.text) // as the journal says
					} else if s == nil {
						w.copies[u.text.body]++ // it was moved, its answer being lost: a duplicate, no loss
					}
				}
				if u.text == x {
					continue
				}
				base = ref{box, w.boxes[box].validity, uid}
			}
		}
		if x == nil || w.known[x.body] || sp.journal.at.name == "" {
			continue
		}
		j := sp.journal
		if base != j.base {
			j.base, j.instead = base, false
		}
		f := w.n.adopt(j)
		w.spooled(f).text = x
		w.after()
		w.spooled(f).journal = w.n.orphan(f)
	}
	w.load()
}

func (w *world) load() {
	for _, id := range []boxID{1, 2} {
		w.boxes[id].loaded = true
		w.publish(id)
	}
}
