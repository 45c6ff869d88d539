package fs

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"imapfs/cache"
)

// modelNames are what programs call files: numbers, as each mailbox has them,
// what is escaped, ordinary names and scratch.
var modelNames = []string{"1", "2", "3", "4", "5", "%31", "%2531", "%32", "foo", "sedAbC", "17~", "1~", ".1.x", "a.tmp"}

// modelMailboxes are the children of each mailbox, as they are listed.
var modelMailboxes = []string{"%31"}

// TestNamesAndEdits runs random programs, other clients and failures against the
// state of names and edits, and judges by a server, a spool and a person's idea of it.
// The programs are always the same ones, unless -rapid.seed and -rapid.checks are given.
func TestNamesAndEdits(t *testing.T) {
	for name, value := range map[string]string{"rapid.seed": "17", "rapid.checks": "1500", "rapid.nofailfile": "true"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := f.Value.Set(value); err != nil {
				t.Fatal(err)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			T:         t,
			n:         newNames(naming{}),
			boxes:     make(map[boxID]*simBox),
			spool:     make(map[*file]*spooled),
			heard:     make(map[boxID]heard),
			condemned: make(map[*stored]bool),
			unwanted:  make(map[*file]bool),
			orphans:   make(map[*file]bool),
			known:     make(map[int]bool),
			copies:    make(map[int]int),
		}
		for _, id := range []boxID{1, 2} {
			w.boxes[id] = &simBox{validity: 1, next: 1, messages: make(map[cache.UID]*stored), loaded: true}
			for range 3 {
				w.store(id, w.mail())
			}
			w.publish(id)
		}
		t.Repeat(map[string]func(*rapid.T){
			"":         func(t *rapid.T) { w.T = t; w.check() },
			"create":   w.as((*world).create),
			"open":     w.as((*world).open),
			"write":    w.as((*world).write),
			"write2":   w.as((*world).write),
			"truncate": w.as((*world).truncate),
			"flush":    w.as((*world).flush),
			"release":  w.as((*world).release),
			"release2": w.as((*world).release),
			"rename":   w.as((*world).rename),
			"rename2":  w.as((*world).rename),
			"rename3":  w.as((*world).rename),
			"unlink":   w.as((*world).unlink),
			"link":     w.as((*world).link),
			"dated":    w.as((*world).dated),
			"step":     w.as((*world).step),
			"step2":    w.as((*world).step),
			"retry":    w.as((*world).retry),
			"forget":   w.as((*world).forget),
			"deliver":  w.as((*world).deliver),
			"expunge":  w.as((*world).expunge),
			"hear":     w.as((*world).hear),
			"renumber": w.as((*world).renumber),
			"vanish":   w.as((*world).vanish),
			"refresh":  w.as((*world).refresh),
			"crash":    w.as((*world).crash),
			"program":  w.as((*world).program),
			"emacs":    w.as((*world).emacs),
			"dup":      w.as((*world).dup),
			"overlap":  w.as((*world).overlap),
			"overlap2": w.as((*world).overlap),
		})
		w.T = t
		w.finish()
	})
}

func (w *world) as(action func(*world)) func(*rapid.T) {
	return func(t *rapid.T) {
		w.T = t
		action(w)
	}
}

// newText is what a program writes: from an old text, mostly the same message.
func (w *world) newText(old *text) *text {
	w.bodies++
	x := &text{id: rapid.IntRange(1, 3).Draw(w.T, "message-id"), body: w.bodies, parent: old}
	if old != nil && rapid.IntRange(0, 2).Draw(w.T, "other") > 0 {
		x.id = old.id
	}
	if rapid.IntRange(0, 15).Draw(w.T, "photo") == 0 {
		x.id = 0
	}
	return x
}

// mail is what another client delivers.
func (w *world) mail() *stored {
	w.bodies++
	w.clock++
	id := rapid.IntRange(1, 4).Draw(w.T, "message-id")
	return &stored{text: &text{id: id, body: w.bodies}, flags: w.bodies, date: time.Unix(int64(w.clock), 0)}
}

