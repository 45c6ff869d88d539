package cache

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

func TestStatusSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 5000))
	s.Mailbox("INBOX").Add(text(2, 5000))
	s.Mailbox("Entw&APw-rfe").Add(text(1, 100))
	s.Mailbox("Unseen by us")
	proxy := imaptest.NewProxy(t, s.Addr)
	before := time.Now()
	a := open(t, proxy.Addr, s.User, s.Password)
	if st := a.Status(); st.Tree.Mailboxes != 3 || st.Tree.Checked.Before(before) || st.LookedAt != 0 || len(st.Connections) != 1 {
		t.Errorf("at the start: %+v", st)
	}
	mustLoad(t, box(t, a, "Entwürfe"))
	in := box(t, a, "INBOX")
	mustLoad(t, in)
	if _, err := readAll(t, in, 1, blockLen); err != nil {
		t.Fatal(err)
	}
	var st Status
	eventually(t, 30*time.Second, "IDLE, and the octets that the proxy counts", func() bool {
		st = a.Status()
		n := proxy.Counters()
		return st.LookedAt == 2 && st.Mailboxes[0].By == ByIDLE && st.Mailboxes[1].By == ByIDLE && st.In == n.Down && st.Out == n.Up
	})
	m, other := st.Mailboxes[0], st.Mailboxes[1]
	if m.Name != "INBOX" || m.Messages != 2 || !m.Loaded || !m.Fresh || m.UIDValidity == 0 || m.Checked.Before(before) || m.LookedInto.Before(before) {
		t.Errorf("%+v", m)
	}
	if other.Name != "Entwürfe" || other.WireName != "Entw&APw-rfe" || other.Messages != 1 {
		t.Errorf("%+v", other)
	}
	if st.Cache.Blocks == 0 || st.Cache.Octets < 5000 || st.Cache.Octets > st.Cache.Limit || st.Tree.Messages != 3 || !st.DownSince.IsZero() {
		t.Errorf("%+v", st)
	}
	if st.Opened < int64(len(st.Connections)) || st.RoundTrips < 3 || st.Commands < st.RoundTrips || st.Throttled != 0 {
		t.Errorf("%d connections, %d round trips, %d commands, throttled %d times", st.Opened, st.RoundTrips, st.Commands, st.Throttled)
	}
	if u := st.Cache.CacheUse; u.Misses != 1 || u.Texts != 1 || u.Fetched < 5000 || u.Served != u.Fetched || u.Hits != 1 {
		t.Errorf("%+v", u)
	}
	idling := 0
	for _, c := range st.Connections {
		if c.Addr != proxy.Addr || c.TLS != "" || c.In == 0 || c.RoundTrip <= 0 || c.Since.Before(before) {
			t.Errorf("%+v", c)
		}
		if c.Idling {
			idling++
		}
	}
	if idling != 2 { // of four: the others are for readers
		t.Errorf("%d connections idle", idling)
	}

	// Who enters now is not answered from memory.
	in.news.Store(true)
	if st := a.Status(); st.Mailboxes[0].Fresh {
		t.Error("what has news is fresh")
	}
	// What is over counts on.
	proxy.Cut()
	eventually(t, 30*time.Second, "no connection", func() bool { return len(a.Status().Connections) == 0 || a.Status().In > st.In })
	if now := a.Status(); now.In < st.In || now.Out < st.Out {
		t.Errorf("%d and %d octets, then %d and %d", st.In, st.Out, now.In, now.Out)
	}
	if _, err := json.Marshal(st); err != nil {
		t.Error(err)
	}
}

func TestStatusNamesNotMoreMailboxesThanItsLimit(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	const more = 10
	for i := range maxMailboxStatus + more {
		s.Mailbox(fmt.Sprintf("box %d", i))
	}
	a := openScripted(t, s)
	now := time.Now().UnixNano()
	for m := range a.Tree().all {
		now++
		m.touched.Store(now)
	}
	st := a.Status()
	if st.LookedAt != maxMailboxStatus+more || len(st.Mailboxes) != maxMailboxStatus || st.Mailboxes[0].LookedInto.UnixNano() != now {
		t.Errorf("%d looked into, %d named", st.LookedAt, len(st.Mailboxes))
	}
}

// Status and Refresh beside readers, news and the end of connections: the octets
// never go back, and it all comes to rest.
func TestStatusUnderLoad(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	for i := range 30 {
		s.Mailbox("INBOX").Add(text(i, 3000))
		s.Mailbox("Sent").Add(text(i, 3000))
	}
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Timeout = 30 * time.Second })
	for _, name := range []string{"INBOX", "Sent"} {
		mustLoad(t, box(t, a, name))
	}
	var readers, others sync.WaitGroup
	over := make(chan struct{})
	for _, name := range []string{"INBOX", "Sent"} {
		readers.Go(func() {
			m := box(t, a, name)
			v := m.Snapshot().Validity()
			for uid := UID(1); uid <= 30; uid++ {
				if _, err := m.Open(within(t, 60*time.Second), v, uid); err != nil {
					t.Error(err)
				}
				if uid%10 == 0 {
					s.Cut()
					s.Mailbox(name).Add(text(int(uid), 100))
				}
			}
		})
	}
	loop := func(f func()) {
		others.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					f()
				}
			}
		})
	}
	var in, out int64
	loop(func() {
		st := a.Status()
		if st.In < in || st.Out < out {
			t.Errorf("%d and %d octets, then %d and %d", in, out, st.In, st.Out)
		}
		in, out = st.In, st.Out
	})
	loop(func() {
		if err := a.Refresh(within(t, 60*time.Second)); err != nil {
			t.Error(err)
		}
	})
	readers.Wait()
	close(over)
	others.Wait()
	if err := a.Refresh(within(t, 60*time.Second)); err != nil {
		t.Fatal(err)
	}
	st := a.Status()
	for _, m := range st.Mailboxes {
		if m.Messages != 33 {
			t.Errorf("%s has %d messages", m.Name, m.Messages)
		}
	}
	if len(st.Mailboxes) != 2 {
		t.Errorf("%d mailboxes", len(st.Mailboxes))
	}
}

func TestStatusShowsTheConnectionOfNotify(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	a, one, _ := n.open(t)
	notices := func() (c ConnectionStatus, ok bool) {
		for _, c := range a.Status().Connections {
			if c.Notices {
				return c, true
			}
		}
		return ConnectionStatus{}, false
	}
	eventually(t, patience, "NOTIFY", func() bool { _, ok := notices(); return ok && a.noticed() })
	if c, _ := notices(); c.In == 0 || c.Out == 0 || c.Mailbox != "" || c.Users != 0 || c.Idling {
		t.Errorf("%+v", c)
	}
	leave(t, a, one)
	eventually(t, patience, "told of by NOTIFY where nobody idles", func() bool {
		for _, m := range a.Status().Mailboxes {
			if m.By == ByNOTIFY {
				return true
			}
		}
		return false
	})
	before := a.Status()
	first, _ := notices()
	n.Cut()
	eventually(t, patience, "it is over", func() bool {
		st := a.Status()
		if st.In < before.In || st.Out < before.Out {
			t.Errorf("%d and %d octets, then %d and %d", before.In, before.Out, st.In, st.Out)
		}
		c, ok := notices()
		return !ok || !c.Since.Equal(first.Since)
	})
}
