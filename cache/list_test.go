package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// outline writes what arrange shows, one mailbox a word: path, ! for one that
// holds no messages.
func outline(t *testing.T, data []imapconn.ListData, exclude []string, root string) string {
	t.Helper()
	cfg := Config{Root: root}
	names, err := arrange(data, exclude, cfg.rootPath())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range names {
		s := strings.Join(n.path, ">")
		if !n.selectable {
			s += "!"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestNamesBecomeATree(t *testing.T) {
	t.Parallel()
	list := func(delimiter rune, names ...string) (out []imapconn.ListData) {
		for _, n := range names {
			attrs, name, ok := strings.Cut(n, ":")
			if !ok {
				attrs, name = "", n
			}
			out = append(out, imapconn.ListData{Name: name, Delimiter: delimiter, Attrs: strings.Fields(attrs)})
		}
		return out
	}
	for _, c := range []struct {
		what    string
		data    []imapconn.ListData
		exclude []string
		root    string
		want    string
	}{
		{"a child without its parent", list('/', "a/b/c"), nil, "", "a! a>b! a>b>c"},
		{"a child before its parent", list('/', "a/b", "a"), nil, "", "a a>b"},
		{"a dot as delimiter", list('.', "INBOX", "INBOX.Inbox", "INBOX.a/b"), nil, "", "INBOX INBOX>Inbox INBOX>a/b"},
		{"no delimiter", list(0, "a/b.c"), nil, "", "a/b.c"},
		{"delimiters of their own", append(list('/', "a/b"), list(0, "c/d")...), nil, "", "a! a>b c/d"},
		{"INBOX in any case", list('/', "inbox", "Inbox/x", "INBOX"), nil, "", "INBOX INBOX>x"},
		{"inbox below", list('/', "a/inbox"), nil, "", "a! a>inbox"},
		{"places only", list('/', `\NoSelect:a`, `\NonExistent:b`, "c"), nil, "", "a! b! c"},
		{"modified UTF-7", list('/', "Entw&APw-rfe", "T&-L"), nil, "", "Entwürfe T&L"},
		{"no modified UTF-7", list('/', "&", "&AGE-", "a&b"), nil, "", "& &AGE- a&b"},
		{"UTF-8", list('/', "Entwürfe"), nil, "", "Entwürfe"},
		{"a delimiter behind", list('/', "a/", "b//c"), nil, "", "a b! b>! b>>c"},
		{"a delimiter before", list('/', "/a/b", "/"), nil, "", "a! a>b "},
		{"excluded", list('/', "a", "a/b", "c"), []string{"a"}, "", "a! a>b c"},
		{"excluded whole", list('/', "a", "a/b", "c/d"), []string{"a*", "c"}, "", "c! c>d"},
		{"nothing left of a place", list('/', "c/d", "e"), []string{"c/d"}, "", "e"},
		{"a subtree", list('/', "a", "a/b", "a/b/c", "a/bc", "d"), nil, "a/b", "a! a>b a>b>c"},
		{"inbox's subtree", list('.', "INBOX", "INBOX.a", "b"), nil, "inbox/a", "INBOX! INBOX>a"},
		{"named twice", list('/', "a", "a"), nil, "", "a"},
		{"no name", list('/', "", "a"), nil, "", "a"},
	} {
		if got := outline(t, c.data, c.exclude, c.root); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestADeepNameIsCutOnce(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("a/", 5000) + "a"
	names, err := arrange([]imapconn.ListData{{Name: deep, Delimiter: '/'}}, nil, nil)
	if err != nil || len(names) != maxLevels {
		t.Fatalf("%d levels, %v", len(names), err)
	}
	many := make([]imapconn.ListData, maxNodes/maxLevels+1)
	for i := range many {
		many[i] = imapconn.ListData{Name: fmt.Sprint(i) + strings.Repeat("/", 200) + "a", Delimiter: '/'}
	}
	if _, err := arrange(many, nil, nil); err == nil {
		t.Error("more mailboxes than the limit are taken")
	}
}

func TestAListingIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	for what, hook := range map[string]func(*imaptest.Call){
		"cut":     func(c *imaptest.Call) { c.Send(`* LIST () "/" INBOX`); c.Cut() },
		"refused": func(c *imaptest.Call) { c.Send(`* LIST () "/" INBOX`); c.Done("NO try later") },
		"bad":     func(c *imaptest.Call) { c.Done("BAD what") },
		"empty":   func(c *imaptest.Call) { c.Done("OK done") },
		"garbage": func(c *imaptest.Call) { c.Send(`* LIST (`); c.Done("OK done") },
	} {
		t.Run(what, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			s.Mailbox("INBOX")
			s.Mailbox("Sent")
			a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll, c.Timeout = time.Millisecond, time.Second })
			before := a.Tree()
			s.On("LIST", hook)
			time.Sleep(2 * time.Millisecond)
			_, err := a.LoadTree(within(t, time.Second))
			if err == nil {
				t.Fatal("half a listing is taken for a whole one")
			}
			var e *Error
			if !errors.As(err, &e) || e.Op != "list" {
				t.Errorf("%v", err)
			}
			if a.Tree() != before {
				t.Error("the tree is another one")
			}
			s.On("LIST", nil)
			// A poll that had begun before may share its failure.
			eventually(t, short, "the listing is right again", func() bool {
				_, err := a.LoadTree(within(t, short))
				return err == nil
			})
			if a.Tree() != before {
				t.Error("the tree is another one afterwards")
			}
		})
	}
}

// seen records what an Observer is told.
type seen struct {
	boxes chan [2]*Snapshot
	trees chan [2]*Tree
}

func observe(a *Account) *seen {
	s := &seen{make(chan [2]*Snapshot, 100), make(chan [2]*Tree, 100)}
	a.Observe(s)
	return s
}

func (s *seen) MailboxChanged(m *Mailbox, old, new *Snapshot) { s.boxes <- [2]*Snapshot{old, new} }
func (s *seen) TreeChanged(old, new *Tree)                    { s.trees <- [2]*Tree{old, new} }

func TestMailboxesComeAndGo(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	s.Mailbox("Old")
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = time.Millisecond })
	told := observe(a)
	inbox, old := box(t, a, "INBOX"), box(t, a, "Old")
	mustLoad(t, old)
	if before := a.Tree().Changed(a.Tree().Root()); before != a.since || old.Snapshot().Changed() != before {
		t.Error("what is seen first is said to have changed since")
	}
	s.On("LIST", func(c *imaptest.Call) {
		c.Send(`* LIST () "/" "INBOX"`)
		c.Send(`* LIST () "/" "New/Box"`)
		c.Done("OK done")
	})
	time.Sleep(2 * time.Millisecond)
	tree, err := a.LoadTree(within(t, short))
	if err != nil {
		t.Fatal(err)
	}
	if got := tree.Child(tree.Root(), "INBOX"); got != inbox {
		t.Error("INBOX is another mailbox")
	}
	if tree.Child(tree.Root(), "Old") != nil || tree.Child(tree.Root(), "New") == nil || tree.Parent(old) != nil {
		t.Error("Old is still there, or New is not")
	}
	if changed := tree.Changed(tree.Root()); !changed.After(a.since) || time.Since(changed) > short {
		t.Errorf("changed %v", tree.Changed(tree.Root()))
	}
	select {
	case c := <-told.trees:
		if c[1] != tree || c[1].Gen() <= c[0].Gen() {
			t.Error("told of other trees")
		}
	case <-time.After(short):
		t.Error("the observer was told nothing")
	}
	_, err = old.Load(within(t, short))
	wantKind(t, err, NotExist)
	_, err = old.Open(within(t, short), old.Snapshot().Validity(), 1)
	wantKind(t, err, NotExist)
}

