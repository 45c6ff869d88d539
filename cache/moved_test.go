package cache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// relisted asks for the mailboxes once more.
func relisted(t testing.TB, a *Account) *Tree {
	t.Helper()
	j := a.trees.refresh(within(t, 4*short), 0)
	if err := j.await(within(t, 4*short), "list", nil, 0); err != nil {
		t.Fatal(err)
	}
	return a.Tree()
}

// at is the mailbox of a path in the tree of now, nil if there is none.
func at(a *Account, path string) *Mailbox {
	tree := a.Tree()
	m := tree.Root()
	for _, name := range strings.Split(path, "/") {
		if m = tree.Child(m, name); m == nil {
			return nil
		}
	}
	return m
}

// fill puts n messages into a box, that say which they are, of sizes and dates of their own.
func fill(b *imaptest.Box, id, n int) {
	for i := range n {
		b.AddDated(text(id+i, 400+(id*31+i*17)%900), "", time.Unix(int64(1_600_000_000+id*1000+i*60), 0))
	}
}

// hasFilled checks that all messages of a mailbox are those that were filled in.
func hasFilled(t testing.TB, m *Mailbox, id, n int) {
	t.Helper()
	s := mustLoad(t, m)
	if s.Len() != n {
		t.Fatalf("%s has %v, want %d messages", m.full(), uids(s), n)
	}
	for i := range n {
		checkText(t, m, UID(i+1), text(id+i, 400+(id*31+i*17)%900))
	}
}

// A mailbox is the same one under its new name, with its texts, by what the server
// has of evidence.
func TestARenamedMailboxIsTheSame(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		before, after func(s *imaptest.Scripted, old *imaptest.Box)
		same          bool
	}{
		"by evidence":  {same: true},
		"by MAILBOXID": {before: func(_ *imaptest.Scripted, old *imaptest.Box) { old.SetID("F1") }, same: true},
		"another MAILBOXID": {
			before: func(_ *imaptest.Scripted, old *imaptest.Box) { old.SetID("F1") },
			after:  func(_ *imaptest.Scripted, old *imaptest.Box) { old.SetID("F2") }},
		"another UIDVALIDITY": {after: func(_ *imaptest.Scripted, old *imaptest.Box) { old.SetValidity(77) }},
		"one expunged since":  {after: func(_ *imaptest.Scripted, old *imaptest.Box) { old.Expunge(3, imaptest.DovecotGone) }, same: true},
		"one delivered since": {
			after: func(_ *imaptest.Scripted, old *imaptest.Box) { old.AddDated(text(16, 416), "", time.Unix(1e9, 0)) }, same: true},
		"no STATUS": {before: func(s *imaptest.Scripted, _ *imaptest.Box) {
			s.On("STATUS", func(c *imaptest.Call) { c.Done("NO no") })
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := imaptest.NewScripted(t)
			s.Mailbox("INBOX")
			old := s.Mailbox("Old")
			fill(old, 10, 6)
			if c.before != nil {
				c.before(s, old)
			}
			a := openScripted(t, s)
			m := box(t, a, "Old")
			hasFilled(t, m, 10, 6)
			v := m.Snapshot().Validity()
			if c.after != nil {
				c.after(s, old)
			}
			s.Rename("Old", "New")
			relisted(t, a)
			now := at(a, "New")
			if at(a, "Old") != nil || now == nil {
				t.Fatal("the old name is there, or the new one is not")
			}
			if (now == m) != c.same {
				t.Fatalf("the same mailbox: %v", now == m)
			}
			if now.full() != "New" || now.WireName() != "New" {
				t.Errorf("it is %q, %q", now.full(), now.WireName())
			}
			fetched := len(s.Commands("UID FETCH"))
			got, err := m.Open(within(t, short), v, 2)
			if !c.same {
				wantKind(t, err, NotExist)
				return
			}
			if err != nil || got != int64(len(text(11, 400+(310+17)%900))) {
				t.Errorf("%d octets, %v", got, err)
			}
			for _, c := range s.Commands("UID FETCH")[fetched:] {
				if strings.Contains(c, "BODY") {
					t.Errorf("a text that is known is asked for: %s", c)
				}
			}
			// What is selected from now on is selected by the new name.
			examined := len(s.Commands("EXAMINE"))
			mustLoad(t, m)
			if got := s.Commands("EXAMINE")[examined:]; slices.ContainsFunc(got, func(c string) bool { return !strings.Contains(c, "New") }) {
				t.Errorf("examined %q", got)
			}
			checkText(t, m, 6, text(15, 400+(310+85)%900))
		})
	}
}