// place draws a name: mostly one that is there.
func (w *world) place() place {
	box := boxID(rapid.IntRange(1, 2).Draw(w.T, "box"))
	var there []string
	for p := range w.listing() {
		if p.box == box {
			there = append(there, p.name)
		}
	}
	if len(there) > 0 && rapid.IntRange(0, 3).Draw(w.T, "new name") > 0 {
		slices.Sort(there)
		return place{box, rapid.SampledFrom(there).Draw(w.T, "name")}
	}
	p := place{box, rapid.SampledFrom(modelNames).Draw(w.T, "name")}
	if s := w.seen0(p); s.stored != nil && s.stored.lost {
		w.Skip("nobody knows yet that this arrived: the spool settles it")
	}
	return p
}

// A seen is what a name shows.
type seen struct {
	text   *text // nil: zero octets
	file   *file
	stored *stored

	based bool // the file has, or had when the mount last heard, a message
	gone  bool // expunged by another client, which the mount has not heard yet
}

// listing is what a person sees: all names of both mailboxes.
func (w *world) listing() map[place]seen {
	all := make(map[place]seen)
	for id := range w.boxes {
		for uid := range w.heard[id].uids {
			if name, ok := w.n.numbered(id, uid); ok {
				m := ref{id, w.boxes[id].validity, uid}
				w.list(all, place{id, name}, found{kind: foundMessage, msg: m})
			}
		}
		last := uint64(0)
		w.n.named(id, 0, func(at uint64, name string, what found) bool {
			if at <= last || at < offLocal || at >= offDot {
				w.Fatalf("%q is at %d, behind %d", name, at, last)
			}
			last = at
			w.list(all, place{id, name}, what)
			return true
		})
	}
	return all
}

func (w *world) list(all map[place]seen, p place, what found) {
	if _, twice := all[p]; twice {
		w.Fatalf("%v is listed twice", p)
	}
	if back := w.n.lookup(p); back != what {
		w.Fatalf("%v is listed as %v, and looked up as %v", p, what, back)
	}
	s := w.seen(what)
	if s.stored != nil && s.file == nil && w.twin(s.stored) {
		return // until its UID is known, it is listed as the file, too
	}
	all[p] = s
}

// twin says that a message was sent from a file that does not know its UID yet,
// or not even that it arrived.
func (w *world) twin(m *stored) bool {
	if m.lost {
		return true
	}
	for f, sp := range w.spool {
		if sp.sent == m && f.unknown() && f.at.name != "" {
			return true
		}
	}
	return false
}

func (w *world) seen(what found) seen {
	if what.kind == foundMessage {
		m := w.find(what.msg)
		if m == nil {
			return seen{gone: true}
		}
		return seen{text: m.text, stored: m}
	}
	f := what.file
	s := seen{file: f, stored: w.find(f.base), based: f.base.validity != 0}
	if f.whole || w.spool[f] != nil && w.spool[f].text != nil {
		s.text = w.spool[f].text
	} else if s.stored != nil {
		s.text = s.stored.text
	}
	return s
}

// check is what holds after each action.
func (w *world) check() {
	all := w.listing()
	shown := make(map[ref]string)
	show := func(m ref, as string) {
		if m.uid == 0 || !w.n.stands(m) {
			return
		}
		if other, ok := shown[m]; ok {
			w.Fatalf("%v is listed as %s and as %s", m, other, as)
		}
		shown[m] = as
	}
	files := make(map[*file]bool)
	for p, s := range all {
		what := w.n.lookup(p)
		if f := s.file; f != nil {
			if f.at != p || files[f] {
				w.Fatalf("file %d is at %v, and listed at %v", f.id, f.at, p)
			}
			files[f] = true
			show(f.base, p.name)
			continue
		}
		show(what.msg, p.name)
		if other, ok := w.n.naming.parseMessage(p.name); ok && other != what.msg.uid {
			// That number is a given name: the other one must not be meant by it.
			if name, listed := w.n.nameOf(p.box, other); listed && name == p.name {
				w.Fatalf("%v means two messages", p)
			}
		}
	}
	for id, h := range w.heard {
		for uid := range h.uids {
			if m := w.find(ref{id, w.boxes[id].validity, uid}); m != nil && w.twin(m) {
				continue
			}
			if shown[ref{id, w.boxes[id].validity, uid}] == "" {
				w.Fatalf("%d/%d is not listed: %+v", id, uid, w.n.box(id).behind[uid])
			}
		}
	}
	for f, sp := range w.spool {
		if sp.text != nil && !w.known[sp.text.body] && !w.unwanted[f] && !w.orphans[f] && !files[f] {
			w.Fatalf("text %d of file %d is listed nowhere", sp.text.body, f.id)
		}
	}
	count := make(map[int]int)
	for _, b := range w.boxes {
		for _, m := range b.messages {
			if !m.lost {
				count[m.text.body]++
			}
		}
	}
	for body, k := range count {
		if k > 1+w.copies[body] {
			w.Fatalf("text %d is on the server %d times", body, k)
		}
	}
}

