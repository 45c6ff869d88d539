package fs

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"imapfs/cache"
)

func TestEscapedNumbers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		suffix string
		uid    cache.UID
		again  int
		want   string
	}{
		{"", 103, 0, "%3103"},
		{"", 7, 0, "%37"},
		{"", 103, 1, "%253103"},
		{"", 4294967295, 2, "%252534294967295"},
		{".eml", 103, 0, "%3103.eml"},
	} {
		n := naming{tt.suffix}
		got := n.escaped(tt.uid, tt.again)
		back, ok := n.parseEscaped(got)
		if got != tt.want || !ok || back != tt.uid {
			t.Errorf("%d with suffix %q: %s, read back as %d, %v; want %s", tt.uid, tt.suffix, got, back, ok, tt.want)
		}
	}
	for _, name := range []string{"", "%", "%3", "%30", "%303", "%4103", "103", "%25", "%2503", "%31x", "%34294967296"} {
		if uid, ok := (naming{}).parseEscaped(name); ok && name != "%303" && (naming{}).escaped(uid, 0) != name {
			t.Errorf("%q is read as %d", name, uid)
		}
	}
}

func TestScratchNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{".17.Xa1b2c", ".17.swp", "17~", "#17#", "17.tmp", "a.part", "4913", "x.swp", "x#"} {
		if !(naming{}).isScratch(name) {
			t.Errorf("%s is not scratch", name)
		}
	}
	for _, name := range []string{"17", "sedAbCdEf", "tmp.Xa1b2c", "report.eml", "14913"} {
		if (naming{}).isScratch(name) {
			t.Errorf("%s is scratch", name)
		}
	}
	if (naming{suffix: ".part"}).isScratch("17.part") {
		t.Error("a message is scratch with its suffix")
	}
}

// bench is a mount whose server answers as the test says.
type bench struct {
	*testing.T
	*names
	steps []stepKind
}

func newBench(t *testing.T, uids ...cache.UID) *bench {
	b := &bench{T: t, names: newNames(naming{})}
	b.hold(uids...)
	return b
}

// hold is what mailbox 1 has now.
func (b *bench) hold(uids ...cache.UID) {
	h := heard{uids: make(map[cache.UID]bool), next: slices.Max(uids) + 1}
	for _, uid := range uids {
		h.uids[uid] = true
	}
	b.see(1, 1, h)
}

// run answers the steps of a change in turn.
func (b *bench) run(c *change, answers ...result) error {
	b.Helper()
	b.steps = nil
	for c.step.kind != stepOver {
		b.steps = append(b.steps, c.step.kind)
		if len(answers) == 0 {
			b.Fatalf("an unexpected step: %+v", c.step)
		}
		b.done(c, answers[0])
		answers = answers[1:]
	}
	if len(answers) > 0 {
		b.Fatalf("over after %v", b.steps)
	}
	return c.err
}

func (b *bench) names1() []string {
	var all []string
	for uid := range b.box(1).view.(heard).uids {
		if name, ok := b.numbered(1, uid); ok {
			all = append(all, name)
		}
	}
	b.named(1, 0, func(_ uint64, name string, _ found) bool {
		all = append(all, name)
		return true
	})
	slices.Sort(all)
	return all
}

func (b *bench) shows(want ...string) {
	b.Helper()
	if got := b.names1(); !slices.Equal(got, want) {
		b.Errorf("listed: %q, want %q", got, want)
	}
}

func at(name string) place { return place{1, name} }

func (b *bench) make(name string) *file {
	b.Helper()
	f, err := b.create(at(name))
	if err != nil {
		b.Fatal(err)
	}
	b.written(f)
	return f
}

// TestSedKeepsFlagsAndDate: sed -i commits its file at close, and renames it over the
// message, which is sent again with what the old one had.
func TestSedKeepsFlagsAndDate(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, 17)
	f := b.make("sedAbC")
	commit := b.commit(f)
	b.hold(3, 17, 18)
	if err := b.run(commit, result{validity: 1, uid: 18}); err != nil {
		t.Fatal(err)
	}
	b.close(f)
	b.shows("17", "3", "sedAbC")

	c := b.rename(at("sedAbC"), at("17"))
	b.done(c, result{verdict: textSame})
	s := c.step
	old, temp := ref{1, 1, 17}, ref{1, 1, 18}
	if s.kind != stepSend || s.file != f || s.like != old || !slices.Equal(s.replaces, []ref{old, temp}) {
		t.Fatalf("the edit is %+v", s)
	}
	b.hold(3, 19)
	b.done(c, result{validity: 1, uid: 19})
	if c.step.kind != stepOver || c.err != nil {
		t.Fatalf("%+v, %v", c.step, c.err)
	}
	b.shows("17", "3")
	if got := b.lookup(at("17")); got.msg.uid != 19 {
		t.Errorf("17 is %v", got)
	}
	if got := b.lookup(at("19")); got.kind != foundNone {
		t.Errorf("19 is a second name: %v", got)
	}
}

// TestANumberIsNeverAPlace: another text that lands on 17 is beside it.
func TestANumberIsNeverAPlace(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, 17)
	f := b.make(".17.Xy")
	b.close(f)
	c := b.rename(at(".17.Xy"), at("17"))
	b.done(c, result{verdict: textOther})
	if len(c.step.replaces) > 0 {
		t.Fatalf("%v would be replaced", c.step.replaces)
	}
	b.hold(3, 17, 18)
	b.done(c, result{validity: 1, uid: 18})
	b.shows("%317", "17", "3")
	b.refresh(1)
	b.shows("17", "18", "3")
}

