package cache

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"imapfs/cache/spool"
	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// steady is an Observer that wants a mailbox to have the same number of messages all the time.
type steady struct {
	want  int
	wrong atomic.Int64 // another number that was shown; 0: none
	shown atomic.Int64
}

func (s *steady) TreeChanged(old, new *Tree) {}
func (s *steady) MailboxChanged(m *Mailbox, old, new *Snapshot) {
	s.shown.Add(1)
	if n := new.Len(); n != s.want {
		s.wrong.Store(int64(n))
	}
}

// replacing is an account of a server that offers REPLACE, with mailbox A of three messages.
type replacing struct {
	t      *testing.T
	server *imaptest.Scripted
	box    *imaptest.Box
	a      *Account
	m      *Mailbox
	up     *scissors
	seen   *steady
}

func newReplacing(t *testing.T, caps string, change ...settings) *replacing {
	s, b, server := scriptedDrafts(t, caps, 3)
	r := &replacing{t: t, server: s, box: b, up: &scissors{left: -1}, seen: &steady{want: 3}}
	cutting := func(_ *Config, d *imapconn.Dialer) {
		d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return cuttable{c, r.up}, err
		}
	}
	r.a = server.open(t, append([]settings{spooled(t), briefly, cutting}, change...)...)
	r.m = box(t, r.a, "A")
	mustLoad(t, r.m)
	r.a.Observe(r.seen)
	return r
}

// edit writes a text over a message as an editor does, and closes it.
func (r *replacing) edit(uid UID, text string) Sent {
	r.t.Helper()
	d, err := r.a.EditDraft(within(r.t, patient), r.m, r.m.Snapshot().Validity(), uid, "x", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	write(r.t, d, text)
	sent := send(r.t, d, Fate{Box: r.m, Edit: true})
	d.Close()
	return sent
}

// wants checks what the server has and how it came there: by how many REPLACEs and APPENDs.
func (r *replacing) wants(replaces, appends int, texts ...string) {
	r.t.Helper()
	flushed(r.t, r.a)
	if got := r.box.Texts(); !slices.Equal(got, texts) {
		r.t.Errorf("the server has %q, want %q", got, texts)
	}
	if re, ap := len(r.server.Commands("UID REPLACE")), len(r.server.Commands("APPEND")); re != replaces || ap != appends {
		r.t.Errorf("%d REPLACEs and %d APPENDs, want %d and %d", re, ap, replaces, appends)
	}
	eventually(r.t, patient, "the snapshot is what there is", func() bool {
		return slices.Equal(sizes(mustLoadIn(r.t, r.m)), lengths(texts))
	})
}

func lengths(texts []string) (all []string) {
	for _, x := range texts {
		all = append(all, fmt.Sprint(len(x)))
	}
	return all
}

// The three messages that there are at first.
var first, second, third = string(text(100, 100)), string(text(101, 101)), string(text(102, 102))

// TestAnEditIsOneCommand: the server replaces, and both are seen at once.
func TestAnEditIsOneCommand(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"REPLACE UIDPLUS", "REPLACE"} {
		t.Run(caps, func(t *testing.T) {
			r := newReplacing(t, caps)
			sent := r.edit(1, lf(7, 900))
			if caps != "REPLACE" {
				if _, ok := r.m.Snapshot().Find(sent.UID); !ok || standing(r.m, 1) != 0 {
					t.Errorf("the snapshot has %q", sizes(r.m.Snapshot()))
				}
			}
			r.wants(1, 0, second, third, crlf(lf(7, 900)))
			r.edit(4, lf(8, 700))
			r.wants(2, 0, second, third, crlf(lf(8, 700)))
			if n := len(r.server.Commands("UID EXPUNGE")); n > 0 {
				t.Errorf("%d UID EXPUNGE", n)
			}
			eventually(t, patient, "it is told", func() bool { return r.seen.shown.Load() >= 2 })
			if n := r.seen.wrong.Load(); n != 0 {
				t.Errorf("%d messages were seen", n)
			}
		})
	}
}

// TestADraftThatIsSavedAgain replaces what it has sent.
func TestADraftThatIsSavedAgain(t *testing.T) {
	t.Parallel()
	r := newReplacing(t, "REPLACE UIDPLUS")
	d, err := r.a.EditDraft(within(t, patient), r.m, r.m.Snapshot().Validity(), 2, "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		write(t, d, lf(7+i, 900))
		send(t, d, Fate{Box: r.m, Edit: true})
	}
	d.Close()
	r.wants(3, 0, first, third, crlf(lf(9, 900)))
}

// TestAReplaceThatIsCut is sent again, by APPEND where the old message is gone.
func TestAReplaceThatIsCut(t *testing.T) {
	t.Parallel()
	once := func(f func(c *imaptest.Call)) func(*imaptest.Call) {
		var done atomic.Bool
		return func(c *imaptest.Call) {
			if done.Swap(true) {
				c.Default()
				return
			}
			f(c)
		}
	}
	for name, test := range map[string]struct {
		cut               func(r *replacing)
		replaces, appends int
	}{
		"before the end": {func(r *replacing) { r.up.set(50_000) }, 1, 0},
		"behind it, and not done": {func(r *replacing) {
			r.server.On("UID REPLACE", once(func(c *imaptest.Call) { c.Cut() }))
		}, 2, 0},
		"behind it, and done": {func(r *replacing) {
			r.server.On("UID REPLACE", once(func(c *imaptest.Call) { c.CutAfter(1); c.Default() }))
		}, 1, 0},
		"behind it, and the old one is gone": {func(r *replacing) {
			r.server.On("UID REPLACE", once(func(c *imaptest.Call) { r.box.Expunge(1, imaptest.DovecotGone); c.Cut() }))
		}, 1, 1},
	} {
		for _, caps := range []string{"REPLACE UIDPLUS", "REPLACE"} {
			t.Run(name+" "+caps, func(t *testing.T) {
				t.Parallel()
				r := newReplacing(t, caps)
				r.edit(3, lf(6, 800)) // selects
				test.cut(r)
				r.edit(1, lf(7, 100_000)) // more than is in a buffer
				r.wants(test.replaces+1, test.appends, second, crlf(lf(6, 800)), crlf(lf(7, 100_000)))
			})
		}
	}
}