// begin starts a system call, and mostly runs it to its end by itself.
func (w *world) begin(o *op, start func() *change) {
	alone := len(w.running) == 0
	before := w.listing()
	w.noisy = false
	w.condemn(o)
	o.c = start()
	w.after()
	w.running = append(w.running, o)
	if rapid.IntRange(0, 3).Draw(w.T, "leave it") == 0 {
		return
	}
	w.drive(o, false)
	if alone && !o.vague && !w.noisy {
		w.judge(o, before)
	}
}

func (o *op) over() bool { return o.c.step.kind == stepOver }

// drive does the steps of an operation, and of those it waits for.
func (w *world) drive(o *op, sure bool) {
	for range 200 {
		if o.over() {
			w.ended(o)
			return
		}
		if on := o.c.step.on; on != nil && on.step.kind != stepOver {
			i := slices.IndexFunc(w.running, func(o *op) bool { return o.c == on })
			if i < 0 {
				w.Fatalf("%s waits for what is lost", o.kind)
			}
			w.drive(w.running[i], sure)
			continue
		}
		outcome := 0
		if !sure {
			outcome = max(0, rapid.IntRange(-7, 2).Draw(w.T, "outcome"))
		}
		w.advance(o, outcome)
	}
	w.Fatalf("%s does not end: %+v", o.kind, o.c.step)
}

func (w *world) advance(o *op, outcome int) {
	w.condemn(o)
	var r result
	if o.held != nil {
		r, o.held = *o.held, nil
		if sp := w.spool[o.c.step.file]; o.c.step.kind == stepSend && sp.unknown != nil && r.err == nil && !r.changed {
			sp.unknown.message.lost, sp.unknown = false, nil
		}
	} else {
		r = w.do(o, outcome)
	}
	w.condemn(o)
	w.n.done(o.c, r)
	w.after()
}

func (w *world) ended(o *op) {
	w.running = slices.DeleteFunc(w.running, func(other *op) bool { return other == o })
	for i := 0; i < len(w.running); i++ {
		if w.running[i].over() {
			w.running = slices.Delete(w.running, i, i+1)
		}
	}
}

// condemn marks what an operation, as names now are, says is to go.
func (w *world) condemn(o *op) {
	switch o.kind {
	case "unlink":
		what := w.n.lookup(o.from)
		if m := w.find(what.msg); m != nil {
			w.condemned[m] = true
		}
		if f := what.file; f != nil {
			w.unwanted[f] = true
			if m := w.find(f.base); m != nil {
				w.condemned[m] = true
			}
			if sp := w.spool[f]; sp != nil && sp.sent != nil && f.unknown() {
				w.condemned[sp.sent] = true
			}
			if f.base.validity == 0 && o.c == nil {
				// It is being sent, perhaps: then what arrives is to go.
				o.file = f
			}
		}
	case "rename":
		src, dst := w.seen0(o.from), w.seen0(o.to)
		if dst.file != nil && dst.file != src.file {
			w.unwanted[dst.file] = true
		}
		if src.stored != nil && dst.stored != nil && src.stored.text.body == dst.stored.text.body {
			w.condemned[src.stored] = true
		}
	case "commit":
		if f := o.file; f.doomed {
			if m := w.find(f.base); m != nil {
				w.condemned[m] = true
			}
			if sp := w.spool[f]; sp != nil && sp.sent != nil {
				w.condemned[sp.sent] = true
			}
		}
	}
}

func (w *world) seen0(p place) seen {
	what := w.n.lookup(p)
	if what.kind == foundMessage || what.kind == foundFile {
		return w.seen(what)
	}
	return seen{}
}