// TestNothingIsReplacedByZeroOctets: > 17, which fails before it writes.
func TestNothingIsReplacedByZeroOctets(t *testing.T) {
	t.Parallel()
	b := newBench(t, 17)
	f, err := b.open(at("17"))
	if err != nil {
		t.Fatal(err)
	}
	b.truncated(f)
	if err := b.run(b.commit(f)); err != nil {
		t.Error(err)
	}
	if end := b.close(f); end.commit != nil {
		t.Error("it is sent at the last release")
	}
	if got := b.lookup(at("17")); got.kind != foundMessage {
		t.Errorf("17 is %v", got)
	}
	g, err := b.create(at("new"))
	if err != nil {
		t.Fatal(err)
	}
	h := b.make("pending")
	if err := b.run(b.commit(h), result{err: syscall.EDQUOT}); !errors.Is(err, syscall.EDQUOT) {
		t.Error(err)
	}
	if err := b.run(b.rename(g.at, h.at)); !errors.Is(err, syscall.EPERM) {
		t.Errorf("an empty file over an unsent text: %v", err)
	}
	b.shows("17", "new", "pending")
}

// TestWhatIsSentWasCut: a crash while another text is sent that was written over 17 makes
// no edit of 17 of it.
func TestWhatIsSentWasCut(t *testing.T) {
	t.Parallel()
	b := newBench(t, 17)
	f, err := b.open(at("17"))
	if err != nil {
		t.Fatal(err)
	}
	b.truncated(f)
	b.written(f)
	c := b.commit(f)
	b.done(c, result{verdict: textOther})
	if c.step.kind != stepSend || len(c.step.replaces) > 0 {
		t.Fatalf("%+v", c.step)
	}
	o := b.orphan(f)
	b = newBench(t, 17)
	g := b.adopt(o)
	c = b.commit(g)
	b.done(c, result{verdict: textOther})
	if c.step.kind != stepSend || len(c.step.replaces) > 0 {
		t.Errorf("after a crash %v would be replaced", c.step.replaces)
	}
}

// TestPutAside: emacs renames 17 to 17~ and writes 17 anew.
func TestPutAside(t *testing.T) {
	t.Parallel()
	b := newBench(t, 17)
	if err := b.run(b.rename(at("17"), at("17~")), result{}); err != nil {
		t.Fatal(err)
	}
	b.shows("17~")
	f := b.make("17")
	c := b.commit(f)
	if c.step.kind != stepCompare || c.step.other.uid != 17 {
		t.Fatalf("%+v", c.step)
	}
	b.done(c, result{verdict: textSame})
	if !slices.Equal(c.step.replaces, []ref{{1, 1, 17}}) {
		t.Fatalf("%+v", c.step)
	}
	b.hold(18)
	b.done(c, result{validity: 1, uid: 18})
	b.close(f)
	b.shows("17", "17~")
	if err := b.run(b.unlink(at("17~"))); err != nil {
		t.Error(err)
	}
	b.shows("17")
}

// TestBackupRemovedBeforeTheNewText: the old message stays until the new one is there.
func TestBackupRemovedBeforeTheNewText(t *testing.T) {
	t.Parallel()
	b := newBench(t, 17)
	b.run(b.rename(at("17"), at("17~")), result{})
	f := b.make("17")
	b.run(b.commit(f), result{err: syscall.EIO})
	if err := b.run(b.unlink(at("17~"))); err != nil {
		t.Error(err)
	}
	c := b.commit(f)
	b.done(c, result{verdict: textOther})
	if !slices.Equal(c.step.replaces, []ref{{1, 1, 17}}) {
		t.Errorf("%+v", c.step)
	}
}

// TestRemovedWhileBeingSent: what arrives is deleted.
func TestRemovedWhileBeingSent(t *testing.T) {
	t.Parallel()
	b := newBench(t, 17)
	f := b.make("new")
	c := b.commit(f)
	if err := b.run(b.unlink(at("new"))); err != nil {
		t.Error(err)
	}
	b.shows("17")
	b.hold(17, 18)
	b.done(c, result{validity: 1, uid: 18})
	if c.step.kind != stepDelete || c.step.message.uid != 18 {
		t.Errorf("%+v", c.step)
	}
}

// TestRenameWaitsForACommit and decides when its outcome is known.
func TestRenameWaitsForACommit(t *testing.T) {
	t.Parallel()
	b := newBench(t, 17)
	f := b.make("new")
	c := b.commit(f)
	r := b.rename(at("new"), at("foo"))
	if r.step.kind != stepWait || r.step.on != c {
		t.Fatalf("%+v", r.step)
	}
	b.hold(17, 18)
	b.done(c, result{validity: 1, uid: 18})
	if err := b.run(r, result{}); err != nil {
		t.Error(err)
	}
	b.close(f)
	b.shows("17", "foo")
}

// TestUIDValidityEndsNames: a text that waits stays, and is new.
func TestUIDValidityEndsNames(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, 17)
	b.run(b.rename(at("3"), at("foo")))
	f, _ := b.open(at("17"))
	b.run(b.fill(f), result{})
	b.written(f)
	b.see(1, 2, heard{uids: map[cache.UID]bool{17: true}, next: 18})
	b.shows("%317", "17")
	if c := b.commit(f); c.step.kind != stepSend || len(c.step.replaces) > 0 {
		t.Errorf("%+v", c.step)
	}
}
