package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"imapfs/imapconn/imapwire"

	"pgregory.net/rapid"
)

// wanted is what the model knows of an entry.
type wanted struct {
	e        *Entry
	state    State
	text     []byte         // as a program wrote it
	vague    bool           // a write failed: text is not known
	torn     bool           // not to be committed
	doubt    bool           // a sync of the text failed
	lost     bool           // it may not be what was committed
	versions [][]byte       // what was committed, as it is sent
	now      map[State]bool // what an Open may find after a kill; none: nothing
	may      map[State]bool // and after a cut
	durable  bool           // a cut leaves an entry
	synced   bool           // and its text
	older    *wanted        // the generation before
	gone     bool           // removed
	stays    bool           // removed, and a crash may bring it back
	back     map[State]bool // as what
	rest     bool           // whole after a crash, though it can be written to
	owes     []Message      // what it must replace
}

// afterCrash is what an Open makes of a state on the disk.
func afterCrash(s State) State {
	if s == Sending {
		return Unknown
	}
	return s
}

// put notes that the entry was written to the disk, or not.
func (w *wanted) put(s State, durable bool, err error) {
	m := afterCrash(s)
	if err != nil {
		w.now[m], w.may[m] = true, true
		return
	}
	w.now = map[State]bool{m: true}
	if durable {
		w.durable, w.may = true, map[State]bool{m: true}
	} else {
		w.may[m] = true
	}
}

// world is the spool, its disk, and what is wanted of it.
type world struct {
	disk   *crashDisk
	s      *Spool
	all    []*wanted
	hidden map[UID]bool // must be hidden
	maybe  map[UID]bool // may be
	moves  map[string]bool
	ids    int
}

// id counts, so that a program can be run again.
func (w *world) id() string {
	w.ids++
	return fmt.Sprintf("%016x", w.ids)
}

const inboxWire = "INBOX"

func attrs(name string) Attrs {
	return Attrs{Mailbox: Mailbox{inboxWire, []string{"INBOX"}}, Name: name}
}

