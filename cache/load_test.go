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

func TestAMailboxIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	cutFetch := func(n int64) func(*imaptest.Call) {
		return func(c *imaptest.Call) {
			c.CutAfter(n)
			c.Default()
		}
	}
	for what, c := range map[string]struct {
		command string
		hook    func(*imaptest.Call)
		kind    Kind
	}{
		"EXAMINE cut":      {"EXAMINE", func(c *imaptest.Call) { c.Send("* 20 EXISTS"); c.Cut() }, Timeout},
		"EXAMINE denied":   {"EXAMINE", func(c *imaptest.Call) { c.Done("NO [NOPERM] not for you") }, Access},
		"EXAMINE refused":  {"EXAMINE", func(c *imaptest.Call) { c.Done("NO not now") }, IO},
		"EXAMINE gone":     {"EXAMINE", func(c *imaptest.Call) { c.Done("NO [NONEXISTENT] no such") }, NotExist},
		"FETCH cut":        {"UID FETCH", cutFetch(400), Timeout},
		"FETCH refused":    {"UID FETCH", func(c *imaptest.Call) { c.Done("NO too much") }, IO},
		"FETCH says less":  {"UID FETCH", func(c *imaptest.Call) { c.Send("* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 5)"); c.Done("OK done") }, IO},
		"FETCH says none":  {"UID FETCH", func(c *imaptest.Call) { c.Done("OK done") }, IO},
		"FETCH unreadable": {"UID FETCH", func(c *imaptest.Call) { c.Send("* 1 FETCH (UID"); c.Done("OK done") }, Timeout},
	} {
		t.Run(what, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			in := s.Mailbox("INBOX")
			for i := range 20 {
				in.Add(text(i, 100))
			}
			a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = time.Millisecond })
			m := box(t, a, "INBOX")
			whole := func() {
				t.Helper()
				eventually(t, short, "all are listed", func() bool { // who looked before may still be at it
					snap, err := m.Load(within(t, short))
					return err == nil && snap.Len() == 20
				})
			}
			s.On(c.command, c.hook)
			limit := 2 * short
			if c.kind == Timeout {
				limit = time.Second // it goes on trying
			}
			_, err := m.Load(within(t, limit))
			wantKind(t, err, c.kind)
			if m.Snapshot() != nil {
				t.Fatal("something was published")
			}
			s.On(c.command, nil)
			whole()
			// And again, when there is an index already.
			before := m.Snapshot()
			s.On(c.command, c.hook)
			s.Cut()
			time.Sleep(2 * time.Millisecond)
			if _, err = m.Load(within(t, time.Second)); err == nil {
				t.Fatal("a listing that could not be had is not an error")
			}
			if m.Snapshot() != before {
				t.Error("another snapshot was published")
			}
			s.On(c.command, nil)
			whole()
		})
	}
}

func TestNewsComeByIdle(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	for i := range 5 {
		in.Add(text(i, 100))
	}
	a := openScripted(t, s)
	told := observe(a)
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	<-told.boxes
	eventually(t, short, "IDLE was sent", func() bool { return len(s.Commands("IDLE")) > 0 })
	check := func(what string, ok func(*Snapshot) bool) {
		t.Helper()
		// The scripted server tells of flags only those who idle at that moment.
		defer func() {
			n := len(s.Commands("IDLE"))
			time.Sleep(50 * time.Millisecond)
			eventually(t, short, "IDLE again", func() bool { return len(s.Commands("IDLE")) >= n })
		}()
		select {
		case c := <-told.boxes:
			if !ok(c[1]) || c[0] == nil || c[1].Gen() <= c[0].Gen() || m.Snapshot().Gen() < c[1].Gen() {
				t.Errorf("%s: %v of generation %d", what, uids(c[1]), c[1].Gen())
			}
		case <-time.After(short):
			t.Fatalf("%s: nothing was told", what)
		}
	}
	in.Add(text(6, 123))
	check("new mail", func(s *Snapshot) bool { m, ok := s.Find(6); return ok && m.Size == 123 && s.UIDNext() == 7 })
	in.SetFlags(3, `\Seen $Work`)
	check("flags", func(s *Snapshot) bool { m, _ := s.Find(3); return slices.Equal(m.Flags, []string{`$Work`, `\Seen`}) })
	changed := m.Snapshot().Changed()
	in.Expunge(2, imaptest.DovecotGone)
	check("expunge", func(s *Snapshot) bool { _, ok := s.Find(2); return !ok && s.Len() == 5 && s.Changed().After(changed) })
	if n := len(s.Commands("EXAMINE")); n > 2 { // one more for the spare connection
		t.Errorf("%d EXAMINEs", n)
	}
}

