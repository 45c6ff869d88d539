package cache

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"imapfs/cache/spool"
	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// memoryDrafts is the in-memory server with n messages in A, behind a cutter.
func memoryDrafts(t *testing.T, n int) (changeServer, *peer, *cutter) {
	t.Helper()
	mem, err := imaptest.NewMemory(imaptest.MemoryOptions{Revision2: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	c := newCutter(t, mem.Addr)
	p := newPeer(t, changeServer{mem.Addr, mem.User, mem.Password})
	p.fill("A", n, 100)
	return changeServer{c.addr, mem.User, mem.Password}, p, c
}

// spoilt has the server get other octets than are sent (draftwire_test.go).
func spoilt(_ *Config, d *imapconn.Dialer) {
	d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return spoiling{c}, err
	}
}

// briefly has a text go from the spool as soon as it is checked.
func briefly(c *Config, d *imapconn.Dialer) {
	hastily(c, d)
	c.pauses.linger = 0
}

// standing counts those of some messages that a snapshot has.
func standing(m *Mailbox, uids ...UID) int {
	n := 0
	for _, uid := range uids {
		if _, ok := m.Snapshot().Find(uid); ok {
			n++
		}
	}
	return n
}

// TestSeveralMessagesAreReplaced: all of them are deleted, and no other one.
func TestSeveralMessagesAreReplaced(t *testing.T) {
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		a := s.open(t, spooled(t), hastily)
		m := box(t, a, "A")
		snap := mustLoad(t, m)
		old := []MessageRef{{m, snap.Validity(), snap.At(1).UID}, {m, snap.Validity(), snap.At(3).UID}}
		d := draft(t, a, m, "new", lf(7, 900))
		send(t, d, Fate{Box: m, Replaces: old})
		d.Close()
		flushed(t, a)
		if n := standing(m, old[0].UID, old[1].UID); n != 0 || mustLoadIn(t, m).Len() != 4 || p.has("A", crlf(lf(7, 900))) != 1 {
			t.Errorf("%d of the old are there; %q", n, sizes(m.Snapshot()))
		}
	})
}

// TestReplacedInAMailboxThatNobodyHasEntered: what a text replaces is known by APPENDUID
// alone, as where the date is set of a file that was just made in a mailbox that nobody listed.
func TestReplacedInAMailboxThatNobodyHasEntered(t *testing.T) {
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		a := s.open(t, spooled(t), hastily)
		m := box(t, a, "A")
		first, again := draft(t, a, m, "new", lf(7, 900)), draft(t, a, m, "new", lf(7, 900))
		sent := send(t, first, Fate{Box: m})
		if sent.UID != 0 && m.Snapshot() != nil {
			t.Fatal("this is about another case: somebody has entered the mailbox")
		}
		eventually(t, patient, "its UID is known", func() bool { return first.Sent().UID != 0 })
		sent = first.Sent()
		send(t, again, Fate{Box: m, Date: time.Unix(1e9, 0), Replaces: []MessageRef{{m, sent.Validity, sent.UID}}})
		first.Close()
		again.Close()
		flushed(t, a)
		if mustLoadIn(t, m); standing(m, sent.UID) != 0 || m.Snapshot().Len() != 6 {
			t.Errorf("the first one is listed: %q", sizes(m.Snapshot()))
		}
	})
}

// TestACrashForgetsNoneOfSeveral: the daemon ends when the server has the text and one of
// three messages is deleted. The next one deletes the others.
func TestACrashForgetsNoneOfSeveral(t *testing.T) {
	t.Parallel()
	s, p, c := memoryDrafts(t, 5)
	state := spooled(t)
	a := s.open(t, state, briefly)
	m := box(t, a, "A")
	snap := mustLoad(t, m)
	var old []MessageRef
	for i := range 3 {
		old = append(old, MessageRef{m, snap.Validity(), snap.At(i).UID})
	}
	stores := 0
	c.onMeeting(func(line string) {
		if strings.Contains(line, " UID STORE ") {
			if stores++; stores == 2 {
				c.at(" UID STORE ", false)
				a.stop() // the daemon is gone
			}
		}
	})
	d := draft(t, a, m, "new", lf(7, 900))
	d.Send(within(t, patient), Fate{Box: m, Replaces: old})
	a.Close()
	c.onMeeting(nil)
	if n := len(p.list("A")); n < 4 {
		t.Fatalf("%d messages are left", n)
	}
	a = s.open(t, state, briefly)
	flushed(t, a)
	if n := len(p.list("A")); n != 3 || p.has("A", crlf(lf(7, 900))) != 1 {
		t.Errorf("%d messages, want the new one and two", n)
	}
}