// asSent is a text as it is sent, done in the plain way.
func asSent(text []byte) []byte {
	if bytes.Contains(text, []byte("\r\n")) {
		return text
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

func (w *world) draw(t *rapid.T, states ...State) *wanted {
	var fit []*wanted
	for _, x := range w.all {
		if !x.gone && slices.Contains(states, x.state) {
			fit = append(fit, x)
		}
	}
	if len(fit) == 0 {
		t.Skip("none in that state")
	}
	return fit[rapid.IntRange(0, len(fit)-1).Draw(t, "which")]
}

// fault arms the disk for one action, rarely.
func (w *world) fault(t *rapid.T) {
	if n := rapid.IntRange(0, 30).Draw(t, "fault"); n <= 6 {
		w.disk.fault = n
	}
}

// must fails for an error that the disk was not told to give.
func must(t *rapid.T, err error, allowed ...error) {
	t.Helper()
	for _, a := range append(allowed, errFault, syscall.ENOSPC, error(nil)) {
		if err == a || err != nil && a != nil && errors.Is(err, a) {
			return
		}
	}
	t.Fatal(err)
}

// next gives the generation after one, if that is there.
func (w *world) next(x *wanted) *wanted {
	for _, y := range w.all {
		if y.older == x && !y.gone {
			return y
		}
	}
	return nil
}

func (w *world) edit(t *rapid.T) {
	x := w.draw(t, Writing, Ready, Sending, Unknown, Done, Refused, Changed, Local)
	keep := rapid.Int64Range(0, 40).Draw(t, "keep")
	w.fault(t)
	e, err := x.e.Edit(keep)
	must(t, err, ErrSuperseded)
	if err != nil || e == x.e {
		return
	}
	text := slices.Clone(x.text[:min(int(keep), len(x.text))])
	n := &wanted{e: e, state: Writing, text: text, torn: x.torn && len(text) > 0, vague: x.vague && len(text) > 0,
		now: map[State]bool{Writing: true}, may: map[State]bool{Writing: true}, older: x, owes: slices.Clone(x.e.Info().Replaces)}
	w.all = append(w.all, n)
}

func (w *world) write(t *rapid.T) {
	x := w.draw(t, Writing, Local)
	p := []byte(rapid.SampledFrom([]string{"A: b\n", "\n", "\r\n", "text", "line\nline\n", "\x00", "ü: \n\n", "x\r"}).Draw(t, "text"))
	off := rapid.IntRange(0, len(x.text)+2).Draw(t, "offset")
	w.fault(t)
	n, err := x.e.WriteAt(p, int64(off))
	must(t, err)
	x.synced, x.rest = false, x.e.Info().rest
	if n > 0 {
		if need := off + n; need > len(x.text) {
			x.text = append(x.text, make([]byte, need-len(x.text))...)
		}
		copy(x.text[off:], p[:n])
	}
	if err != nil && n < len(p) {
		x.torn = true
	}
	x.torn = x.torn && x.e.Info().Damage != Whole // healed: checked in TestAFailedWriteIsNotSent
	if x.state == Local {
		x.put(Local, false, nil)
	}
}

func (w *world) truncate(t *rapid.T) {
	x := w.draw(t, Writing, Local)
	size := rapid.IntRange(0, len(x.text)+2).Draw(t, "size")
	if rapid.Bool().Draw(t, "all") {
		size = 0
	}
	w.fault(t)
	err := x.e.Truncate(int64(size))
	must(t, err)
	x.synced, x.rest = false, x.e.Info().rest
	if got := int(x.e.Size()); got == size { // it may have been done although the entry was not written
		for len(x.text) < size {
			x.text = append(x.text, 0)
		}
		x.text = x.text[:size]
	}
	x.torn = x.e.Info().Damage != Whole
	if size == 0 && err == nil && x.torn {
		t.Fatal("an empty text is torn")
	}
}

func (w *world) commit(t *rapid.T) {
	x := w.draw(t, Writing)
	w.fault(t)
	err := x.e.Commit()
	must(t, err, ErrEmpty, ErrTorn)
	if err == nil && (x.torn || len(x.text) == 0) {
		t.Fatal("committed although it is not whole")
	}
	x.versions = append(x.versions, asSent(slices.Clone(x.text)))
	if err != nil {
		if !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrTorn) {
			x.doubt = true
			x.put(Ready, false, err)
		}
		return
	}
	x.state, x.lost = Ready, false
	w.owed(t, x)
	x.put(Ready, false, nil)
	w.fold(t, x)
}

// replace has a text take the place of one more message.
func (w *world) replace(t *rapid.T) {
	x := w.draw(t, Writing)
	m := Message{inboxWire, 7, UID(rapid.IntRange(200, 220).Draw(t, "uid"))}
	w.fault(t)
	err := x.e.Set(func(a *Attrs) { a.Replaces = with(a.Replaces, m) })
	must(t, err)
	if err == nil {
		x.owes = with(x.owes, m)
	}
}

// replaced says that what an arrived text takes the place of is deleted.
func (w *world) replaced(t *rapid.T) {
	x := w.draw(t, Done)
	x.e.Replaced()
	x.owes = nil
}

// owed looks that a text replaces all that it is to, and what the ones before it are and
// were to replace. What only an earlier one owed it may have been told to forget.
func (w *world) owed(t *rapid.T, x *wanted) {
	want := x.owes
	if x.older != nil {
		want = lacking(want, x.e.Info().inherited)
	}
	for o := x.older; o != nil; o = o.older {
		in := o.e.Info()
		if o.gone && in.UID == 0 || in.State.InFlight() || in.State == Done && in.UID == 0 {
			continue
		}
		want = with(want, o.owes...)
		if in.UID != 0 {
			want = with(want, in.Where())
			break
		}
	}
	if left := lacking(want, x.e.Info().Replaces); len(left) > 0 {
		t.Fatalf("a text that is %s does not replace %v", x.state, left)
	}
	x.owes = slices.Clone(x.e.Info().Replaces)
}

// fold looks which generations before are gone. What replaces a durable one is durable.
func (w *world) fold(t *rapid.T, x *wanted) {
	for o := x.older; o != nil; o = o.older {
		if o.gone || w.there(o) {
			continue
		}
		switch o.state {
		case Ready, Refused, Done, Changed:
		default:
			t.Fatalf("a generation that is %s was removed", o.state)
		}
		if o.durable && (o.state == Ready || o.state == Refused) && x.state == Ready {
			x.put(Ready, true, nil)
			x.syncedNow(nil)
		}
		w.removed(o)
	}
	if o := x.older; o != nil && o.gone {
		x.older = o.older
		if o.state == Done || o.state == Changed {
			x.older = nil
		}
	}
}

// removed notes that an entry is gone. Where nothing says so durably it may be back.
func (w *world) removed(x *wanted) {
	x.gone = true
	x.stays = true
	x.back = maps.Clone(x.may)
	maps.Copy(x.back, x.now)
}

func (w *world) there(x *wanted) bool {
	x.e.mu.Lock()
	defer x.e.mu.Unlock()
	return !x.e.gone
}

func (w *world) send(t *rapid.T) {
	x := w.draw(t, Ready)
	w.fault(t)
	next := w.next(x)
	err := x.e.Send(7, 100)
	must(t, err, ErrEarlier, ErrSuperseded, ErrTorn)
	if next != nil && next.state != Writing && err == nil {
		t.Fatal("an old generation was sent though a later one is committed")
	}
	if o := x.older; err == nil && o != nil && !o.gone && (o.state == Sending || o.state == Unknown) {
		t.Fatal("sent while an earlier generation is in flight")
	}
	switch {
	case err == nil:
		x.state = Sending
		w.owed(t, x)
		x.put(Sending, true, nil)
		w.fold(t, x)
		x.older = nil
		return
	case errors.Is(err, ErrTorn):
		if !x.lost {
			t.Fatal("a text is lost that was durable")
		}
		x.state, x.torn = Refused, true
		x.put(Refused, true, err)
	default:
		x.put(Sending, true, err)
	}
}

// report calls one of the methods that make text and entry durable.
func (w *world) report(to State, do func(*Entry) error, from ...State) func(*rapid.T) {
	return func(t *rapid.T) {
		x := w.draw(t, from...)
		w.fault(t)
		err := do(x.e)
		must(t, err)
		if x.state != x.e.Info().State && x.e.Info().State != to {
			t.Fatalf("%s became %s", x.state, x.e.Info().State)
		}
		x.state = to
		x.put(to, true, err)
		x.syncedNow(err)
	}
}

// syncedNow notes a sync of the text. After one that failed a later process is told
// that all is well, and it is not: Linux says it once.
func (x *wanted) syncedNow(err error) {
	x.doubt = x.doubt || err != nil
	x.synced = !x.doubt
}

func (w *world) keep(t *rapid.T) {
	x := w.draw(t, Writing, Ready, Sending, Unknown, Refused, Changed, Local)
	w.fault(t)
	on := x.state
	err := x.e.Keep()
	must(t, err)
	x.rest = x.e.Info().rest || err != nil && !x.torn // then it may be on the disk
	x.put(on, true, err)
	x.syncedNow(err)
}

func (w *world) absent(t *rapid.T) {
	x := w.draw(t, Unknown)
	w.fault(t)
	err := x.e.Absent()
	must(t, err, ErrTorn)
	switch {
	case err == nil:
		x.state = Ready // on the disk it stays what it was
	case errors.Is(err, ErrTorn):
		if !x.lost {
			t.Fatal("a text is lost that was durable")
		}
		x.state, x.torn = Refused, true
		x.put(Refused, true, err)
	}
}

func (w *world) retry(t *rapid.T) {
	x := w.draw(t, Refused)
	w.fault(t)
	err := x.e.Retry()
	must(t, err, ErrTorn)
	if err == nil {
		x.state = Ready
	}
	if !errors.Is(err, ErrTorn) {
		x.put(Ready, false, err)
	}
}

func (w *world) done(t *rapid.T) {
	x := w.draw(t, Sending, Unknown)
	uid := UID(rapid.IntRange(0, 3).Draw(t, "uid"))
	w.fault(t)
	err := x.e.Done(7, uid)
	must(t, err)
	x.state = Done
	x.put(Done, false, err)
	// The text of a message that the server has need not be there any more.
	if !x.synced {
		x.vague = true
	}
}

func (w *world) remove(t *rapid.T) {
	x := w.draw(t, Done)
	w.fault(t)
	n := w.next(x)
	err := x.e.Remove()
	must(t, err, ErrEarlier)
	if err == nil {
		w.removed(x)
		if n != nil {
			was := x.e.Info()
			if got := n.e.Info().Replaces; was.UID == 0 || len(lacking(append(slices.Clone(was.Replaces), was.Where()), got)) > 0 {
				t.Fatalf("the next generation replaces %v, and not %v and %v", got, was.Where(), was.Replaces)
			}
			n.put(n.state, true, nil)
			n.older = nil
		}
	} else if n != nil {
		n.put(n.state, true, err)
	}
}

func (w *world) discard(t *rapid.T) {
	x := w.draw(t, Writing, Ready, Unknown, Refused, Changed, Local)
	w.fault(t)
	armed := w.disk.fault > 0
	err := x.e.Discard()
	must(t, err, ErrState)
	if err != nil {
		return
	}
	failed := armed && w.disk.fault == 0
	w.removed(x)
	x.stays = failed || !x.durable
}

func (w *world) toMail(t *rapid.T) {
	x := w.draw(t, Local)
	w.fault(t)
	err := x.e.ToMail(func(a *Attrs) { a.Name = "mail" })
	must(t, err, ErrState)
	if !errors.Is(err, ErrState) {
		if err == nil {
			x.state = Writing
		}
		x.put(Writing, false, err)
	}
}

func (w *world) toScratch(t *rapid.T) {
	x := w.draw(t, Writing, Ready, Refused)
	w.fault(t)
	err := x.e.ToScratch(func(a *Attrs) { a.Name = ".scratch" })
	must(t, err, ErrState)
	if !errors.Is(err, ErrState) {
		if err == nil {
			x.state = Local
		}
		x.put(Local, false, err)
	}
}

func (w *world) hide(t *rapid.T) {
	uid := UID(rapid.IntRange(1, 9).Draw(t, "uid"))
	w.fault(t)
	w.maybe[uid] = true
	err := w.s.Hide(inboxWire, 7, imapwire.SetOf(uid))
	must(t, err)
	if err == nil {
		w.hidden[uid] = true
	}
}

func (w *world) show(t *rapid.T) {
	uid := UID(rapid.IntRange(1, 9).Draw(t, "uid"))
	w.fault(t)
	must(t, w.s.Show(inboxWire, 7, imapwire.SetOf(uid)))
	delete(w.hidden, uid)
}

func (w *world) move(t *rapid.T) {
	w.fault(t)
	id, err := w.s.BeginMove(Move{inboxWire, 7, imapwire.SetOf(3), "Archive"})
	must(t, err)
	if err == nil {
		w.moves[id] = true
	}
}

func (w *world) end(t *rapid.T) {
	if len(w.moves) == 0 {
		t.Skip("none")
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(w.moves))).Draw(t, "move")
	w.fault(t)
	must(t, w.s.End(id))
	delete(w.moves, id)
}