// TestAListingFromBeforeARefusalDecidesNothing has a mailbox go while a LIST is under way that
// still has it: whoever looks into it is told that it is gone, not of an error.
func TestAListingFromBeforeARefusalDecidesNothing(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	s.Mailbox("Old")
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = time.Hour })
	old := box(t, a, "Old")
	asked, refused := make(chan struct{}), make(chan struct{})
	var listed, said sync.Once
	s.On("LIST", func(c *imaptest.Call) {
		listed.Do(func() {
			c.Send(`* LIST () "/" "INBOX"`)
			c.Send(`* LIST () "/" "Old"`)
			close(asked)
			<-refused
			time.Sleep(100 * time.Millisecond) // so long is it under way, for whoever joins
			c.Done("OK done")
			c = nil
		})
		if c != nil {
			c.Default()
		}
	})
	s.On("EXAMINE", func(c *imaptest.Call) {
		c.Done("NO Mailbox doesn't exist: Old") // Dovecot has no code here
		said.Do(func() { close(refused) })
	})
	a.trees.refresh(within(t, patient), 0)
	<-asked
	s.Remove("Old")
	_, err := old.Load(within(t, patient))
	wantKind(t, err, NotExist)
}

func TestARootThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	s.Mailbox("Work/2024")
	_, err := tryOpen(t, s.Addr, s.User, s.Password, func(c *Config, _ *imapconn.Dialer) { c.Root = "Work/2023" })
	wantKind(t, err, NotExist)
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Root = "Work" })
	var names []string
	for m := range a.Tree().all {
		names = append(names, m.full())
	}
	slices.Sort(names)
	if strings.Join(names, " ") != "Work Work/2024" {
		t.Errorf("%q", names)
	}
}

func TestTheFirstErrorIsTheDialers(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	_, err := tryOpen(t, s.Addr, s.User, "wrong")
	var auth *imapconn.AuthError
	if !errors.As(err, &auth) {
		t.Errorf("%v", err)
	}
	wantKind(t, err, Access)
}

// BenchmarkTree makes the tree of an account: of what LIST gave, and once more of
// the same, which is what each look costs.
func BenchmarkTree(b *testing.B) {
	for _, n := range []int{2_000, 10_000, 50_000, 200_000} {
		data := make([]imapconn.ListData, n)
		for i := range data {
			data[i] = imapconn.ListData{Name: fmt.Sprintf("Archive/%d/%d/list-%d", i%100, i%1000, i), Delimiter: '/', Attrs: []string{`\HasNoChildren`}}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			a := newAccount(b.Context(), Config{})
			for b.Loop() {
				names, err := arrange(data, nil, nil)
				if err != nil {
					b.Fatal(err)
				}
				a.trees.mu.Lock()
				a.trees.adopt(names, time.Now(), nil)
				a.trees.mu.Unlock()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/mailbox")
		})
	}
}