// TestAServerThatRefusesReplace is not asked again: what APPEND and a deletion do is as good.
func TestAServerThatRefusesReplace(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"NO cannot", "BAD what"} {
		t.Run(answer, func(t *testing.T) {
			r := newReplacing(t, "REPLACE UIDPLUS")
			r.seen.want = 0
			r.server.On("UID REPLACE", func(c *imaptest.Call) { c.Done(answer) })
			r.edit(1, lf(7, 900))
			r.edit(2, lf(8, 700))
			r.wants(1, 2, third, crlf(lf(7, 900)), crlf(lf(8, 700)))
		})
	}
	t.Run("over quota", func(t *testing.T) {
		r := newReplacing(t, "REPLACE UIDPLUS")
		r.server.On("UID REPLACE", func(c *imaptest.Call) { c.Done("NO [OVERQUOTA] full") })
		d, err := r.a.EditDraft(within(t, patient), r.m, r.m.Snapshot().Validity(), 1, "x", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		write(t, d, lf(7, 900))
		_, err = d.Send(within(t, patient), Fate{Box: r.m, Edit: true})
		wantKind(t, err, Quota)
		if n := len(r.server.Commands("APPEND")); n > 0 || len(r.box.Texts()) != 3 {
			t.Errorf("%d APPENDs, %d messages", n, len(r.box.Texts()))
		}
	})
}

// TestTheOldMessageIsGone: another client was faster. That is no fault of REPLACE.
func TestTheOldMessageIsGone(t *testing.T) {
	t.Parallel()
	r := newReplacing(t, "REPLACE UIDPLUS")
	r.server.On("UID REPLACE", func(c *imaptest.Call) { r.box.Expunge(1, imaptest.DovecotGone); c.Default() })
	r.edit(1, lf(7, 900))
	r.wants(1, 1, second, third, crlf(lf(7, 900)))
	r.server.On("UID REPLACE", nil)
	r.edit(2, lf(8, 700))
	r.wants(2, 1, third, crlf(lf(7, 900)), crlf(lf(8, 700)))
}

// TestAReplacementOfAnotherSize: the server has made something else of it. The text as it was
// written stays in the spool.
func TestAReplacementOfAnotherSize(t *testing.T) {
	t.Parallel()
	r := newReplacing(t, "REPLACE UIDPLUS")
	r.server.On("UID FETCH", func(c *imaptest.Call) {
		if len(r.server.Commands("UID REPLACE")) > 0 {
			r.box.Damage(4)
		}
		c.Default()
	})
	r.edit(1, lf(7, 900))
	eventually(t, patient, "it is listed", func() bool {
		all := r.a.Pending()
		return len(all) == 1 && all[0].State == spool.Changed.String() && all[0].UID == 4
	})
	var kept bytes.Buffer
	if err := r.a.Export(r.a.Pending()[0].ID, &kept); err != nil || kept.String() != lf(7, 900) {
		t.Errorf("%d octets are kept, %v", kept.Len(), err)
	}
	if got := r.box.Texts(); len(got) != 3 || got[0] != second {
		t.Errorf("the server has %q", got)
	}
}

// TestWhatIsNotReplacedByOneCommand: where the octets are to be compared first, or more than one
// message goes, or it is to go to the trash.
func TestWhatIsNotReplacedByOneCommand(t *testing.T) {
	t.Parallel()
	plain := lf(7, 900)
	for name, test := range map[string]struct {
		text    string
		set     settings
		old     []UID
		another bool // mailbox
	}{
		"8-bit header": {text: "Subject: gr\xfcn\n\nx\n", old: []UID{1}},
		"two":          {text: plain, old: []UID{1, 2}},
		"none":         {text: plain},
		"elsewhere":    {text: plain, old: []UID{1}, another: true},
		"trash":        {text: plain, old: []UID{1}, set: func(c *Config, _ *imapconn.Dialer) { c.OnDelete = DeleteTrash }},
		"large":        {text: lf(7, maxReplacing+1), old: []UID{1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := test.set
			if set == nil {
				set = func(*Config, *imapconn.Dialer) {}
			}
			r := newReplacing(t, "REPLACE UIDPLUS", set)
			to := r.m
			if test.another {
				to = box(t, r.a, "INBOX")
				mustLoad(t, to)
			}
			var old []MessageRef
			for _, uid := range test.old {
				old = append(old, MessageRef{r.m, r.m.Snapshot().Validity(), uid})
			}
			d := draft(t, r.a, to, "x", test.text)
			if err := d.Owe(Fate{Box: to, Replaces: old}); err != nil {
				t.Fatal(err)
			}
			d.Close()
			eventually(t, patient, "it is sent", func() bool { return len(r.server.Commands("APPEND")) == 1 })
			if n := len(r.server.Commands("UID REPLACE")); n > 0 {
				t.Errorf("%d REPLACEs", n)
			}
		})
	}
}
