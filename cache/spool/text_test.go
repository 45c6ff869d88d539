package spool

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"imapfs/imapconn/imapwire"

	"pgregory.net/rapid"
)

func TestHeaderField(t *testing.T) {
	for line, want := range map[string]bool{
		"Subject: x": true, "X-1:": true, "From : obsolete": true, "a\t :": true, "!#$:": true,
		"": false, ":": false, " folded: x": false, "From alice@example.org Mon Jan  1 00:00:00 2026": false,
		"no colon": false, "no": false, "\xff\xd8\xff\xe0 JFIF:": false, "Sübject: x": false, "\x7f:": false, "a\rb: x": false,
	} {
		if got := HeaderField([]byte(line)); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}

// TestATextIsSentWithCRLF compares what is read a piece at a time with what is done at once.
func TestATextIsSentWithCRLF(t *testing.T) {
	s := opened(t, t.TempDir())
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"\n", "\n", "\r", "\r\n", "A: b", "\x00", "\xc3\xbc", "x"})).Draw(t, "parts")
		pad := rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, fillSize - 2, fillSize - 1, fillSize}).Draw(t, "pad")
		k := rapid.IntRange(0, len(parts)).Draw(t, "before")
		text := strings.Join(parts[:k], "") + strings.Repeat("y", pad) + strings.Join(parts[k:], "")
		if text == "" {
			return
		}
		e, err := s.Create(attrs("1"))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Discard()
		if _, err := e.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		lines := rapid.Bool().Draw(t, "lines")
		commit, want := e.Commit, string(asSent([]byte(text)))
		if lines {
			commit = e.CommitLines
			want = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
		}
		if err := commit(); err != nil {
			t.Fatal(err)
		}
		if got, err := sent(e); err != nil || got != want {
			t.Fatalf("%d octets are sent, %v", len(got), err)
		}
		in := e.Info()
		piece := rapid.SampledFrom([]int64{1, 2, 3, 7, 1000}).Draw(t, "piece")
		if s, err := scan(strings.NewReader(text), int64(len(text)), piece, lines); err != nil || s != (scanned{in.Traits, in.Length, in.Sum}) {
			t.Fatalf("in pieces of %d: %+v, %v; want %+v", piece, s, err, in)
		}
		header := text
		for _, end := range []string{"\n\n", "\n\r\n"} {
			if i := strings.Index(header, end); i >= 0 {
				header = header[:i]
			}
		}
		if strings.HasPrefix(text, "\n") || strings.HasPrefix(text, "\r\n") {
			header = ""
		}
		first, _, _ := strings.Cut(text, "\n")
		eight := strings.ContainsFunc(header, func(r rune) bool { return r >= 0x80 })
		if want := (Traits{CRLF: len(want) != len(text), Mixed: lines && len(want) != len(text) && strings.Contains(text, "\r\n"), Header: HeaderField([]byte(first[:min(len(first), maxFirstLine)])), EightBit: eight, NUL: strings.Contains(text, "\x00")}); in.Traits != want &&
			!strings.Contains(text, "\r\r") && !strings.Contains(text, "\n\r") && !strings.HasPrefix(text, "\r") {
			t.Fatalf("%+v, want %+v", in.Traits, want)
		}
	})
}

// TestALargeTextStaysOnTheDisk: a text is committed and read in pieces, however long.
func TestALargeTextStaysOnTheDisk(t *testing.T) {
	const size = 16 << 20
	f := &endless{all: size}
	var s scanned
	per := testing.AllocsPerRun(1, func() {
		var err error
		if s, err = scan(f, size, chunk, false); err != nil {
			t.Fatal(err)
		}
	})
	if s.length != size+size/64 || !s.CRLF || per > 100 {
		t.Fatalf("%+v, %v allocations", s, per)
	}
	o := &Outgoing{Length: s.length, left: s.length, file: f, raw: io.NewSectionReader(f, 0, size), crlf: true}
	h := sha256.New()
	if n, err := io.Copy(h, o); err != nil || n != s.length || !bytes.Equal(h.Sum(nil), s.sum[:]) {
		t.Fatalf("%d octets, %v", n, err)
	}
	if c := cap(o.all); c > 1<<20 {
		t.Fatalf("%d octets of memory", c)
	}
}

const line64 = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"

// endless is a text of lines of 64 octets.
type endless struct {
	file
	all int64
}