// A server may go on with what was selected under the old name, or drop it.
func TestWhatWasSelectedUnderTheOldNameIsNotUsed(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	fill(s.Mailbox("Old"), 10, 6)
	a := openScripted(t, s)
	m := box(t, a, "Old")
	mustLoad(t, m)
	lease := func() *lease {
		t.Helper()
		l, err := a.pool.acquire(within(t, 4*short), want{box: m})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	before := lease()
	defer before.release()
	if again := a.pool.hold(before.hear); again == nil {
		t.Error("what is selected cannot be shared")
	} else {
		again.release()
	}
	s.Rename("Old", "New")
	relisted(t, a)
	if again := a.pool.hold(before.hear); again != nil {
		t.Error("what was selected under the old name is used")
		again.release()
	}
	after := lease()
	defer after.release()
	if after.hear == before.hear {
		t.Error("what was selected under the old name is shared")
	}
}

// The number of messages in two mailboxes, UIDVALIDITY and UIDNEXT may be the same.
func TestAnotherMailboxIsNotTakenForARenamedOne(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	old := s.Mailbox("Old")
	old.SetValidity(7)
	fill(old, 10, 6)
	a := openScripted(t, s)
	m := box(t, a, "Old")
	hasFilled(t, m, 10, 6)
	s.Remove("Old")
	other := s.Mailbox("New")
	other.SetValidity(7)
	fill(other, 300, 6)
	relisted(t, a)
	if now := at(a, "New"); now == m {
		t.Fatal("another mailbox is taken for the one that is gone")
	} else {
		hasFilled(t, now, 300, 6)
	}
	// Two that could be it: in doubt both are new.
	m = at(a, "New")
	s.Remove("New")
	for _, name := range []string{"Copy", "Other copy"} {
		b := s.Mailbox(name)
		b.SetValidity(7)
		fill(b, 300, 6)
	}
	relisted(t, a)
	for _, name := range []string{"Copy", "Other copy"} {
		if at(a, name) == m {
			t.Errorf("%s is taken for the one that is gone", name)
		}
	}
}

func TestWhatLiesBelowMovesAlong(t *testing.T) {
	t.Parallel()
	for what, parent := range map[string]bool{"with a mailbox": true, "with a mere place": false} {
		t.Run(what, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			s.Mailbox("INBOX")
			names := []string{"Lists/Go", "Lists/Go/Dev", "Lists/Empty"}
			if parent {
				names = append(names, "Lists")
			}
			for i, n := range names {
				fill(s.Mailbox(n), 100*(i+1), 3*(1-i/2)) // Empty has none
			}
			a := openScripted(t, s)
			was := make(map[string]*Mailbox)
			for _, n := range []string{"Lists", "Lists/Go", "Lists/Go/Dev", "Lists/Empty"} {
				was[n] = at(a, n)
			}
			hasFilled(t, was["Lists/Go"], 100, 3) // the others are not looked into
			var moves []string
			for _, n := range names {
				moves = append(moves, n, "Old/"+n)
			}
			s.Mailbox("Old")
			relisted(t, a)
			s.Rename(moves...)
			relisted(t, a)
			for n, m := range was {
				if at(a, "Old/"+n) != m {
					t.Errorf("%s is another mailbox", n)
				}
				if at(a, n) != nil {
					t.Errorf("%s is still there", n)
				}
			}
			hasFilled(t, was["Lists/Go/Dev"], 200, 3)
			hasFilled(t, was["Lists/Go"], 100, 3)
		})
	}
}

