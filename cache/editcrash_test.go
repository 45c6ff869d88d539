package cache

import (
	"errors"
	"testing"

	"imapfs/cache/spool"
)

// left opens the account anew and gives the one draft that the last one has left.
func left(t *testing.T, s changeServer, state settings) (*Account, *Draft) {
	t.Helper()
	a := s.open(t, state, briefly)
	all := a.Drafts()
	if len(all) != 1 {
		t.Fatalf("%d drafts are left", len(all))
	}
	if err := all[0].Open(); err != nil {
		t.Fatal(err)
	}
	return a, all[0]
}

// edited makes a draft of message 2 of A with a line more.
func edited(t *testing.T, a *Account) (d *Draft, body string) {
	t.Helper()
	m := box(t, a, "A")
	snap := mustLoad(t, m)
	d, err := a.EditDraft(within(t, patient), m, snap.Validity(), 2, "2", maxText)
	if err != nil {
		t.Fatal(err)
	}
	was := make([]byte, d.Size())
	if n, err := d.ReadAt(was, 0); n != len(was) {
		t.Fatal(n, err)
	}
	if _, err := d.WriteAt([]byte("more\r\n"), d.Size()); err != nil {
		t.Fatal(err)
	}
	return d, string(was) + "more\r\n"
}

// TestAnInterruptedEditReplacesNothing: it is kept, listed, and not sent, not even when asked.
func TestAnInterruptedEditReplacesNothing(t *testing.T) {
	t.Parallel()
	s, p, _ := memoryDrafts(t, 3)
	state := spooled(t)
	a := s.open(t, state, briefly)
	_, body := edited(t, a)
	a.Close()
	a, d := left(t, s, state)
	_, err := d.Send(within(t, patient), Fate{Box: box(t, a, "A")})
	if !errors.Is(err, spool.ErrTorn) || d.Whole() {
		t.Errorf("it is sent: %v", err)
	}
	if all := a.Pending(); len(all) != 1 || all[0].State != "writing" || all[0].Error == "" {
		t.Errorf("pending: %+v", all)
	}
	if n := len(p.list("A")); n != 3 || p.has("A", body) != 0 {
		t.Errorf("%d messages", n)
	}
	// Written anew by somebody it is a text like any other, and what it replaces he says.
	write(t, d, lf(9, 300))
	send(t, d, Fate{Box: box(t, a, "A"), Replaces: []MessageRef{}})
	if n := len(p.list("A")); n != 4 {
		t.Errorf("%d messages", n)
	}
}

// TestAKeptEditReplacesItsMessage: a program was told that it is not on the server, and it
// outlives the daemon with what it replaces.
func TestAKeptEditReplacesItsMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make func(p *peer) // what becomes of the mailbox meanwhile
		want int
	}{
		{"the message stands", func(*peer) {}, 3},
		{"the message is gone", func(p *peer) { p.expunge1("A", 2) }, 3},
		{"another UIDVALIDITY", func(p *peer) {
			p.must(p.c.Delete(p.ctx(), "A"))
			p.fill("A", 3, 100)
		}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, p, _ := memoryDrafts(t, 3)
			state := spooled(t)
			a := s.open(t, state, briefly)
			d, body := edited(t, a)
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
			a.Close()
			c.make(p)
			a, d = left(t, s, state)
			m := box(t, a, "A")
			mustLoad(t, m)
			if !d.Whole() {
				t.Fatal("it is not whole")
			}
			send(t, d, Fate{Box: m})
			d.Close()
			flushed(t, a)
			if n := len(p.list("A")); n != c.want || p.has("A", body) != 1 {
				t.Errorf("%d messages, want %d", n, c.want)
			}
		})
	}
}

// expunge1 has one message go.
func (p *peer) expunge1(box string, uid UID) {
	p.t.Helper()
	_, err := p.c.Select(p.ctx(), box, nil)
	p.must(err)
	_, err = p.c.Remove(p.ctx(), oneUID(uid))
	p.must(err)
	p.leave()
}