// judge compares what an operation did with what a person means by it.
func (w *world) judge(o *op, before map[place]seen) {
	after := w.listing()
	left := make(map[int]int) // of each text, how often it is shown
	for _, s := range after {
		if s.text != nil {
			left[s.text.body]++
		}
	}
	src := before[o.from]
	for _, s := range before {
		if s.stored != nil && s.stored.lost {
			return // somebody has opened by its number what its sender does not know of
		}
	}
	for p, s := range before {
		if s.text == nil || p == o.from || o.kind == "rename" && p == o.to {
			continue
		}
		if left[s.text.body]--; left[s.text.body] < 0 {
			w.Fatalf("%s: text %d at %v is gone", w.tell(o), s.text.body, p)
		}
	}
	if o.c.err != nil {
		if src.text != nil && o.kind == "rename" {
			if left[src.text.body]--; left[src.text.body] < 0 {
				w.Fatalf("%s failed, and text %d is gone", w.tell(o), src.text.body)
			}
		}
		return
	}
	switch o.kind {
	case "commit":
		if o.text == nil || o.file.scratch {
			break
		}
		if s := after[o.from]; s.text != o.text || s.stored == nil || s.stored.text != o.text {
			w.Fatalf("%s: %v shows %v, and not text %d", w.tell(o), o.from, s, o.text.body)
		}
		if e := o.earlier; e != nil && e.text.id == o.text.id {
			if box, uid := w.locate(e); box != 0 {
				w.Fatalf("%s: %d/%d, which it sent before, is still there", w.tell(o), box, uid)
			}
		}
	case "unlink":
		if src.stored != nil && src.file == nil {
			if box, _ := w.locate(src.stored); box != 0 {
				w.Fatalf("%s: the message is still there", w.tell(o))
			}
		}
		if now, ok := after[o.from]; ok && now.text != nil && now.stored == src.stored && now.file == src.file {
			w.Fatalf("%s: it is still listed", w.tell(o))
		}
	case "link":
		if _, listed := before[o.from]; listed && (after[o.to].text != src.text || after[o.from].text != src.text) {
			w.Fatalf("%s: one of them shows something else", w.tell(o))
		}
	case "rename":
		w.judgeRename(o, before, after, left)
	}
}

func (w *world) judgeRename(o *op, before, after map[place]seen, left map[int]int) {
	src := before[o.from]
	was, had := before[o.to]
	if _, listed := before[o.from]; !listed || o.from == o.to || src.gone {
		return
	}
	now := after[o.to]
	away := (src.stored != nil || src.based) && o.from.box != o.to.box
	if now.gone {
		return // put aside, and its message is expunged
	}
	if now.text != src.text && !(away && was.file != nil) {
		w.Fatalf("%s: it shows %v, and not %v", w.tell(o), now, src)
	}
	if src.text != nil && left[src.text.body] == 0 {
		w.Fatalf("%s: text %d is gone", w.tell(o), src.text.body)
	}
	if s, ok := after[o.from]; ok && s.text != nil && s.text == src.text && s.stored == src.stored && s.file == src.file {
		w.Fatalf("%s: the old name means it, too", w.tell(o))
	}
	if !had || was.text == nil || was.text == src.text || src.based && src.stored == nil {
		return
	}
	same := src.text != nil && (was.text.id == src.text.id || src.text.from(was.text))
	gone := left[was.text.body] == 0
	switch {
	case was.file != nil && was.file.unsent():
		if gone && (away || src.text == nil) {
			w.Fatalf("%s: unsent text %d is gone", w.tell(o), was.text.body)
		}
	case was.stored == nil: // scratch
	case was.file != nil && w.n.naming.isScratch(o.to.name):
		if box, _ := w.locate(was.stored); box == 0 {
			w.Fatalf("%s: what was put aside there is gone", w.tell(o))
		}
	case gone && (!same || away):
		w.Fatalf("%s: message %d is gone", w.tell(o), was.text.body)
	case !gone && src.text.mailOf(was.text) && !away && was.file == nil && !w.n.naming.isScratch(o.to.name):
		w.Fatalf("%s: the old text %d of the same message is still there", w.tell(o), was.text.body)
	case gone && was.file == nil && now.stored != nil && now.stored.flags != was.stored.flags:
		w.Fatalf("%s: the flags of the message are not kept", w.tell(o))
	}
}

func (x *text) mailOf(old *text) bool { return x != nil && x.id == old.id }

func (w *world) tell(o *op) string { return fmt.Sprintf("%s %v %v", o.kind, o.from, o.to) }

