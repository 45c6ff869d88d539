package cache

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// TestWhatWePutInIsThereInEachOrder: of two texts that are sent at once the answer to the
// later one may be processed first. A moment in which the other is missing would end the
// name that a program has given it.
func TestWhatWePutInIsThereInEachOrder(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 100))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	snap := mustLoad(t, m)
	next, wire := snap.UIDNext(), m.current.Load().wire
	put := func(uid UID) bool {
		m.added(wire, newRecord(uid, 100, 0, 0), nil)
		_, there := m.Snapshot().Find(uid)
		return there
	}
	if !put(next+1) || !put(next) {
		t.Errorf("of %d and %d there is %v", next+1, next, uids(m.Snapshot()))
	}
	m.removed(m.current.Load(), next)
	if put(next) {
		t.Error("what has gone came back")
	}
}

// redating gives what is sent another date, as a server with another clock does that takes
// none from its clients.
type redating struct{ net.Conn }

func (c redating) Write(p []byte) (int, error) {
	return c.Conn.Write(bytes.ReplaceAll(p, []byte("-1995 "), []byte("-1996 ")))
}

func TestAServerWithAnotherClock(t *testing.T) {
	t.Parallel()
	mem, err := imaptest.NewMemory(imaptest.MemoryOptions{Revision2: true})
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	s := changeServer{mem.Addr, mem.User, mem.Password}
	newPeer(t, s).fill("A", 1, 100)
	a := s.open(t, spooled(t), hastily, func(_ *Config, d *imapconn.Dialer) {
		d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return redating{c}, err
		}
	})
	m := box(t, a, "A")
	before := mustLoad(t, m)
	sent := send(t, draft(t, a, m, "new", lf(1, 500)), Fate{Box: m, Date: time.Unix(800_000_000, 0)})
	if err := a.Refresh(within(t, patient)); err != nil {
		t.Fatal(err)
	}
	after := m.Snapshot()
	if _, there := after.Find(sent.UID); !there || after.Validity() != before.Validity() {
		t.Errorf("UIDVALIDITY %d became %d, and it is there: %v", before.Validity(), after.Validity(), there)
	}
}

func TestEachTextIsSentWithADate(t *testing.T) {
	t.Parallel()
	s, p, c := memoryChanges(t)
	dated := make(chan bool, 10)
	date := regexp.MustCompile(`"[ 0-9]\d-\w{3}-\d{4} [0-9:]{8} [-+]\d{4}"`)
	c.onMeeting(func(line string) {
		if regexp.MustCompile(`^\S+ APPEND `).MatchString(line) {
			dated <- date.MatchString(line)
		}
	})
	a := s.open(t, spooled(t), hastily)
	m := box(t, a, "A")
	mustLoad(t, m)
	sent := send(t, draft(t, a, m, "new", lf(1, 500)), Fate{Box: m})
	if !<-dated {
		t.Error("it was sent without a date")
	}
	_, err := p.c.Examine(p.ctx(), "A", nil)
	p.must(err)
	p.must(p.c.FetchMeta(p.ctx(), oneUID(sent.UID), imapconn.MetaDate, func(f imapconn.Meta) {
		if r, _ := m.Snapshot().Find(sent.UID); f.Date.Unix() != r.Date {
			t.Errorf("shown with %d, stored with %d", r.Date, f.Date.Unix())
		}
	}))
}

// Whoever looks after a text has arrived whose UID the server does not say sees it, also
// where somebody has asked before and has no answer yet.
func TestAnArrivalIsSeenByWhoeverLooksNext(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1 UNSELECT")
	in := s.Mailbox("INBOX")
	in.Add(text(1, 1000))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	mustLoad(t, m)

	asked, answer := make(chan struct{}), make(chan struct{})
	s.On("NOOP", func(c *imaptest.Call) {
		s.On("NOOP", nil)
		close(asked)
		<-answer
		c.Done("OK nothing had come")
	})
	m.news.Store(true)
	first := make(chan error, 1)
	go func() {
		_, err := m.Load(within(t, short))
		first <- err
	}()
	<-asked
	uid := in.Add(text(2, 1000))
	m.added(m.current.Load().wire, newRecord(0, 1000, 0, 0), nil)

	m.looks.mu.Lock()
	j := m.looks.job
	m.looks.mu.Unlock()
	until := func() time.Time {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.until
	}
	before := until()
	seen := make(chan bool, 1)
	go func() {
		snap, err := m.Load(within(t, 2*short)) // longer than the first: so one sees that it waits
		if err != nil {
			t.Error(err)
		}
		seen <- err == nil && snap.find(uid) != nil
	}()
	eventually(t, short, "both wait", func() bool { return until().After(before) })
	close(answer)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if !<-seen {
		t.Error("what had arrived before is not in the listing")
	}
}
