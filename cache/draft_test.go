package cache

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn"
)

// spooled has an account write, with a spool of its own.
func spooled(t testing.TB) settings {
	dir := t.TempDir()
	return func(c *Config, _ *imapconn.Dialer) { c.State = dir }
}

// hastily has an account wait less between its tries.
func hastily(c *Config, _ *imapconn.Dialer) {
	c.pauses = &draftPauses{
		looks: []time.Duration{0, 200 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second}, // a busy server may be late
		first: 10 * time.Millisecond, last: 200 * time.Millisecond, check: 20 * time.Millisecond, linger: time.Minute,
	}
}

// lf is a message of about n octets with LF alone.
func lf(id, n int) string {
	return strings.ReplaceAll(string(text(id, n)), "\r\n", "\n")
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// draft makes a draft with a text.
func draft(t testing.TB, a *Account, m *Mailbox, name, text string) *Draft {
	t.Helper()
	d, err := a.NewDraft(m, name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, text)
	return d
}

func write(t testing.TB, d *Draft, text string) {
	t.Helper()
	if err := d.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if n, err := d.WriteAt([]byte(text), 0); err != nil || n != len(text) {
		t.Fatal(n, err)
	}
}

// send sends a draft as a close does.
func send(t testing.TB, d *Draft, f Fate) Sent {
	t.Helper()
	s, err := d.Send(within(t, patient), f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// texts gives the texts of a mailbox, in UID order.
func (p *peer) texts(box string) []string {
	p.t.Helper()
	data, err := p.c.Examine(p.ctx(), box, nil)
	p.must(err)
	all := make(map[UID]string)
	if data.Exists > 0 {
		p.must(p.c.FetchText(p.ctx(), imapconn.AllUIDs(), imapconn.Part{}, func(x imapconn.Text) { all[x.UID] = string(bytes.Join(x.Chunks, nil)) }))
	}
	p.leave()
	var uids []UID
	for uid := range all {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	var out []string
	for _, uid := range uids {
		out = append(out, all[uid])
	}
	return out
}

// has reports how many messages of a mailbox have a text.
func (p *peer) has(box, text string) int {
	n := 0
	for _, x := range p.texts(box) {
		if x == text {
			n++
		}
	}
	return n
}

// flushed has all that is owed arrive, and nothing be left in the spool.
func flushed(t testing.TB, a *Account) {
	t.Helper()
	if err := a.FlushDrafts(within(t, patient), nil); err != nil {
		t.Error(err, a.Pending())
	}
	eventually(t, patient, "the spool is empty", func() bool { return len(a.spool.Entries()) == 0 })
}

func TestADraftArrives(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		a := s.open(t, spooled(t), hastily)
		m := box(t, a, "B")
		mustLoad(t, m)
		body := lf(7, 900)
		d := draft(t, a, m, "new", body)
		date := time.Unix(800_000_000, 0)
		got := send(t, d, Fate{Box: m, Name: "new", Date: date, Flags: []string{`\Seen`}})
		if want := crlf(body); got.Size != int64(len(want)) || p.has("B", want) != 1 || len(p.texts("B")) != 3 {
			t.Fatalf("%+v; the server has %d", got, p.has("B", want))
		}
		if got.UID != 0 {
			r, ok := m.Snapshot().Find(got.UID)
			if !ok || r.Size != got.Size || r.Date != date.Unix() || !slices.Equal(r.Flags, []string{`\Seen`}) {
				t.Errorf("the snapshot has %+v", r)
			}
		}
		eventually(t, patient, "the UID is known", func() bool { return d.Sent().UID != 0 })
		if again := send(t, d, Fate{Box: m}); again.UID != d.Sent().UID {
			t.Errorf("nothing new: %+v, %+v", again, d.Sent())
		}
		// Written anew it replaces what it has sent.
		next := lf(8, 700)
		write(t, d, next)
		if !d.Dirty() {
			t.Error("it is written to and not dirty")
		}
		send(t, d, Fate{Box: m, Date: date})
		eventually(t, patient, "the first one is replaced", func() bool {
			return slices.IndexFunc(sizes(mustLoadIn(t, m)), func(s string) bool { return strings.HasPrefix(s, fmt.Sprint(len(crlf(body)))) }) < 0
		})
		if n := p.has("B", crlf(next)); n != 1 {
			t.Errorf("%d of the second text", n)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		flushed(t, a)
	})
}

func TestAnEditReplaces(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		a := s.open(t, spooled(t), hastily)
		m := box(t, a, "A")
		snap := mustLoad(t, m)
		old := snap.At(1)
		d, err := a.EditDraft(within(t, patient), m, snap.Validity(), old.UID, "2", maxText)
		if err != nil {
			t.Fatal(err)
		}
		was := make([]byte, old.Size)
		if n, err := d.ReadAt(was, 0); n != len(was) {
			t.Fatal(n, err)
		}
		// Closed unchanged it sends nothing.
		if got := send(t, d, Fate{Box: m, Edit: true}); got.UID != old.UID {
			t.Errorf("%+v", got)
		}
		if _, err := d.WriteAt(was, 0); err != nil {
			t.Fatal(err)
		}
		if got := send(t, d, Fate{Box: m, Edit: true}); got.UID != old.UID || len(p.texts("A")) != 5 {
			t.Errorf("%+v", got)
		}
		if _, err := d.WriteAt([]byte("one more\n"), old.Size); err != nil {
			t.Fatal(err)
		}
		send(t, d, Fate{Box: m, Edit: true})
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		flushed(t, a)
		if n := p.has("A", string(was)+"one more\r\n"); n != 1 || p.has("A", string(was)) > 0 && !hidesDeleted(p, "A") {
			t.Errorf("%d of the new text, %d of the old one", n, p.has("A", string(was)))
		}
		eventually(t, patient, "the snapshot has the new one", func() bool { return mustLoadIn(t, m).Len() == 5 })
	})
}

// hidesDeleted reports whether a mailbox holds something that is marked \Deleted.
func hidesDeleted(p *peer, box string) bool {
	return slices.ContainsFunc(p.list(box), func(s string) bool { return strings.Contains(s, `\Deleted`) })
}

func TestWhatIsNoMailIsNotSent(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		a := s.open(t, spooled(t), hastily)
		m := box(t, a, "A")
		photo := draft(t, a, m, "photo", "\xff\xd8\xff\xe0 JFIF")
		_, err := photo.Send(within(t, patient), Fate{Box: m})
		wantKind(t, err, Invalid)
		empty, err := a.NewDraft(m, "empty")
		if err != nil {
			t.Fatal(err)
		}
		if s := send(t, empty, Fate{Box: m}); s != (Sent{}) {
			t.Errorf("%+v", s)
		}
		gone := draft(t, a, m, "gone", lf(1, 300))
		if err := gone.Discard(); err != nil {
			t.Fatal(err)
		}
		_, err = gone.Send(within(t, patient), Fate{Box: m})
		if !errors.Is(err, ErrDraftGone) {
			t.Error(err)
		}
		if n := len(p.list("A")); n != 5 {
			t.Errorf("%d messages", n)
		}
		left := a.Pending()
		if len(left) != 1 || left[0].Name != "photo" || left[0].State != "refused" || left[0].Error == "" {
			t.Fatalf("pending: %+v", left)
		}
		var b bytes.Buffer
		if err := a.Export(left[0].ID, &b); err != nil || b.String() != "\xff\xd8\xff\xe0 JFIF" {
			t.Error(b.Len(), err)
		}
		if err := a.DiscardPending(left[0].ID); err != nil || len(a.Pending()) > 0 {
			t.Error(err, a.Pending())
		}
		wantKind(t, a.DiscardPending(left[0].ID), NotExist)
	})
}

