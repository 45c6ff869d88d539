package cache

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// sizesOf a small text, one over a block of the kernel's, and large ones.
var textSizes = map[string]int{"small": 9000, "medium": 300_000, "large": 1_500_000, "larger": 5 << 20}

func TestVanishedMessagesAreStale(t *testing.T) {
	t.Parallel()
	for server, how := range map[string]imaptest.Gone{
		"Dovecot": imaptest.DovecotGone, "Courier": imaptest.CourierGone, "mailutils": imaptest.MailutilsGone,
	} {
		for size, n := range textSizes {
			t.Run(server+"/"+size, func(t *testing.T) {
				s := imaptest.NewScripted(t)
				in := s.Mailbox("INBOX")
				for i := range 3 {
					in.Add(text(i+1, n))
				}
				a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Connections = 2 })
				m := box(t, a, "INBOX")
				mustLoad(t, m)
				v := m.Snapshot().Validity()
				checkText(t, m, 1, text(1, n))
				// IDLE would tell: somebody else reads on another session meanwhile.
				s.On("IDLE", func(c *imaptest.Call) { c.Done("NO not now") })
				s.Cut()
				checkText(t, m, 3, text(3, n))
				in.Expunge(2, how)
				_, err := m.Open(within(t, short), v, 2)
				wantKind(t, err, Stale)
				if _, ok := m.TryOpen(v, 2); ok {
					t.Error("it can be opened")
				}
				eventually(t, short, "it is out of the index", func() bool { return slices.Equal(uids(m.Snapshot()), []UID{1, 3}) })
				if got, ok := m.Snapshot().Find(2); ok {
					t.Errorf("a size was remembered: %+v", got)
				}
				// What was read before stays readable after its end.
				in.Expunge(1, how)
				mustLoad(t, m)
				if n <= smallText {
					checkText(t, m, 1, text(1, n))
				}
			})
		}
	}
}

func TestWrongSizesAreFoundOutAtOpen(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 300, 9000, 300_000, smallText - 1, smallText, 1_500_000, 5<<20 + 77} {
		for _, lie := range []int64{-300, -1, 1, 300, 70_000, 700_000, -700_000, 9 << 20} {
			edge := lie == -1 || lie == 300 || lie == 700_000
			if int64(n)+lie < 0 || !edge && n != 9000 && n != 1_500_000 {
				continue
			}
			t.Run(fmt.Sprintf("%d%+d", n, lie), func(t *testing.T) {
				s := imaptest.NewScripted(t)
				in := s.Mailbox("INBOX")
				in.Add(text(1, n))
				in.LieSize(1, lie)
				in.Add(text(2, 100))
				a := openScripted(t, s)
				m := box(t, a, "INBOX")
				before := mustLoad(t, m)
				if got := before.At(0).Size; got != int64(n)+lie {
					t.Fatalf("said to have %d octets", got)
				}
				size, err := m.Open(within(t, short), before.Validity(), 1)
				if err != nil || size != int64(n) {
					t.Fatalf("%d octets, %v", size, err)
				}
				if got := m.Snapshot().At(0).Size; got != int64(n) {
					t.Errorf("%d octets in the index", got)
				}
				if got := Resized(before, m.Snapshot()); !slices.Equal(got, []UID{1}) {
					t.Errorf("resized: %v", got)
				}
				checkText(t, m, 1, text(1, n))
				checkText(t, m, 2, text(2, 100))
				// The truth outlives the session, and is not asked for twice.
				s.Cut()
				m.news.Store(true)
				mustLoad(t, m)
				if got := m.Snapshot().At(0).Size; got != int64(n) {
					t.Errorf("%d octets after another listing", got)
				}
				if m.Snapshot().Validity() != before.Validity() {
					t.Error("a wrong size is taken for another message")
				}
			})
		}
	}
}

