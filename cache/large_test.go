package cache

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// patient is the time limit of what takes as long as it has messages.
const patient = time.Minute

func patiently(c *Config, d *imapconn.Dialer) { c.Timeout, d.Timeout = patient, patient }

// memoryNow is what the heap holds, and all that was ever put there, in octets.
func memoryNow() (held, ever int64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.TotalAlloc)
}

// TestAMillionMessages loads them once, or fewer under the race detector. What a test says of octets includes what
// the server took, which is in the same process.
func TestAMillionMessages(t *testing.T) {
	const million = manyHere
	s := imaptest.NewLarge(t, million, 2000)
	held, _ := memoryNow()
	a := open(t, s.Addr, s.User, s.Password, patiently)
	opened, _ := memoryNow()
	t.Run("2,000 mailboxes are named and not entered", func(t *testing.T) {
		if per := (opened - held) / 2000; per > 2000 {
			t.Errorf("a mailbox takes %d octets", per)
		}
		if n := s.Counts(); n["EXAMINE"]+n["STATUS"] > 0 {
			t.Errorf("the server was asked %v", n)
		}
	})

	m := box(t, a, "INBOX")
	opened, before := memoryNow()
	begun := time.Now()
	if _, err := m.Load(within(t, patient)); err != nil {
		t.Fatal(err)
	}
	eventually(t, short, "IDLE", a.pool.idling)
	held, ever := memoryNow()
	t.Logf("loaded in %v; %d octets", time.Since(begun), held-opened)
	t.Run("take 40 octets each", func(t *testing.T) {
		// The table of message numbers of one connection among them.
		if per := float64(held-opened) / million; per > 40 {
			t.Errorf("a message takes %.1f octets", per)
		}
		if waste := ever - before - (held - opened); waste > 4<<20 {
			t.Errorf("loading threw away %d octets", waste)
		}
	})

	costs := func(what string, change func(i UID), seen func(i UID) bool) {
		t.Run(what+" costs no copy of the index", func(t *testing.T) {
			const events, most = 20, 64 << 10
			_, before := memoryNow()
			for i := range UID(events) {
				change(i)
				eventually(t, short, what, func() bool { return seen(i) })
			}
			_, ever := memoryNow()
			per := (ever - before) / events
			t.Logf("%d octets", per)
			if per > most {
				t.Errorf("that is more than %d", most)
			}
		})
	}
	costs("a new message", func(UID) { s.Deliver("INBOX", 1) },
		func(i UID) bool { return m.Snapshot().Len() == million+1+int(i) })
	flagged := func(uid UID, flag string) bool {
		found, _ := m.Snapshot().Find(uid)
		return slices.Equal(found.Flags, []string{flag})
	}
	costs("a changed flag", func(i UID) { s.SetFlags("INBOX", million/2+i, million/2+i, "one") },
		func(i UID) bool { return flagged(million/2+i, "one") })
	left := m.Snapshot().Len()
	costs("an expunge", func(i UID) { s.Expunge("INBOX", million/3+i) },
		func(i UID) bool { return m.Snapshot().Len() == left-1-int(i) })

	t.Run("a listing that says what is known takes no memory", func(t *testing.T) {
		was := m.Snapshot()
		_, before := memoryNow()
		follows := m.follow.Load()
		s.Cut()
		eventually(t, short, "the end of the connection", func() bool { return !follows.live() })
		eventually(t, patient, "the listing", func() bool { return m.follow.Load() != follows && m.fresh() != nil })
		_, ever := memoryNow()
		const table = 4 * million
		if took := ever - before - table; took > 2<<20 {
			t.Errorf("%d octets", took)
		}
		is := m.Snapshot()
		if &was.chunks[0][0] != &is.chunks[0][0] || is.Len() != was.Len() {
			t.Error("it has replaced what it found the same")
		}
	})

	t.Run("flags and gaps everywhere make no message larger", func(t *testing.T) {
		const many = million / 5
		held, _ := memoryNow()
		s.SetFlags("INBOX", 1, many, "all")
		eventually(t, patient, "the flags", func() bool { return flagged(many, "all") && flagged(1, "all") })
		var odd []UID
		for uid := UID(1); uid < many; uid += 2 {
			odd = append(odd, uid)
		}
		left := m.Snapshot().Len() - len(odd)
		s.Expunge("INBOX", odd...)
		eventually(t, patient, "the gaps", func() bool { return m.Snapshot().Len() == left })
		odd = nil
		eventually(t, patient, "memory is given back", func() bool {
			now, _ := memoryNow()
			return now-held < 10*many // what is gone is remembered, here and by the server
		})
		if err := m.Snapshot().wrong(); err != "" {
			t.Error(err)
		}
	})
}

// wrong says what of a snapshot is not as it must be.
func (s *Snapshot) wrong() string {
	n, octets, last := 0, int64(0), UID(0)
	for i, c := range s.chunks {
		if s.starts[i] != n || len(c) == 0 || len(c) > chunkLen {
			return "chunks do not follow each other"
		}
		for k := range c {
			if c[k].uid <= last {
				return "UIDs do not rise"
			}
			last = c[k].uid
			octets += c[k].octets()
		}
		n += len(c)
	}
	if n != s.Len() || octets != s.octets {
		return "sums are wrong"
	}
	return ""
}

// TestPollStaysUnderAKilobyteASecond has somebody look into all of 2,000 mailboxes.
func TestPollStaysUnderAKilobyteASecond(t *testing.T) {
	t.Parallel()
	const poll = 100 * time.Millisecond
	s := imaptest.NewLarge(t, 10, 2000)
	p := imaptest.NewProxy(t, s.Addr)
	a := open(t, p.Addr, s.User, s.Password, func(c *Config, _ *imapconn.Dialer) { c.Poll = poll })
	listed := p.Counters().Down
	for m := range a.Tree().all {
		mustLoad(t, m)
	}
	before, begun := s.Counts(), time.Now()
	p.Reset()
	eventually(t, patient, "polls", func() bool { return s.Counts()["STATUS"] >= before["STATUS"]+100 })
	c, after := p.Counters(), s.Counts()
	took := time.Since(begun)
	rounds := int(took/poll) + 2
	lists := after["LIST"] - before["LIST"] // on a busy machine the tree has its turn, too
	if n := after["STATUS"] - before["STATUS"]; n > rounds*a.statuses() {
		t.Errorf("%d STATUS in %d rounds", n, rounds)
		// What the watches cost that come to stand meanwhile is in it.
	} else if per := (c.Up + c.Down - int64(lists)*listed) / int64(n); per > 2*statusOctets {
		t.Errorf("%d octets for each STATUS", per)
	}
	watches := a.cfg.Connections // may come to stand meanwhile
	if lists > int(took/a.trees.maxAge(false))+1 || after["EXAMINE"] > before["EXAMINE"]+watches {
		t.Errorf("the server was asked %v, and before %v", after, before)
	}
	if rate := listed / int64(a.trees.maxAge(false)/time.Second); rate > pollRate*3/2 {
		t.Errorf("LIST comes to %d octets a second", rate)
	}
}