// TestNothingIsReplacedByAChangedText: the server says OK and has other octets.
func TestNothingIsReplacedByAChangedText(t *testing.T) {
	t.Parallel()
	s, p, _ := memoryDrafts(t, 5)
	a := s.open(t, spooled(t), briefly, spoilt)
	m := box(t, a, "A")
	snap := mustLoad(t, m)
	d := draft(t, a, m, "new", "Subject: gr\xfcn\r\n\r\nx\r\n")
	send(t, d, Fate{Box: m, Replaces: []MessageRef{{m, snap.Validity(), 1}, {m, snap.Validity(), 2}}})
	d.Close()
	eventually(t, patient, "it is listed as changed", func() bool {
		all := a.Pending()
		return len(all) == 1 && all[0].State == spool.Changed.String()
	})
	if n := len(p.list("A")); n != 6 {
		t.Errorf("%d messages", n)
	}
}

// TestALaterGenerationReplacesAll: the old one is still to be deleted when the text is
// written anew.
func TestALaterGenerationReplacesAll(t *testing.T) {
	t.Parallel()
	s, p, c := memoryDrafts(t, 5)
	a := s.open(t, spooled(t), briefly)
	m := box(t, a, "A")
	snap := mustLoad(t, m)
	h := hold(t, c, " UID STORE ")
	d := draft(t, a, m, "new", lf(7, 900))
	if err := d.Owe(Fate{Box: m, Replaces: []MessageRef{{m, snap.Validity(), 1}}}); err != nil {
		t.Fatal(err)
	}
	<-h.reached
	write(t, d, lf(8, 700))
	if err := d.Owe(Fate{Box: m, Replaces: []MessageRef{{m, snap.Validity(), 2}}}); err != nil {
		t.Fatal(err)
	}
	h.letGo()
	d.Close()
	flushed(t, a)
	if n := len(p.list("A")); n != 4 || p.has("A", crlf(lf(8, 700))) != 1 {
		t.Errorf("%d messages, want the last text and three", n)
	}
}

// TestAnEditMayReplaceMore: a text that is the message that it began as is sent all the
// same where it takes another one's place too, or has another date.
func TestAnEditMayReplaceMore(t *testing.T) {
	t.Parallel()
	s, p, _ := memoryDrafts(t, 5)
	a := s.open(t, spooled(t), briefly)
	m := box(t, a, "A")
	v := mustLoad(t, m).Validity()
	edit := func(uid UID, f Fate) {
		t.Helper()
		d, err := a.AsideDraft(within(t, patient), m, v, uid, ".x")
		if err != nil {
			t.Fatal(err)
		}
		send(t, d, f)
		d.Close()
	}
	edit(2, Fate{Box: m, Name: "2", Replaces: []MessageRef{{m, v, 1}, {m, v, 2}}})
	edit(3, Fate{Box: m, Name: "3", Date: time.Unix(1000, 0), Replaces: []MessageRef{{m, v, 3}}})
	// Beside it, when its Fate says so.
	d, err := a.AsideDraft(within(t, patient), m, v, 4, ".y")
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, lf(9, 400))
	send(t, d, Fate{Box: m, Name: "9", Replaces: []MessageRef{}})
	d.Close()
	flushed(t, a)
	got := mustLoadIn(t, m)
	if n := len(p.list("A")); n != 5 || standing(m, 1, 2, 3) != 0 || standing(m, 4, 5, 6, 7, 8) != 5 || got.At(3).Date != 1000 {
		t.Errorf("%q", sizes(got))
	}
}

// TestWhatIsNotSeenReplacesNothing: the server says OK, and the message is nowhere.
func TestWhatIsNotSeenReplacesNothing(t *testing.T) {
	t.Parallel()
	s, p, c := memoryDrafts(t, 5)
	a := s.open(t, spooled(t), briefly)
	m := box(t, a, "A")
	snap := mustLoad(t, m)
	h := hold(t, c, " UID FETCH ")
	d := draft(t, a, m, "new", lf(7, 900))
	if err := d.Owe(Fate{Box: m, Replaces: []MessageRef{{m, snap.Validity(), 1}}}); err != nil {
		t.Fatal(err)
	}
	<-h.reached // it has arrived, and its size is asked
	p.expunge1("A", 6)
	h.letGo()
	d.Close()
	eventually(t, patient, "it is let go", func() bool { return len(a.spool.Entries()) == 0 })
	if n := len(p.list("A")); n != 5 {
		t.Errorf("%d messages, want the old ones", n)
	}
}