func TestNewsComeByPollWithoutIdle(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1")
	boxes := make([]*imaptest.Box, 6)
	for i := range boxes {
		boxes[i] = s.Mailbox(fmt.Sprint("box", i))
		boxes[i].Add(text(i, 100))
	}
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 100 * time.Millisecond; c.Connections = 2 })
	for i := range boxes {
		mustLoad(t, box(t, a, fmt.Sprint("box", i)))
	}
	for i := range boxes {
		boxes[i].Add(text(i, 100))
	}
	boxes[0].Expunge(1, imaptest.DovecotGone)
	for i := range boxes {
		m := box(t, a, fmt.Sprint("box", i))
		eventually(t, short, m.Name()+" has its news", func() bool { _, ok := m.Snapshot().Find(2); return ok })
	}
	eventually(t, short, "the expunged is gone", func() bool { return box(t, a, "box0").Snapshot().Len() == 1 })
	if len(s.Commands("STATUS")) == 0 || len(s.Commands("IDLE")) > 0 {
		t.Errorf("%d STATUS, %d IDLE", len(s.Commands("STATUS")), len(s.Commands("IDLE")))
	}
}

func TestAFreshMailboxIsAnsweredFromMemory(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 100))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	n := 0
	eventually(t, short, "the watch stands, and asks nothing more", func() bool {
		was := n
		n = len(s.Commands(""))
		time.Sleep(100 * time.Millisecond)
		return n == was && len(s.Commands("EXAMINE")) == 2 && len(s.Commands("IDLE")) == 1
	})
	for range 100 {
		mustLoad(t, m)
		if _, err := a.LoadTree(within(t, short)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Commands(""); len(got) != n {
		t.Errorf("it was asked: %q", got[n:])
	}
}

func TestReturningToAMailboxAsksOnlyForFlagsAndWhatIsNew(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	s.Mailbox("other").Add(text(1, 10))
	for i := range 50 {
		in.Add(text(i, 100+i))
	}
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll, c.Connections = time.Millisecond, 1 })
	m := box(t, a, "INBOX")
	first := mustLoad(t, m)
	mustLoad(t, box(t, a, "other"))
	in.LieSize(7, +1000) // a size that arrives for a known UID replaces nothing
	in.Expunge(9, imaptest.DovecotGone)
	in.SetFlags(11, `\Flagged`)
	in.Add(text(51, 5000))
	n := len(s.Commands(""))
	time.Sleep(2 * time.Millisecond)
	snap := mustLoad(t, m)
	added, removed := Diff(first, snap)
	if !slices.Equal(added, []UID{51}) || !slices.Equal(removed, []UID{9}) {
		t.Errorf("added %v, removed %v", added, removed)
	}
	if m, _ := snap.Find(7); m.Size != 106 {
		t.Errorf("the size of a known message is %d now", m.Size)
	}
	if m, _ := snap.Find(11); !slices.Equal(m.Flags, []string{`\Flagged`}) {
		t.Errorf("%v", m.Flags)
	}
	for _, c := range s.Commands("")[n:] {
		if strings.Contains(c, "1:* (UID FLAGS INTERNALDATE") {
			t.Errorf("all was asked for again: %s", c)
		}
	}
}