func (f *endless) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), f.all-off))
	for done := 0; done < n; {
		done += copy(p[done:n], line64[(off+int64(done))%64:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestAFailedWriteIsNotSent: a text with a hole that a full disk left is committed
// only when the hole is written, or cut off.
func TestAFailedWriteIsNotSent(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]func(e *Entry) error{
		"write": func(e *Entry) error { _, err := e.WriteAt([]byte("more text"), 6); return err },
		"write, twice": func(e *Entry) error {
			e.WriteAt([]byte("more "), 6)
			_, err := e.WriteAt([]byte("text"), 11)
			return err
		},
		"cut off": func(e *Entry) error { return e.Truncate(6) },
		"accept":  (*Entry).Accept,
	} {
		d := newCrashDisk()
		s, err := open(d, "/spool", newID)
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Create(attrs("1"))
		if err == nil {
			_, err = e.WriteAt([]byte("A: b\n\n"), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		d.fault = 1
		if n, err := e.WriteAt([]byte("more text"), 6); n != 4 || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%d, %v", n, err)
		}
		for range 2 {
			if err := e.Commit(); err != ErrTorn {
				t.Fatalf("%s: committed with %v", name, err)
			}
			// What is written elsewhere does not mend it.
			if _, err := e.WriteAt([]byte("A"), 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := mend(e); err != nil {
			t.Fatal(err)
		}
		if err := e.Commit(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestATextIsAsLongAsItMayBe(t *testing.T) {
	t.Parallel()
	s := opened(t, t.TempDir())
	e, err := s.Create(attrs("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.WriteAt([]byte("x"), maxText); err != syscall.EFBIG {
		t.Fatal(err)
	}
	if err := e.Truncate(maxText + 1); err != syscall.EFBIG {
		t.Fatal(err)
	}
	for _, a := range []Attrs{{}, {Name: strings.Repeat("x", maxName+1)}, {Name: "1", Flags: make([]string, maxFlags+1)}} {
		if _, err := s.Create(a); err != ErrTooLong {
			t.Fatal(err)
		}
	}
}

// TestALaterGenerationReplacesTheMessage: write, close, and write again while the
// first is on its way.
func TestALaterGenerationReplacesTheMessage(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	s := opened(t, base)
	one := made(t, s, "A: 1\n\n")
	if err := one.Send(7, 40); err != nil {
		t.Fatal(err)
	}
	two, err := one.Edit(3)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := one.Edit(0); err != ErrSuperseded {
		t.Fatal(again, err)
	}
	if _, err := two.WriteAt([]byte("2\n\n"), 3); err != nil {
		t.Fatal(err)
	}
	if err := two.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := two.Send(7, 40); err != ErrEarlier {
		t.Fatal(err)
	}
	// A third takes the place of the second, which nobody needs.
	three, err := two.Edit(3)
	if err == nil {
		_, err = three.WriteAt([]byte("3\n\n"), 3)
	}
	if err == nil {
		err = three.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := len(s.Entries()); got != 2 || two.Send(7, 40) != ErrGone {
		t.Fatalf("%d generations", got)
	}
	// After a crash the third still waits for the first.
	s.Close()
	s = opened(t, base)
	one, three = s.Entries()[0], s.Entries()[1]
	if a, b := one.Info().State, three.Info().State; a != Unknown || b != Ready {
		t.Fatalf("after a crash they are %s, %s", a, b)
	}
	if err := three.Send(7, 40); err != ErrEarlier {
		t.Fatal(err)
	}
	if err := one.Discard(); !errors.Is(err, ErrState) {
		t.Fatal(err)
	}
	if err := one.Done(8, 41); err != nil {
		t.Fatal(err)
	}
	if err := one.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := three.Send(8, 42); err != nil {
		t.Fatal(err)
	}
	if got, want := three.Info().Replaces, []Message{{"INBOX", 8, 41}}; !slices.Equal(got, want) {
		t.Fatalf("the third replaces %v, want %v", got, want)
	}
	if got, err := sent(three); err != nil || got != "A: 3\r\n\r\n" {
		t.Fatalf("%q, %v", got, err)
	}
}

// TestAReaderSeesTheTextToItsEnd: what is sent does not change under it.
func TestAReaderSeesTheTextToItsEnd(t *testing.T) {
	t.Parallel()
	s := opened(t, t.TempDir())
	text := "A: b\n\n" + strings.Repeat("line\n", 100_000)
	e := made(t, s, text)
	o, err := e.Outgoing()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	first := make([]byte, 10)
	if _, err := io.ReadFull(o, first); err != nil {
		t.Fatal(err)
	}
	n, err := e.Edit(int64(len(text)))
	if err == nil {
		_, err = n.WriteAt([]byte("B"), 0)
	}
	if err == nil {
		err = n.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.WriteAt([]byte("B"), 0); err != ErrGone {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(o)
	if err != nil || string(first)+string(rest) != strings.ReplaceAll(text, "\n", "\r\n") {
		t.Fatalf("%d octets, %v", len(rest), err)
	}
	if got, err := sent(n); err != nil || got != strings.ReplaceAll("B"+text[1:], "\n", "\r\n") {
		t.Fatal(err)
	}
}

// TestAMessageCostsTwoSyncs: of the entry and of its name, before it is sent; those
// of names are shared by whoever sends at once.
func TestAMessageCostsTwoSyncs(t *testing.T) {
	t.Parallel()
	d := newCrashDisk()
	s, err := open(d, "/spool", newID)
	if err != nil {
		t.Fatal(err)
	}
	before := d.syncs
	const n = 100
	for range n {
		e := made(t, s, "A: b\n\n")
		for _, err := range []error{e.Send(7, 1), e.Done(7, 1), e.Close(), e.Remove()} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := d.syncs - before; got != 2*n {
		t.Fatalf("%d messages cost %d syncs", n, got)
	}
}

func TestGroupSharesARun(t *testing.T) {
	t.Parallel()
	runs, begun, go1 := 0, make(chan bool, 1), make(chan bool)
	g := &group{}
	g.run = func() error {
		if runs++; runs == 1 {
			begun <- true
			<-go1
		}
		return nil
	}
	var wait sync.WaitGroup
	wait.Go(func() { g.do() })
	<-begun
	for range 20 { // they come while the first runs
		wait.Go(func() { g.do() })
	}
	for joined := false; !joined; {
		g.mu.Lock()
		joined = g.next != nil
		g.mu.Unlock()
	}
	close(go1)
	wait.Wait()
	if runs < 2 || runs > 21 {
		t.Fatalf("%d runs", runs)
	}
	if g.do(); g.next != nil {
		t.Fatal("a round is left")
	}
}

func TestRenameMailboxIsFollowed(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	s := opened(t, base)
	made(t, s, "A: b\n\n").Set(func(a *Attrs) { a.Mailbox = Mailbox{"Old", []string{"Old"}} })
	made(t, s, "A: b\n\n").Set(func(a *Attrs) {
		a.Mailbox, a.Replaces = Mailbox{"Old.&BBA-.b", []string{"Old", "А", "b"}}, []Message{{"Old.x", 1, 2}}
	})
	made(t, s, "A: b\n\n").Set(func(a *Attrs) { a.Mailbox = Mailbox{"Older", []string{"Older"}} })
	if err := s.Hide("Old.x", 7, imapwire.SetOf(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BeginMove(Move{"Old", 7, imapwire.SetOf(1), "Old.x"}); err != nil {
		t.Fatal(err)
	}
	if err := s.RenameMailbox(Mailbox{"Old", []string{"Old"}}, Mailbox{"New.n", []string{"New", "n"}}, '.'); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var got []string
		for _, e := range s.Entries() {
			in := e.Info()
			got = append(got, in.Mailbox.Wire+" "+strings.Join(in.Mailbox.Path, "/")+" "+fmt.Sprint(in.Replaces))
		}
		if want := "New.n New/n [],New.n.&BBA-.b New/n/А/b [{New.n.x 1 2}],Older Older []"; strings.Join(got, ",") != want {
			t.Fatalf("%q, want %q", got, want)
		}
		if s.Hidden("New.n.x", 7).String() != "1" || len(s.Hidden("Old.x", 7)) != 0 {
			t.Fatal("what is hidden has not moved")
		}
		for _, m := range s.Moves() {
			if m.From != "New.n" || m.To != "New.n.x" {
				t.Fatalf("%+v", m)
			}
		}
		s.Close()
		s = opened(t, base)
	}
}

// TestARenameIsWholeAfterACrash stops the process at each call of the disk.
func TestARenameIsWholeAfterACrash(t *testing.T) {
	t.Parallel()
	for at, noted := 1, false; ; at++ {
		d := newCrashDisk()
		s, err := open(d, "/spool", newID)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			e := made(t, s, "A: b\n\n")
			if err := e.Set(func(a *Attrs) { a.Mailbox = Mailbox{"a/b", []string{"a", "b"}} }); err != nil {
				t.Fatal(err)
			}
			if err := e.Keep(); err != nil {
				t.Fatal(err)
			}
		}
		d.fault = at
		err = s.RenameMailbox(Mailbox{"a", []string{"a"}}, Mailbox{"c", []string{"c"}}, '/')
		if err == nil && d.fault > 0 {
			break // it takes fewer calls
		}
		d.cut(rand.New(rand.NewPCG(uint64(at), 1)))
		if s, err = open(d, "/spool", newID); err != nil {
			t.Fatal(err)
		}
		names := map[string]int{}
		for _, e := range s.Entries() {
			names[e.Info().Mailbox.Wire]++
		}
		// The last failure before it is noted leaves the old name, everywhere.
		if names["a/b"] != 3 && names["c/b"] != 3 || noted && names["a/b"] > 0 {
			t.Fatalf("stopped at call %d: %v", at, names)
		}
		noted = noted || names["c/b"] == 3
	}
}

func TestWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (s imapwire.UIDSet) {
			for _, u := range rapid.SliceOf(rapid.SampledFrom([]uint32{1, 2, 3, 5, 8, 9, 10, 1<<32 - 2, 1<<32 - 1})).Draw(t, name) {
				s.Add(UID(u))
			}
			return s
		}
		a, b := draw("a"), draw("b")
		got := without(a, b)
		for _, u := range []UID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1<<32 - 2, 1<<32 - 1} {
			if want := a.Contains(u) && !b.Contains(u); got.Contains(u) != want {
				t.Fatalf("%v without %v is %v", a, b, got)
			}
		}
	})
}