// Two mailboxes change names. Each name then has the other's texts, whatever
// UIDVALIDITY says, and a reader is told so.
func TestASwapMixesNoTexts(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		validity uint32 // of both; 0: one each
		ids      bool
		alike    bool // the newest messages have one size and date
	}{
		"of two UIDVALIDITYs":                            {},
		"of one UIDVALIDITY":                             {validity: 9},
		"of one UIDVALIDITY, the newest alike":           {validity: 9, alike: true},
		"of one UIDVALIDITY, with MAILBOXID, all alike":  {validity: 9, ids: true, alike: true},
		"of two UIDVALIDITYs, with MAILBOXID, all alike": {ids: true, alike: true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := imaptest.NewScripted(t)
			s.Mailbox("INBOX")
			for i, n := range []string{"a", "b"} {
				b := s.Mailbox(n)
				if c.validity != 0 {
					b.SetValidity(c.validity)
				}
				if c.ids {
					b.SetID("F" + n)
				}
				id := 100 * (i + 1)
				for k := range 5 {
					date := time.Unix(int64(1_600_000_000+1000*id+k), 0)
					if c.alike && (c.ids || k == 4) {
						date = time.Unix(1_700_000_000, 0)
					}
					b.AddDated(text(id+k, 700), "", date)
				}
			}
			a := openScripted(t, s)
			of := func(m *Mailbox, id int) {
				t.Helper()
				mustLoad(t, m)
				for k := range 5 {
					checkText(t, m, UID(k+1), text(id+k, 700))
				}
			}
			x, y := at(a, "a"), at(a, "b")
			of(x, 100)
			of(y, 200)
			v := x.Snapshot().Validity()
			s.Rename("a", "b", "b", "a")
			s.Cut()
			relisted(t, a)
			x.verifyBehind()
			y.verifyBehind()
			eventually(t, 6*short, "both are known to be others", func() bool {
				return x.current.Load().validity != v && x.Snapshot().Validity() == x.current.Load().validity && !x.lookingNow() && !y.lookingNow()
			})
			of(at(a, "a"), 200)
			of(at(a, "b"), 100)
			_, err := x.Open(within(t, short), v, 1)
			wantKind(t, err, Stale)
		})
	}
}

// A mailbox is renamed again and again while it is read.
func TestReadersFollowAMailboxThatIsRenamed(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	fill(s.Mailbox("Box0"), 10, 40)
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.CacheBytes = 2000 }) // nearly nothing is kept
	m := box(t, a, "Box0")
	mustLoad(t, m)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for k := range 8 {
			s.Rename(fmt.Sprint("Box", k), fmt.Sprint("Box", k+1))
			if k%2 == 0 {
				s.Cut()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	read := 0
	for range 3 {
		for i := range 40 {
			got, err := readAll(t, m, UID(i+1), blockLen)
			if err == nil {
				read++
			}
			if err == nil && string(got) != string(text(10+i, 400+(310+i*17)%900)) {
				t.Fatalf("message %d is another text", i+1)
			}
		}
	}
	<-done
	t.Logf("%d of 120 texts read", read)
	relisted(t, a)
	if at(a, "Box8") == nil {
		t.Fatal("the mailbox is not there under its last name")
	}
	hasFilled(t, at(a, "Box8"), 10, 40)
}

// What we rename ourselves has its new name at once, and no listing of before takes
// it back.
func TestOurOwnRename(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	fill(s.Mailbox("Work/2024"), 10, 3)
	s.Mailbox("Work")
	s.Mailbox("Work/2024/Old")
	s.Mailbox("Workshop")
	a := openScripted(t, s)
	told := observe(a)
	m, below, parent := at(a, "Work/2024"), at(a, "Work/2024/Old"), at(a, "Work")
	hasFilled(t, m, 10, 3)

	// A listing is under way when it happens.
	listing, goOn := make(chan struct{}), make(chan struct{})
	s.On("LIST", func(c *imaptest.Call) {
		for _, name := range []string{"INBOX", "Work", "Work/2024", "Work/2024/Old", "Workshop"} {
			c.Send(`* LIST () "/" "` + name + `"`)
		}
		close(listing)
		<-goOn
		c.Done("OK done")
	})
	j := a.trees.refresh(within(t, 4*short), 0)
	<-listing
	s.On("LIST", nil)
	s.Rename("Work/2024", "Done/Last", "Work/2024/Old", "Done/Last/Old")
	if err := a.trees.renamed(m, "Done/Last"); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if at(a, "Done/Last") != m || at(a, "Done/Last/Old") != below || at(a, "Work/2024") != nil || at(a, "Work") != parent || at(a, "Workshop") == nil {
			t.Errorf("%s: not where they should be", when)
		}
	}
	check("at once")
	select {
	case c := <-told.trees:
		if c[1] != a.Tree() {
			t.Error("told of another tree")
		}
	case <-time.After(short):
		t.Error("the observer was told nothing")
	}
	close(goOn)
	if err := j.await(within(t, 4*short), "list", nil, 0); err != nil {
		t.Fatal(err)
	}
	check("after a listing that began before")
	if n := len(s.Commands("LIST")); n < 2 {
		t.Errorf("%d listings", n)
	}
	hasFilled(t, m, 10, 3)
	relisted(t, a)
	check("after one more")

	err := a.trees.renamed(m, "Workshop")
	wantKind(t, err, Exists)
	s.Remove("Workshop")
	gone := at(a, "Workshop")
	relisted(t, a)
	wantKind(t, a.trees.renamed(gone, "Elsewhere"), NotExist)
}