func TestAnotherUIDValidity(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add(text(1, 1000))
	in.Add(text(2, 1000))
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = time.Millisecond })
	m := box(t, a, "INBOX")
	old := mustLoad(t, m)
	checkText(t, m, 1, text(1, 1000))
	told := observe(a)

	// The mailbox is deleted and made again: the same UIDs mean other messages.
	in.Expunge(1, imaptest.DovecotGone)
	in.Expunge(2, imaptest.DovecotGone)
	in.Add(text(3, 1000))
	in.SetValidity(4242)
	s.Cut()
	// Whatever needs a session first finds out: here, a text.
	_, err := m.ReadAt(within(t, short), old.Validity(), 2, make([]byte, 10), 0)
	wantKind(t, err, Stale)
	eventually(t, short, "the new index", func() bool { return m.Snapshot().Validity() == 4242 })
	if _, ok := tryReadAt(m, old.Validity(), 1, make([]byte, 10), 0); ok {
		t.Error("a cached text of the old is served")
	}
	if _, ok := m.TryOpen(old.Validity(), 1); ok {
		t.Error("a cached text of the old is opened")
	}
	if got := mustLoad(t, m); !slices.Equal(uids(got), []UID{3}) {
		t.Errorf("%v", uids(got))
	}
	checkText(t, m, 3, text(3, 1000))
	_, err = m.Open(within(t, short), old.Validity(), 3)
	wantKind(t, err, Stale)
	// Before it, the old one may have been told of the expunges.
	for seen := false; !seen; {
		select {
		case c := <-told.boxes:
			seen = c[1].Validity() == 4242
			if added, removed := Diff(c[0], c[1]); seen && (!slices.Equal(added, []UID{3}) || len(removed) != c[0].Len()) {
				t.Errorf("told of %v and %v", added, removed)
			}
		case <-time.After(short):
			t.Fatal("nothing was told")
		}
	}
}

// A server may change UIDs under one UIDVALIDITY, as GNU mailutils does.
func TestChangedUIDsAreANewUIDValidity(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(s *imaptest.Scripted, in *imaptest.Box){
		"UIDNEXT goes back": func(s *imaptest.Scripted, in *imaptest.Box) {
			s.On("EXAMINE", func(c *imaptest.Call) {
				c.Send("* 2 EXISTS")
				c.Send("* OK [UIDVALIDITY 1000] valid")
				c.Send("* OK [UIDNEXT 3] next")
				c.Default()
			})
		},
		"the highest has another size": func(s *imaptest.Scripted, in *imaptest.Box) { in.LieSize(4, 10) },
	} {
		t.Run(what, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			in := s.Mailbox("INBOX")
			for i := range 4 {
				in.Add(text(i, 100))
			}
			if strings.HasPrefix(what, "UIDNEXT") {
				// The scripted server says its own UIDNEXT last, so hide it.
				s.On("EXAMINE", nil)
			}
			a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll, c.Connections = time.Millisecond, 1 })
			m := box(t, a, "INBOX")
			old := mustLoad(t, m)
			if strings.HasPrefix(what, "UIDNEXT") {
				s.On("EXAMINE", func(c *imaptest.Call) {
					c.Send("* 4 EXISTS")
					c.Send("* OK [UIDVALIDITY 1000] valid")
					c.Send("* OK [UIDNEXT 3] next")
					c.Done("OK [READ-ONLY] done")
				})
				s.On("UID FETCH", func(c *imaptest.Call) {
					c.Send("* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 9)")
					c.Send("* 2 FETCH (UID 2 FLAGS () RFC822.SIZE 9)")
					c.Send("* 3 FETCH (UID 3 FLAGS () RFC822.SIZE 9)")
					c.Send("* 4 FETCH (UID 4 FLAGS () RFC822.SIZE 9)")
					c.Done("OK done")
				})
			} else {
				change(s, in)
			}
			s.Cut()
			time.Sleep(5 * time.Millisecond)
			snap := mustLoad(t, m)
			if snap.Validity() == old.Validity() || snap.Len() != 4 {
				t.Errorf("%d messages under %d", snap.Len(), snap.Validity())
			}
			_, err := m.Open(within(t, short), old.Validity(), 1)
			wantKind(t, err, Stale)
		})
	}
}