// TestAMailboxThatIsGone: the text stays, and arrives when the mailbox is made again.
func TestAMailboxThatIsGone(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		a := s.open(t, spooled(t), hastily)
		m := box(t, a, "B")
		p.must(p.c.Delete(p.ctx(), "B"))
		d := draft(t, a, m, "new", lf(7, 900))
		_, err := d.Send(within(t, patient), Fate{Box: m})
		wantKind(t, err, NotExist)
		d.Close()
		if left := a.Pending(); len(left) != 1 || left[0].Name != "new" || left[0].Mailbox != "B" || left[0].Error == "" {
			t.Errorf("pending: %+v", left)
		}
		_, err = p.c.Create(p.ctx(), "B")
		p.must(err)
		a.Refresh(within(t, patient))
		eventually(t, patient, "it arrives by itself", func() bool { return len(a.Pending()) == 0 })
		flushed(t, a)
		if n := p.has("B", crlf(lf(7, 900))); n != 1 {
			t.Errorf("%d arrived", n)
		}
	})
}

// TestWhatWasLeftIsSentByTheNextDaemon: the text outlives the daemon, and arrives once.
func TestWhatWasLeftIsSentByTheNextDaemon(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		state := spooled(t)
		a := s.open(t, state, hastily)
		m := box(t, a, "B")
		d := draft(t, a, m, "new", lf(7, 900))
		d.mu.Lock()
		d.working = true // nobody sends
		d.mu.Unlock()
		if err := d.Owe(Fate{Box: m}); err != nil {
			t.Fatal(err)
		}
		a.Close()
		a = s.open(t, state, hastily)
		eventually(t, patient, "it arrives", func() bool { return len(a.Pending()) == 0 })
		flushed(t, a)
		if n := p.has("B", crlf(lf(7, 900))); n != 1 {
			t.Errorf("%d arrived", n)
		}
	})
}

// TestNothingIsLeftBehind: no file stays in the spool of what has arrived.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		var dir string
		a := s.open(t, spooled(t), hastily, func(c *Config, _ *imapconn.Dialer) { dir = c.State })
		m := box(t, a, "B")
		for i := range 5 {
			d := draft(t, a, m, fmt.Sprint(i), lf(i, 300+i))
			send(t, d, Fate{Box: m})
			d.Close()
		}
		flushed(t, a)
		a.Close()
		var files []string
		filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				files = append(files, path)
			}
			return nil
		})
		if len(files) > 0 || len(p.texts("B")) != 7 {
			t.Errorf("left: %q; %d messages", files, len(p.texts("B")))
		}
	})
}