func (w *world) create() {
	p := w.place()
	if slices.Contains(modelMailboxes, p.name) {
		w.Skip("a mailbox")
	}
	f, err := w.n.create(p)
	if err != nil {
		w.Skip("there")
	}
	w.spooled(f)
	w.handles = append(w.handles, f)
	w.after()
}

func (w *world) open() {
	f, err := w.n.open(w.place())
	if err != nil {
		w.Skip("not there")
	}
	w.spooled(f)
	w.handles = append(w.handles, f)
	w.after()
}

func (w *world) handle() *file {
	if len(w.handles) == 0 {
		w.Skip("nothing is open")
	}
	return rapid.SampledFrom(w.handles).Draw(w.T, "handle")
}

func (w *world) write() { w.writeTo(w.handle()) }

func (w *world) writeTo(f *file) {
	if !f.whole {
		o := &op{kind: "fill", file: f}
		o.c = w.n.fill(f)
		w.running = append(w.running, o)
		w.drive(o, false)
		if o.c.err != nil {
			return
		}
	}
	sp := w.spooled(f)
	sp.text, sp.kept = w.newText(sp.text), nil
	w.n.written(f)
	if f.at.name == "" {
		w.unwanted[f] = true
	}
	w.after()
}

func (w *world) truncate() {
	f := w.handle()
	sp := w.spooled(f)
	unsent := sp.text != nil && f.whole && !w.known[sp.text.body] && !f.scratch && f.at.name != ""
	kept := w.n.truncated(f)
	if unsent && !kept {
		w.Fatalf("text %d is cut, and nowhere else", sp.text.body)
	}
	if kept && sp.kept == nil {
		sp.kept = sp.text
	}
	sp.text = nil
	w.after()
}

func (w *world) flush() { w.commit(w.handle()) }

func (w *world) commit(f *file) *op {
	o := &op{kind: "commit", file: f, from: f.at, to: f.at}
	if f.dirty() && f.at.name != "" {
		o.text = w.spooled(f).text
		if f.unknown() {
			o.earlier = w.spooled(f).sent
		}
	}
	w.begin(o, func() *change { return w.n.commit(f) })
	return o
}

func (w *world) release() {
	f := w.handle()
	i := slices.Index(w.handles, f)
	w.handles = slices.Delete(w.handles, i, i+1)
	w.close(f)
}

func (w *world) close(f *file) {
	end := w.n.close(f)
	if end.restore {
		sp := w.spooled(f)
		if sp.kept == nil {
			w.Fatalf("what was to be kept of file %d is not", f.id)
		}
		sp.text, sp.kept = sp.kept, nil
	}
	w.after()
	if end.commit != nil {
		w.begin(&op{kind: "commit", file: f, from: f.at, to: f.at, text: w.spooled(f).text}, func() *change { return end.commit })
	}
}

func (w *world) rename() {
	from, to := w.place(), w.place()
	if slices.Contains(modelMailboxes, to.name) {
		w.Skip("a mailbox")
	}
	w.begin(&op{kind: "rename", from: from, to: to}, func() *change { return w.n.rename(from, to) })
}

func (w *world) unlink() {
	p := w.place()
	w.begin(&op{kind: "unlink", from: p, to: p}, func() *change { return w.n.unlink(p) })
}

func (w *world) link() {
	from, to := w.place(), w.place()
	if slices.Contains(modelMailboxes, to.name) {
		w.Skip("a mailbox")
	}
	w.begin(&op{kind: "link", from: from, to: to}, func() *change { return w.n.link(from, to) })
}

func (w *world) dated() {
	what := w.n.lookup(w.place())
	w.clock++
	t := time.Unix(int64(w.clock), 0)
	switch what.kind {
	case foundMessage:
		w.begin(&op{kind: "date"}, func() *change { return w.n.datedMessage(what.msg, t) })
	case foundFile:
		w.begin(&op{kind: "date"}, func() *change { return w.n.dated(what.file, t) })
	default:
		w.Skip("not there")
	}
}

func (w *world) step() {
	if len(w.running) == 0 {
		w.Skip("nothing runs")
	}
	o := rapid.SampledFrom(w.running).Draw(w.T, "running")
	if on := o.c.step.on; on != nil && on.step.kind != stepOver {
		w.Skip("waits")
	}
	switch {
	case o.over():
	case o.held == nil && o.c.step.on == nil && rapid.IntRange(0, 2).Draw(w.T, "hold") == 0:
		w.hold(o)
	default:
		w.advance(o, max(0, rapid.IntRange(-7, 2).Draw(w.T, "outcome")))
	}
	if o.over() {
		w.ended(o)
	}
}

