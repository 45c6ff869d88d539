package spool

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imapwire"
)

// full is an Info with every field set, and names that no encoding likes.
func full() *Info {
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", -5400))
	in := &Info{ID: "0123456789abcdef", State: Refused, Since: when, Size: 12, Damage: Lost,
		Attrs: Attrs{Mailbox: Mailbox{"a\xff/\n\"b", []string{"a\xff", "", "ü"}}, Name: "\x00 \n", Date: when,
			Flags: []string{`\Seen`, ""}, Replaces: []Message{{"x", 1, 2}, {"\"y", 3, 4}}},
		Traits: Traits{true, true, true, true, true}, Length: 13, Validity: 4, UIDNext: 5, Tries: 6, Tried: when, UID: 7,
		Failure: Failure{"over quota", "NO \"full\"\n", when}, follows: []string{"fedcba9876543210", "0"}, rest: true}
	in.Sum[3] = 9
	return in
}

func TestAnEntryComesBackAsItWasWritten(t *testing.T) {
	in := full()
	b, err := format(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := format(got)
	if err != nil || !bytes.Equal(b, again) {
		t.Fatalf("%v: %s, was %s", err, again, b)
	}
	// The zones have the same offset and other pointers.
	for _, x := range []*Info{in, got} {
		x.Date, x.Since, x.Tried, x.Failure.When = x.Date.UTC(), x.Since.UTC(), x.Tried.UTC(), x.Failure.When.UTC()
	}
	if !reflect.DeepEqual(in, got) {
		t.Fatalf("%+v, was %+v", got, in)
	}
}

func TestATornEntryIsNotTrusted(t *testing.T) {
	b, err := format(full())
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := parse(b[:n]); err == nil {
			t.Fatalf("the first %d of %d octets are an entry", n, len(b))
		}
		other := bytes.Clone(b)
		other[n] ^= 1
		if _, err := parse(other); err == nil {
			t.Fatalf("octet %d does not matter", n)
		}
	}
	if _, err := parse(append(b, '\n')); err == nil {
		t.Fatal("what stands behind does not matter")
	}
}

func FuzzEntry(f *testing.F) {
	for _, in := range []*Info{full(), {ID: "0123456789abcdef", State: Writing, Attrs: Attrs{Name: "1"}}} {
		b, err := format(in)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:bytes.LastIndex(b, []byte("sum "))])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parse(b)
		in, err := parse(append(b, "sum \""+hash(b)+"\"\n"...))
		if err != nil {
			return
		}
		again, err := format(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(again); err != nil || !bytes.HasPrefix(again, b) {
			t.Fatalf("%q was read, %q written", b, again)
		}
	})
}

func FuzzChange(f *testing.F) {
	set := imapwire.SetOf(1, 2, 9)
	for _, c := range []change{
		{key: "hide", mailbox: "a\xff", validity: 1, uids: set}, {key: "show", mailbox: "", validity: 1, uids: set},
		{key: "forget", mailbox: "b"}, {key: "move", id: "1", mailbox: "a", validity: 2, uids: set, to: "c"},
		{key: "park", id: "2", mailbox: "a", to: "b"}, {key: "end", id: "2"},
		{key: "rename", id: "3", mailbox: "a", to: "b", delim: '/', path: []string{"x"}},
	} {
		f.Add(string(c.append(nil)))
	}
	f.Fuzz(func(t *testing.T, lines string) {
		l := newInFlight()
		for line := range strings.Lines(lines) {
			c, ok := parseChange(line)
			if !ok {
				continue
			}
			if string(c.append(nil)) != line {
				t.Fatalf("%q is written %q", line, c.append(nil))
			}
			l.apply(&c)
		}
		again := newInFlight()
		for _, c := range l.changes() {
			again.apply(&c)
		}
		if !reflect.DeepEqual(l, again) {
			t.Fatalf("%+v became %+v", l, again)
		}
	})
}