func TestATextOfTwoLengthsIsRefused(t *testing.T) {
	t.Parallel()
	for size, n := range textSizes {
		t.Run(size, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			in := s.Mailbox("INBOX")
			in.Add(text(1, n))
			in.LieSize(1, 5)
			var turn atomic.Int64
			s.On("UID FETCH", func(c *imaptest.Call) {
				if strings.Contains(c.Args, "BODY") && !strings.Contains(c.Args, "<0.") {
					c.Send(fmt.Sprintf("* 1 FETCH (UID 1 BODY[]%s {%d}\r\n%s)", origin(c.Args), 10+turn.Load(), strings.Repeat("x", 10+int(turn.Load()))))
					turn.Add(1)
					c.Done("OK done")
					return
				}
				c.Default()
			})
			m := box(t, openScripted(t, s), "INBOX")
			snap := mustLoad(t, m)
			_, err := m.Open(within(t, short), snap.Validity(), 1)
			wantKind(t, err, IO)
			if m.Snapshot().At(0).Size != int64(n)+5 {
				t.Error("a size was remembered")
			}
		})
	}
}

// origin is what stands between < and the dot of a partial FETCH, as an answer
// has it.
func origin(args string) string {
	_, rest, ok := strings.Cut(args, "<")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, ".")
	return "<" + first + ">"
}

func TestOddAnswersAreNoTexts(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(s *imaptest.Scripted, in *imaptest.Box){
		"NIL":                 func(s *imaptest.Scripted, in *imaptest.Box) { in.AnswerBody(2, "NIL") },
		"another's under its": func(s *imaptest.Scripted, in *imaptest.Box) { in.AnswerOther(2, 3) },
		"OK without data": func(s *imaptest.Scripted, in *imaptest.Box) {
			s.On("UID FETCH", func(c *imaptest.Call) {
				if strings.Contains(c.Args, "BODY") {
					c.Done("OK done")
					return
				}
				c.Default()
			})
		},
	} {
		for _, n := range []int{500, 1_500_000} {
			t.Run(fmt.Sprint(what, " ", n), func(t *testing.T) {
				s := imaptest.NewScripted(t)
				in := s.Mailbox("INBOX")
				for i := range 3 {
					in.Add(text(i+1, n))
				}
				m := box(t, openScripted(t, s), "INBOX")
				snap := mustLoad(t, m)
				change(s, in)
				_, err := m.Open(within(t, short), snap.Validity(), 2)
				wantKind(t, err, Stale)
				if _, ok := tryReadAt(m, snap.Validity(), 2, make([]byte, 10), 0); ok {
					t.Error("it can be read")
				}
				// A session that names another message does not list this one.
				if _, ok := m.Snapshot().Find(2); !ok && what != "another's under its" {
					t.Error("the listing is shorter, and the server has not said so")
				}
			})
		}
	}
}

func TestATextMayBeQuoted(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add([]byte("abc"))
	in.AnswerBody(1, `"abc"`)
	m := box(t, openScripted(t, s), "INBOX")
	mustLoad(t, m)
	checkText(t, m, 1, []byte("abc"))
}