// crash stops the process or the machine, opens the spool anew, and compares.
func (w *world) crash(t *rapid.T) {
	cut := rapid.Bool().Draw(t, "power")
	if cut {
		w.disk.cut(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
	} else {
		w.disk.kill()
	}
	if rapid.Bool().Draw(t, "twice") { // another Open that fails in the middle, or not
		w.disk.fault = rapid.IntRange(1, 40).Draw(t, "open fault")
		_, err := open(w.disk, "/spool", w.id)
		must(t, err)
		w.disk.kill()
	}
	s, err := open(w.disk, "/spool", w.id)
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	found := map[string]*Entry{}
	for _, e := range s.Entries() {
		found[e.Info().ID] = e
	}
	var left []*wanted
	for _, x := range w.all {
		id := x.e.Info().ID
		e := found[id]
		delete(found, id)
		if w.compare(t, x, e, cut) {
			left = append(left, x)
		} else {
			x.gone = true
		}
	}
	for id, e := range found { // made in part, and the disk failed
		if s := e.Info().State; s != Writing && s != Local {
			t.Fatalf("nobody knows the entry %s, %s", id, s)
		}
	}
	w.all = left
	for _, x := range left {
		for _, y := range left { // one that was removed, and is back
			if x.older == nil && x.e.follows == y.e {
				x.older = y
			}
		}
		if o := x.older; o != nil && x.e.follows == nil {
			if !cut && !o.gone && x.state != Local && o.state != Local {
				t.Fatalf("a text that is %s does not know the one before it, %s", x.state, o.state)
			}
			x.older = nil
		}
	}
	got := s.Hidden(inboxWire, 7)
	for uid := range w.hidden {
		if !got.Contains(uid) {
			t.Fatalf("%d is hidden no more", uid)
		}
	}
	for uid := UID(1); uid < 10; uid++ {
		if got.Contains(uid) && !w.maybe[uid] {
			t.Fatalf("%d is hidden, and nobody did it", uid)
		}
	}
	for id := range w.moves {
		if _, ok := s.Moves()[id]; !ok {
			t.Fatal("a move was forgotten")
		}
	}
}

// compare compares an entry with what was found after a crash, and takes it over;
// false: it is no more.
func (w *world) compare(t *rapid.T, x *wanted, e *Entry, cut bool) bool {
	if x.gone {
		if e == nil {
			return !cut // a cut may still bring it back
		}
		// A disk that forgets the removal of the text, but not that of the entry
		// after it, leaves a text nobody knows, or one that is done.
		litter := cut && (e.Info().Name == recovered+e.Info().ID || e.Info().State == Done)
		if !x.stays && !litter {
			t.Fatalf("a text that was removed is back, %s", e.Info().State)
		}
		if s := e.Info().State; !x.back[s] && s != Refused && s != Local {
			t.Fatalf("a text that was removed is back as %s, of %v", s, x.back)
		}
		if x.back == nil {
			x.back = map[State]bool{}
		}
		x.gone, x.now, x.may = false, x.back, maps.Clone(x.back)
		x.older = nil
	}
	if e == nil {
		// What is committed after it has taken its place.
		for _, y := range w.all {
			if y.older == x {
				for s := range y.may {
					if !s.Writable() {
						return false
					}
				}
				for s := range y.now {
					if !s.Writable() {
						return false
					}
				}
			}
		}
		if x.state == Writing && (len(x.text) == 0 || x.vague || cut && !x.synced) {
			return false // nothing was written to it, or nothing of that is on the disk
		}
		if x.durable && !x.lost && !(len(x.back) > 0) && !x.may[Done] && !x.now[Done] {
			t.Fatalf("lost: a text that was %s and durable", x.state)
		}
		if !cut && !x.lost && !x.now[Done] && x.back == nil {
			t.Fatalf("lost in a kill: a text that was %s", x.state)
		}
		return false
	}
	in := e.Info()
	allowed := x.now
	if cut {
		allowed = x.may
	}
	ok := allowed[in.State]
	ok = ok || in.State == Refused && in.Damage == Lost && (x.lost || cut && !x.synced)          // was ready, its text is not there
	ok = ok || in.State == Local && in.Attrs.Name == recovered+in.ID && cut && !x.durable        // its entry is not there
	ok = ok || x.back != nil && (in.State == Refused || in.State == Local) && in.Damage != Whole // half removed
	if !ok {
		t.Fatalf("%s became %s (%s) of %v", x.state, in.State, in.Damage, allowed)
	}
	var text bytes.Buffer
	if _, err := e.Export(&text); err != nil {
		if in.Damage != Lost {
			t.Fatal(err)
		}
	}
	if (!cut || x.synced) && !x.vague && x.back == nil && !bytes.Equal(text.Bytes(), x.text) {
		t.Fatalf("the text that was %s is %q, was %q", x.state, text.Bytes(), x.text)
	}
	if in.State == Writing && text.Len() > 0 && in.Damage == Whole && (!x.rest || !bytes.Equal(text.Bytes(), x.text)) {
		t.Fatal("a text that was being written counts as whole")
	}
	if !cut && x.back == nil && len(lacking(x.owes, in.Replaces)) > 0 {
		t.Fatalf("%v are to be replaced, and %v are not forgotten", x.owes, in.Replaces)
	}
	w.outgoing(t, x, e)
	x.lost = x.lost || !in.State.Writable() && !bytes.Equal(asSent(text.Bytes()), asSent(x.text)) || in.Damage != Whole
	x.e, x.state, x.text, x.torn = e, e.Info().State, text.Bytes(), e.Info().Damage != Whole
	x.vague, x.back, x.rest, x.owes = false, nil, in.rest, slices.Clone(in.Replaces)
	if cut || x.stays {
		x.may = map[State]bool{x.state: true}
	}
	x.now = map[State]bool{afterCrash(in.State): true}
	if s := x.state; s == Refused && x.torn || s == Local && in.Damage != Whole {
		// What Open found may be on the disk only at the next put.
		for _, s := range []State{Ready, Refused, Local, Writing} {
			x.now[s], x.may[s] = true, true
		}
	}
	if cut {
		x.durable, x.synced, x.doubt = true, true, false
	}
	x.stays = false
	return true
}

// outgoing reads the text as it would be sent: all of what was committed, or an error.
func (w *world) outgoing(t *rapid.T, x *wanted, e *Entry) {
	o, err := e.Outgoing()
	if errors.Is(err, ErrTorn) || errors.Is(err, ErrState) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(x.versions, func(v []byte) bool { return bytes.Equal(v, got) }) {
		t.Fatalf("%q would be sent, which was never committed; %q were", got, x.versions)
	}
}

// TestNothingAcknowledgedIsLost runs random programs, with faults of the disk and
// crashes of the process and of the machine, against a model.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{disk: newCrashDisk(), hidden: map[UID]bool{}, maybe: map[UID]bool{}, moves: map[string]bool{}}
		s, err := open(w.disk, "/spool", w.id)
		if err != nil {
			t.Fatal(err)
		}
		w.s = s
		f := Failure{Kind: "i/o", Words: "connection lost"}
		create := func(make func(*Spool, Attrs) (*Entry, error), state State) func(*rapid.T) {
			return func(t *rapid.T) {
				w.fault(t)
				e, err := make(w.s, attrs("a"))
				must(t, err)
				if err == nil {
					w.all = append(w.all, &wanted{e: e, state: state, now: map[State]bool{state: true}, may: map[State]bool{state: true}})
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"":           func(*rapid.T) { w.disk.fault = 0 },
			"create":     create((*Spool).Create, Writing),
			"scratch":    create((*Spool).Scratch, Local),
			"write":      w.write,
			"writeMore":  w.write,
			"truncate":   w.truncate,
			"commit":     w.commit,
			"commitMore": w.commit,
			"edit":       w.edit,
			"send":       w.send,
			"sendMore":   w.send,
			"unsent":     w.report(Ready, func(e *Entry) error { return e.Unsent(f) }, Sending),
			"uncertain":  w.report(Unknown, func(e *Entry) error { return e.Uncertain(f) }, Sending),
			"refuse":     w.report(Refused, func(e *Entry) error { return e.Refuse(f) }, Sending, Ready),
			"differ":     w.report(Changed, func(e *Entry) error { return e.Differ(f) }, Done),
			"absent":     w.absent,
			"retry":      w.retry,
			"done":       w.done,
			"remove":     w.remove,
			"discard":    w.discard,
			"replace":    w.replace,
			"replaced":   w.replaced,
			"keep":       w.keep,
			"toMail":     w.toMail,
			"toScratch":  w.toScratch,
			"hide":       w.hide,
			"show":       w.show,
			"move":       w.move,
			"end":        w.end,
			"crash":      w.crash,
		})
	})
}