// opened opens a spool that is closed with the test.
func opened(t *testing.T, base string) *Spool {
	t.Helper()
	s, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// inMemory is a spool on a disk that takes no time.
func inMemory(t *testing.T) *Spool {
	t.Helper()
	s, err := open(newCrashDisk(), "/spool", newID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// made makes a text and commits it.
func made(t *testing.T, s *Spool, text string) *Entry {
	t.Helper()
	e, err := s.Create(attrs("1"))
	if err == nil {
		_, err = e.WriteAt([]byte(text), 0)
	}
	if err == nil {
		err = e.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sent is the text as it would be sent.
func sent(e *Entry) (string, error) {
	o, err := e.Outgoing()
	if err != nil {
		return "", err
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err == nil && (int64(len(b)) != o.Length || sha256.Sum256(b) != e.Info().Sum) {
		err = errors.New("not of the length or sum that Info gives")
	}
	return string(b), err
}

// TestAHostileDirectoryIsKept: nothing in a directory stops Open, and no text is
// removed.
func TestAHostileDirectoryIsKept(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "spool")
	s := opened(t, base)
	dir := s.dirs[0].path
	e := map[string]*Entry{}
	for _, what := range []string{"fine", "torn entry", "no entry", "no text", "short", "changed"} {
		e[what] = made(t, s, "A: "+what+"\n\nx\n")
		if err := e[what].Set(func(a *Attrs) { a.Name = what }); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	at := func(what, ext string) string { return filepath.Join(dir, e[what].Info().ID+ext) }
	for _, err := range []error{
		os.Truncate(at("torn entry", entryExt), 40),
		os.Remove(at("no entry", entryExt)),
		os.Remove(at("no text", textExt)),
		os.Truncate(at("short", textExt), 3),
		os.WriteFile(at("changed", textExt), []byte("A: chAnged\n\nx\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "0000000000000001.entry"), make([]byte, maxEntry+1), 0o600),
		os.WriteFile(filepath.Join(dir, "0000000000000002.7.9.done"), []byte("nothing"), 0o600),
		os.WriteFile(filepath.Join(dir, "0000000000000003.text"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "0000000000000004.entry.tmp"), []byte("half"), 0o600),
		os.WriteFile(filepath.Join(dir, journalName), []byte("garbage\n\x00\x00\n"+strings.Repeat("x", 3*maxLine)), 0o600),
		os.WriteFile(filepath.Join(dir, "README"), []byte("?"), 0o600),
		os.Symlink("/etc/passwd", filepath.Join(dir, "0000000000000005.text")),
		os.Mkdir(filepath.Join(dir, "0000000000000006.text"), 0o700),
		os.Mkdir(filepath.Join(base, "lost+found"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what the first Open made of it, the second finds again
		s = opened(t, base)
		var lost int
		for _, e := range s.Entries() {
			switch in := e.Info(); in.Name {
			case "fine":
				if got, err := sent(e); in.State != Ready || got != "A: fine\r\n\r\nx\r\n" {
					t.Errorf("fine is %s, %q, %v", in.State, got, err)
				}
			case "no text", "short":
				lost++
				if in.State != Refused || in.Damage != Lost || e.Retry() != ErrTorn {
					t.Errorf("%s is %s, %s", in.Name, in.State, in.Damage)
				}
			case "changed":
				if _, err := e.Outgoing(); err != ErrTorn {
					t.Errorf("a text that is not what was committed would be sent: %v", err)
				}
			case recovered + in.ID:
				var b bytes.Buffer
				e.Export(&b)
				if want := "A: torn entry\n\nx\n"; in.State != Local || b.String() != want && b.String() != "A: no entry\n\nx\n" {
					t.Errorf("%s is %s, %q", in.Name, in.State, b.String())
				}
			default:
				t.Errorf("%q is there, %s", in.Name, in.State)
			}
		}
		if n := len(s.Entries()); n != 6 || lost != 2 {
			t.Errorf("%d entries, %d of them lost; want 6, 2", n, lost)
		}
		s.Close()
	}
	if _, err := os.Stat(filepath.Join(dir, "README")); err != nil {
		t.Error(err)
	}
}

func TestTwoDaemonsHaveADirectoryEach(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "spool")
	a := opened(t, base)
	b := opened(t, base)
	made(t, a, "A: 1\n\n")
	made(t, b, "B: 1\n\n")
	if err := b.Hide("INBOX", 7, imapwire.SetOf(1)); err != nil {
		t.Fatal(err)
	}
	if err := a.Hide("INBOX", 7, imapwire.SetOf(2)); err != nil {
		t.Fatal(err)
	}
	if a.dirs[0].path == b.dirs[0].path || len(a.Entries()) != 1 || len(b.Entries()) != 1 {
		t.Fatal("they share a directory")
	}
	for _, s := range []*Spool{a, b} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c := opened(t, base)
	d := opened(t, base)
	if n, m := len(c.Entries()), len(d.Entries()); n != 2 || m != 0 {
		t.Fatalf("the next daemon has %d texts, the one after it %d; want 2, 0", n, m)
	}
	if got := c.Hidden("INBOX", 7).String(); got != "1:2" {
		t.Fatalf("hidden: %s", got)
	}
	for _, e := range c.Entries() {
		if err := e.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Show("INBOX", 7, imapwire.SetOf(1, 2)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	d.Close()
	if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
		t.Fatalf("%v is left, %v", left, err)
	}
}

func TestIllegalStepsAreErrors(t *testing.T) {
	t.Parallel()
	f := Failure{Kind: "i/o"}
	steps := map[string]func(*Entry) error{
		"commit":    (*Entry).Commit,
		"send":      func(e *Entry) error { return e.Send(1, 1) },
		"unsent":    func(e *Entry) error { return e.Unsent(f) },
		"uncertain": func(e *Entry) error { return e.Uncertain(f) },
		"refuse":    func(e *Entry) error { return e.Refuse(f) },
		"differ":    func(e *Entry) error { return e.Differ(f) },
		"absent":    (*Entry).Absent,
		"retry":     (*Entry).Retry,
		"done":      func(e *Entry) error { return e.Done(1, 1) },
		"remove":    (*Entry).Remove,
		"scratch":   func(e *Entry) error { return e.ToScratch(func(*Attrs) {}) },
		"mail":      func(e *Entry) error { return e.ToMail(func(*Attrs) {}) },
		"discard":   (*Entry).Discard,
	}
	legal := map[State]string{
		Writing: "commit scratch discard", Ready: "send refuse scratch discard",
		Sending: "unsent uncertain refuse done", Unknown: "absent done discard",
		Done: "differ remove discard", Refused: "retry scratch discard", Changed: "discard",
		Local: "mail discard",
	}
	way := map[State][]string{
		Ready: {"commit"}, Sending: {"commit", "send"}, Unknown: {"commit", "send", "uncertain"},
		Done: {"commit", "send", "done"}, Refused: {"commit", "refuse"},
		Changed: {"commit", "send", "done", "differ"}, Local: {"scratch"},
	}
	s := inMemory(t)
	for state, allowed := range legal {
		for step, do := range steps {
			e, err := s.Create(attrs("1"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.WriteAt([]byte("A: b\n\n"), 0); err != nil {
				t.Fatal(err)
			}
			for _, w := range way[state] {
				if err := steps[w](e); err != nil {
					t.Fatal(err)
				}
			}
			if got := e.Info().State; got != state {
				t.Fatalf("%v lead to %s, want %s", way[state], got, state)
			}
			is := strings.Contains(" "+allowed+" ", " "+step+" ")
			if err := do(e); is != (err == nil) || !is && !errors.Is(err, ErrState) {
				t.Errorf("%s in %s: %v", step, state, err)
			}
			if got := e.Info().State; !is && got != state {
				t.Errorf("%s, refused, made %s of %s", step, got, state)
			}
		}
	}
}