// A text whose length changes under its UID is not read on.
func TestATextThatChangesItsLengthIsStaleUntilItIsOpenedAgain(t *testing.T) {
	t.Parallel()
	for _, n := range []int{5000, 1_500_000} {
		s := imaptest.NewScripted(t)
		in := s.Mailbox("INBOX")
		in.Add(text(1, n))
		a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.CacheBytes = 200 }) // nothing is kept
		m := box(t, a, "INBOX")
		v := mustLoad(t, m).Validity()
		if size, err := m.Open(within(t, short), v, 1); err != nil || size != int64(n) {
			t.Fatal(size, err)
		}
		s.On("UID FETCH", func(c *imaptest.Call) {
			_, rest, ok := strings.Cut(c.Args, "BODY.PEEK[]")
			if !ok {
				c.Default()
				return
			}
			changed := text(1, n-10)
			if first, octets := 0, 0; strings.HasPrefix(rest, "<") {
				fmt.Sscanf(rest, "<%d.%d>", &first, &octets)
				first = min(first, len(changed))
				changed = changed[first:min(first+octets, len(changed))]
			}
			c.Send(fmt.Sprintf("* 1 FETCH (UID 1 BODY[]%s {%d}\r\n%s)", origin(c.Args), len(changed), changed))
			c.Done("OK done")
		})
		p := make([]byte, 4096)
		_, err := m.ReadAt(within(t, short), v, 1, p, int64(n)-4096)
		if err == nil {
			t.Fatal("another text is read")
		}
		if size, err := m.Open(within(t, short), v, 1); err != nil || size != int64(n)-10 {
			t.Fatalf("%d octets, %v", size, err)
		}
		checkText(t, m, 1, text(1, n-10))
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	header := "Subject: a\r\nFrom: b\r\n\r\n"
	in.Add([]byte(header + "body"))
	in.Add([]byte(header + strings.Repeat("x", 2_000_000)))
	in.Add([]byte("\r\nonly a body"))
	in.Add([]byte("Subject: only a header\r\n"))
	in.Add([]byte(header + "gone"))
	in.Add([]byte(header + "lying"))
	in.LieSize(6, 100)
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	for uid, want := range map[UID]string{1: header, 2: header, 6: header} {
		for range 2 {
			got, err := m.Header(within(t, short), v, uid)
			if err != nil || string(got) != want {
				t.Errorf("message %d: %q, %v", uid, got, err)
			}
		}
	}
	for uid, want := range map[UID]string{1: header, 2: header, 3: "\r\n", 4: "Subject: only a header\r\n"} {
		if _, err := m.Open(within(t, short), v, uid); err != nil {
			t.Fatal(err)
		}
		n := len(s.Commands("UID FETCH"))
		got, err := m.Header(within(t, short), v, uid)
		if err != nil || string(got) != want {
			t.Errorf("opened message %d: %q, %v", uid, got, err)
		}
		if len(s.Commands("UID FETCH")) != n {
			t.Error("what was there was asked for")
		}
	}
	apart(in)
	gone := in.Add([]byte(header + "gone"))
	mustLoad(t, m)
	in.Expunge(gone, imaptest.CourierGone)
	if got, err := m.Header(within(t, short), v, gone); KindOf(err) != Stale {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTextsOfAnotherSessionOnDovecot(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs Dovecot")
	}
	d := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	for _, n := range []int{4000, 2_000_000} {
		name := fmt.Sprint("box", n)
		d.Deliver(t, name, text(1, n), text(2, n), text(3, n))
		a := open(t, d.Addr, d.User, d.Password)
		m := box(t, a, name)
		v := mustLoad(t, m).Validity()
		checkText(t, m, 1, text(1, n))
		d.Doveadm("expunge", "-u", d.User, "mailbox", name, "uid", "2")
		_, err := m.Open(within(t, short), v, 2)
		wantKind(t, err, Stale)
		eventually(t, short, "it is out of the index", func() bool { return slices.Equal(uids(m.Snapshot()), []UID{1, 3}) })
		checkText(t, m, 3, text(3, n))
		got := strings.Fields(d.Doveadm("fetch", "-u", d.User, "flags", "mailbox", name, "uid", "1"))
		if strings.Contains(strings.Join(got, " "), "Seen") {
			t.Errorf("reading has set flags: %v", got)
		}
		a.Close()
	}
}

// TestASessionThatSeesNothingIsNotBelieved has a session that lost the file of a
// message, as GNU mailutils does when another session moves it: size and text are
// empty there. One that begins now sees it.
func TestASessionThatSeesNothingIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 9000, 300_000} {
		s := imaptest.NewScripted(t)
		in := s.Mailbox("INBOX")
		in.Add(text(1, n))
		in.LieSize(1, -int64(n))
		in.AnswerBody(1, `""`)
		a := openScripted(t, s)
		m := box(t, a, "INBOX")
		mustLoad(t, m)
		s.On("EXAMINE", func(c *imaptest.Call) {
			in.LieSize(1, 0)
			in.AnswerBody(1, "")
			c.Default()
		})
		checkText(t, m, 1, text(1, n))
		if got, _ := m.Snapshot().Find(1); got.Size != int64(n) {
			t.Errorf("its size is shown as %d, not %d", got.Size, n)
		}
	}
}

// Courier lists a message whose file has just gone with the size of the text that it
// invents for it: the right length is no proof then.
func TestTheTextThatCourierInventsIsBelievedOfNoMessageThatIsGone(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add([]byte(invented))
	in.Add([]byte(invented)) // somebody has kept one
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	in.Expunge(1, imaptest.CourierGone)
	_, err := m.Open(within(t, short), v, 1)
	wantKind(t, err, Stale)
	checkText(t, m, 2, []byte(invented))
}