func TestARefusedExamineIsLookedInto(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	gone := s.Mailbox("gone")
	a := openScripted(t, s)
	m := box(t, a, "gone")
	gone.Refuse("what mailbox?")
	s.On("LIST", func(c *imaptest.Call) { c.Send(`* LIST () "/" INBOX`); c.Done("OK done") })
	_, err := m.Load(within(t, short))
	wantKind(t, err, NotExist)
	if a.Tree().Parent(m) != nil {
		t.Error("it is still in the tree")
	}
}

func TestMessagesWithoutSizeOrDateAreListed(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 50))
	s.Mailbox("INBOX").Add(text(2, 50))
	s.On("UID FETCH", func(c *imaptest.Call) {
		if strings.Contains(c.Args, "BODY") {
			c.Default()
			return
		}
		c.Send(`* 2 FETCH (FLAGS (\Recent \Seen) UID 2)`)
		c.Send(`* 1 FETCH (RFC822.SIZE 50 UID 1)`)
		c.Send(`* 1 FETCH (FLAGS (\answered) UID 1)`)
		c.Done("OK done")
	})
	m := box(t, openScripted(t, s), "INBOX")
	snap := mustLoad(t, m)
	one, two := snap.At(0), snap.At(1)
	if one.UID != 1 || one.Size != 50 || one.Flags[0] != `\Answered` || two.UID != 2 || two.Size != 0 || !slices.Equal(two.Flags, []string{`\Seen`}) {
		t.Errorf("%+v %+v", one, two)
	}
	checkText(t, m, 1, text(1, 50))
	checkText(t, m, 2, text(2, 50))
}

func TestGrowthAndExpungeDuringTheListing(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	for i := range 10 {
		in.Add(text(i, 100))
	}
	once := false
	s.On("UID FETCH", func(c *imaptest.Call) {
		if !once {
			once = true
			c.Default()
			return
		}
		c.Default()
	})
	s.On("EXAMINE", func(c *imaptest.Call) {
		c.Default()
		in.Expunge(4, imaptest.DovecotGone) // heard of with the FETCH, or after it
		in.Add(text(11, 100))
	})
	a := openScripted(t, s)
	snap := mustLoad(t, box(t, a, "INBOX"))
	want := []UID{1, 2, 3, 5, 6, 7, 8, 9, 10}
	if got := uids(snap); !slices.Equal(got[:9], want) {
		t.Errorf("%v", got)
	}
	s.On("EXAMINE", nil)
	eventually(t, short, "the new message", func() bool { _, ok := box(t, a, "INBOX").Snapshot().Find(11); return ok })
}

func TestFlagsHeardWhileNewMailIsListedAreKept(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1")
	in := s.Mailbox("INBOX")
	for i := range 3 {
		in.Add(text(i, 100))
	}
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = time.Millisecond })
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	in.Add(text(4, 100))
	// The sizes of new messages are asked for after the flags of all.
	s.On("UID FETCH", func(c *imaptest.Call) {
		if strings.Contains(c.Args, "RFC822.SIZE") {
			c.Send(`* 2 FETCH (UID 2 FLAGS (\Flagged))`)
		}
		c.Default()
	})
	s.Cut()
	eventually(t, short, "new mail", func() bool { return mustLoad(t, m).Len() == 4 })
	if got, _ := m.Snapshot().Find(2); !slices.Equal(got.Flags, []string{`\Flagged`}) {
		t.Errorf("flags %q: what was heard is lost", got.Flags)
	}
}

func TestUIDVALIDITYThatChangesDuringALookIsNoError(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1")
	in := s.Mailbox("INBOX")
	for i := range 3 {
		in.Add(text(i, 100))
	}
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = time.Millisecond })
	m := box(t, a, "INBOX")
	flipped := false
	s.On("UID FETCH", func(c *imaptest.Call) {
		if !flipped {
			flipped = true
			in.SetValidity(4242)
			// Another connection finds out while the listing is under way.
			m.enter(4242, "", false)
		}
		c.Default()
	})
	if v := mustLoad(t, m).Validity(); v != 4242 {
		t.Errorf("listed under UIDVALIDITY %d", v)
	}
}