// hold does the step of an operation, and keeps the answer back.
func (w *world) hold(o *op) {
	w.condemn(o)
	r := w.do(o, 0)
	o.held = &r
	if s := o.c.step; s.kind == stepSend && r.err == nil && !r.changed {
		sp := w.spool[s.file]
		sp.sent.lost = true
		sp.unknown = &unanswered{message: sp.sent, text: sp.sent.text}
	}
	w.after()
}

// retry sends what is owed.
func (w *world) retry() {
	for p, s := range w.sorted() {
		if s.file != nil && s.file.owed && s.file.at == p {
			w.commit(s.file)
		}
	}
}

func (w *world) sorted() func(func(place, seen) bool) {
	all := w.listing()
	var ps []place
	for p := range all {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b place) int {
		if a.box != b.box {
			return int(a.box) - int(b.box)
		}
		return cmpNames(a.name, b.name)
	})
	return func(yield func(place, seen) bool) {
		for _, p := range ps {
			if !yield(p, all[p]) {
				return
			}
		}
	}
}

func cmpNames(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (w *world) forget() {
	for p, s := range w.sorted() {
		what := w.n.lookup(p)
		if s.file == nil && w.n.recent[what.msg] != nil {
			w.n.forget(w.n.recent[what.msg])
			w.after()
		}
	}
}

func (w *world) deliver() {
	box := boxID(rapid.IntRange(1, 2).Draw(w.T, "box"))
	w.noisy = true
	w.store(box, w.mail())
	if rapid.Bool().Draw(w.T, "heard") {
		w.publish(box)
	}
	w.after()
}

func (w *world) expunge() {
	box := boxID(rapid.IntRange(1, 2).Draw(w.T, "box"))
	var uids []cache.UID
	for uid := range w.boxes[box].messages {
		uids = append(uids, uid)
	}
	if len(uids) == 0 {
		w.Skip("empty")
	}
	slices.Sort(uids)
	w.noisy = true
	delete(w.boxes[box].messages, rapid.SampledFrom(uids).Draw(w.T, "uid"))
	if rapid.Bool().Draw(w.T, "heard") {
		w.publish(box)
	}
	w.after()
}

func (w *world) hear() {
	for _, id := range []boxID{1, 2} {
		w.publish(id)
	}
	w.after()
}

// renumber gives a mailbox a new UIDVALIDITY, and its messages other numbers.
func (w *world) renumber() {
	if rapid.IntRange(0, 3).Draw(w.T, "really") > 0 {
		w.Skip("not now")
	}
	box := boxID(rapid.IntRange(1, 2).Draw(w.T, "box"))
	b := w.boxes[box]
	var uids []cache.UID
	for uid := range b.messages {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	old := b.messages
	b.validity++
	b.next, b.messages = 1, make(map[cache.UID]*stored)
	for _, uid := range slices.Backward(uids) {
		b.messages[b.next] = old[uid]
		b.next++
	}
	for _, f := range w.n.box(box).behind {
		if sp := w.spool[f]; sp != nil && sp.text != nil && w.n.stands(f.base) && f.scratch {
			w.copies[sp.text.body]++ // put aside, and its message cannot be known again: a duplicate, no loss
		}
	}
	w.noisy = true
	w.publish(box)
	w.after()
}

// vanish takes a mailbox away, and makes another of that name.
func (w *world) vanish() {
	if rapid.IntRange(0, 7).Draw(w.T, "really") > 0 {
		w.Skip("not now")
	}
	box := boxID(rapid.IntRange(1, 2).Draw(w.T, "box"))
	b := w.boxes[box]
	b.validity++
	b.next, b.messages = 1, make(map[cache.UID]*stored)
	w.noisy = true
	for _, f := range w.n.gone(box) {
		w.orphans[f] = true
	}
	w.publish(box)
	w.after()
}

func (w *world) refresh() {
	w.n.refresh(boxID(rapid.IntRange(1, 2).Draw(w.T, "box")))
	w.after()
}

// program edits a message as sed -i and rsync do: a new file, renamed over it.
func (w *world) program() {
	to := w.place()
	old := w.seen0(to)
	temp := place{to.box, rapid.SampledFrom([]string{"sedAbC", ".1.x", "a.tmp"}).Draw(w.T, "temp")}
	if old.text == nil || temp == to || slices.Contains(modelMailboxes, to.name) {
		w.Skip("nothing to edit")
	}
	f, err := w.n.create(temp)
	if err != nil {
		w.Skip("there")
	}
	w.spooled(f).text = w.newText(nil)
	w.spooled(f).text.id = old.text.id
	w.n.written(f)
	w.after()
	w.commit(f)
	w.close(f)
	w.begin(&op{kind: "rename", from: temp, to: to}, func() *change { return w.n.rename(temp, to) })
}

// emacs puts a message aside, writes another text under its name, and may remove
// what it put aside.
func (w *world) emacs() {
	p := w.place()
	backup := place{p.box, p.name + "~"}
	if s := w.seen0(p); s.stored == nil || w.seen0(backup) != (seen{}) {
		w.Skip("no message")
	}
	id := w.seen0(p).text
	w.begin(&op{kind: "rename", from: p, to: backup}, func() *change { return w.n.rename(p, backup) })
	f, err := w.n.create(p)
	if err != nil {
		return
	}
	w.handles = append(w.handles, f)
	w.spooled(f)
	w.writeTo(f)
	if x := w.spooled(f).text; id != nil && x.id != 0 {
		x.id = id.id
	}
	w.commit(f)
	if rapid.Bool().Draw(w.T, "tidy") {
		w.begin(&op{kind: "unlink", from: backup, to: backup}, func() *change { return w.n.unlink(backup) })
	}
}

// dup writes and flushes twice, as two programs with one descriptor do.
func (w *world) dup() {
	f := w.handle()
	for range 2 {
		w.writeTo(f)
		w.commit(f)
	}
}

// overlap does something to a file or a name between a step and its answer.
func (w *world) overlap() {
	o := &op{kind: "commit"}
	if len(w.handles) > 0 && rapid.Bool().Draw(w.T, "a commit") {
		f := w.handle()
		w.writeTo(f)
		o.file, o.from, o.to = f, f.at, f.at
		o.c = w.n.commit(f)
	} else {
		o.kind, o.from, o.to = "rename", w.place(), w.place()
		if slices.Contains(modelMailboxes, o.to.name) {
			w.Skip("a mailbox")
		}
		w.condemn(o)
		o.c = w.n.rename(o.from, o.to)
	}
	w.after()
	w.running = append(w.running, o)
	for range rapid.IntRange(0, 2).Draw(w.T, "steps") {
		if !o.over() && o.c.step.on == nil {
			w.advance(o, 0)
		}
	}
	if o.over() || o.c.step.on != nil {
		return
	}
	w.hold(o)
	f := o.file
	if f == nil {
		var err error
		if f, err = w.n.open(o.from); err != nil {
			return
		}
		w.spooled(f)
		w.handles = append(w.handles, f)
		w.after()
	}
	if rapid.Bool().Draw(w.T, "write") {
		w.writeTo(f)
	}
	if rapid.Bool().Draw(w.T, "finish it") {
		w.drive(o, false)
	}
}

// finish lets everything come to its end with a server that does all it is asked.
func (w *world) finish() {
	for len(w.running) > 0 {
		w.drive(w.running[0], true)
	}
	w.hear()
	for len(w.handles) > 0 {
		f := w.handles[0]
		w.handles = w.handles[1:]
		end := w.n.close(f)
		if end.restore {
			w.spooled(f).text, w.spooled(f).kept = w.spooled(f).kept, nil
		}
		w.after()
		w.sure("commit", f, end.commit)
	}
	for range 2 {
		for _, s := range w.sorted() {
			if s.file != nil && s.file.owed {
				w.sure("commit", s.file, w.n.commit(s.file))
			}
		}
	}
	w.check()
	for p, s := range w.listing() {
		f := s.file
		if f == nil || f.scratch || f.empty || s.text == nil || s.text.id == 0 || f.unknown() {
			continue
		}
		w.Fatalf("%v (file %d, text %d) is not on the server: %d %d %+v", p, f.id, s.text.body, f.wrote, f.sent, f)
	}
}

func (w *world) sure(kind string, f *file, c *change) {
	if c == nil {
		return
	}
	o := &op{kind: kind, file: f, c: c}
	w.after()
	w.running = append(w.running, o)
	w.drive(o, true)
}
