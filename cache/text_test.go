package cache

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// bodies are the UID FETCHes of texts that came.
func bodies(s *imaptest.Scripted) (out []string) {
	for _, c := range s.Commands("UID FETCH") {
		if strings.Contains(c, "BODY.PEEK[]") {
			out = append(out, c)
		}
	}
	return out
}

func TestAThousandReadersCauseOneFetch(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add(text(1, 100_000))
	in.Add(text(2, 600_000))
	m := box(t, openScripted(t, s), "INBOX")
	v := mustLoad(t, m).Validity()
	for uid, want := range map[UID]int{1: 1, 2: 2} {
		before := len(bodies(s))
		var readers sync.WaitGroup
		for range 1000 {
			readers.Go(func() {
				if _, err := m.Open(within(t, short), v, uid); err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
		if got := bodies(s)[before:]; len(got) != want {
			t.Errorf("message %d: %q", uid, got)
		}
	}
}

// A session that was begun before a message came may not fetch it until it has
// been told.
func TestNewMailIsReadOnAConnectionThatHasNotHeardOfIt(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add(text(1, 1000))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	eventually(t, short, "the spare connection", func() bool { return len(s.Commands("EXAMINE")) == 2 && a.pool.idling() })
	time.Sleep(50 * time.Millisecond)
	for i := 2; i < 6; i++ {
		n := 1000 + 700_000*(i%2)
		in.Add(text(i, n))
		eventually(t, short, "new mail", func() bool { _, ok := m.Snapshot().Find(UID(i)); return ok })
		if i < 4 {
			checkText(t, m, UID(i), text(i, n))
		} else if h, err := m.Header(within(t, short), v, UID(i)); err != nil || !strings.HasSuffix(string(h), "\r\n\r\n") {
			t.Errorf("%q, %v", h, err)
		}
	}
	if n := len(s.Commands("EXAMINE")); n > 2 {
		t.Errorf("%d EXAMINEs", n)
	}
}

func TestTheCacheIsBoundedInOctets(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	const limit = 1 << 20
	sizes := make([]int, 60)
	for i := range sizes {
		sizes[i] = rand.IntN(90_000)
	}
	sizes[20], sizes[40] = 3<<20, smallText
	for i, n := range sizes {
		in.Add(text(i+1, n))
	}
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.CacheBytes = limit })
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	for i, n := range sizes {
		checkText(t, m, UID(i+1), text(i+1, n))
		a.texts.mu.Lock()
		var sum int64
		blocks := a.texts.blocks
		for _, b := range append(blocks.lru.Values(), blocks.handed.Values()...) {
			sum += cost(b)
		}
		for _, b := range blocks.unread {
			sum += cost(b.block)
		}
		octets := a.texts.blocks.octets
		a.texts.mu.Unlock()
		if octets > limit || octets != sum {
			t.Fatalf("%d octets are kept, %d by the count, of %d", sum, octets, limit)
		}
	}
	if _, ok := m.TryOpen(m.Snapshot().Validity(), 60); !ok {
		t.Error("the last one is not kept")
	}
}

func TestALargeTextIsReadInOrderAndOutOfIt(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{64 << 20, 1 << 20, 1000} {
		s := imaptest.NewScripted(t)
		const size = 9<<20 + 12345
		want := text(1, size)
		s.Mailbox("INBOX").Add(want)
		a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.CacheBytes = limit })
		m := box(t, a, "INBOX")
		v := mustLoad(t, m).Validity()
		checkText(t, m, 1, want)
		ctx := within(t, 4*short)
		for range 60 {
			off := rand.Int64N(size + 1000)
			p := make([]byte, rand.IntN(blockLen))
			n, err := m.ReadAt(ctx, v, 1, p, off)
			if err != nil {
				t.Fatal(err)
			}
			rest := max(size-off, 0)
			if int64(n) != min(int64(len(p)), rest) || rest > 0 && string(p[:n]) != string(want[off:off+int64(n)]) {
				t.Fatalf("%d octets at %d: %d that are not the text's", len(p), off, n)
			}
		}
	}
}

// It runs by itself: how long a run may be depends on what the line brings.
func TestReadingForwardGrowsAndNeverAsksTwice(t *testing.T) {
	s := imaptest.NewScripted(t)
	const size = 40 << 20
	s.Mailbox("INBOX").Add(text(1, size))
	p := imaptest.NewProxy(t, s.Addr)
	a := open(t, p.Addr, s.User, s.Password, func(c *Config, _ *imapconn.Dialer) { c.Timeout = time.Minute })
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	p.Reset()
	begun := time.Now()
	checkText(t, m, 1, text(1, size))
	took := time.Since(begun)
	if down := p.Counters().Down; down > size*102/100 {
		t.Errorf("%d octets for %d", down, size)
	}
	got := bodies(s)
	// Some 18 where the machine is not busy. A run is what the line brings in a second: they
	// do not grow where that is less than the longest.
	if grows := took < size/longRun*time.Second; grows && len(got) > size/runLen/2 {
		t.Errorf("%d FETCHes: %q", len(got), got)
	}
	t.Log(len(got), "FETCHes for 40 MiB")
}

func TestTheTailOfALargeTextCostsLittle(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	for _, size := range []int{20 << 20, 20<<20 + 1, 20<<20 - 1, 20<<20 + 999, 20_000_000} {
		in := s.Mailbox("INBOX")
		in.Add(text(1, size))
		apart(in)
	}
	p := imaptest.NewProxy(t, s.Addr)
	a := open(t, p.Addr, s.User, s.Password)
	m := box(t, a, "INBOX")
	snap := mustLoad(t, m)
	eventually(t, short, "the spare connection", func() bool { return len(s.Commands("EXAMINE")) == 2 && a.pool.idling() })
	time.Sleep(100 * time.Millisecond)
	for i := range snap.Len() {
		mes := snap.At(i)
		if mes.Size < smallText {
			continue
		}
		p.Reset()
		size, err := m.Open(within(t, short), snap.Validity(), mes.UID)
		if err != nil {
			t.Fatal(err)
		}
		// tail -c 1000: the kernel reads whole pages.
		buf := make([]byte, 4096)
		for off := (size - 1000) &^ 4095; off < size; off += 4096 {
			if _, ok := tryReadAt(m, snap.Validity(), mes.UID, buf, off); !ok {
				t.Errorf("%d octets: the end is not there after open", size)
				if _, err := m.ReadAt(within(t, short), snap.Validity(), mes.UID, buf, off); err != nil {
					t.Fatal(err)
				}
			}
		}
		if c := p.Counters(); c.Down > 512<<10 || c.Turns > 4 {
			t.Errorf("%d octets: %+v", size, c)
		}
	}
}

func TestThousandSmallTextsOneByOne(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs Dovecot")
	}
	d := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	texts := make([][]byte, 1000)
	for i := range texts {
		texts[i] = text(i+1, 10_000)
	}
	d.Deliver(t, "INBOX", texts...)
	m := box(t, open(t, d.Addr, d.User, d.Password), "INBOX")
	snap := mustLoad(t, m)
	begun := time.Now()
	p := make([]byte, blockLen)
	for i := range snap.Len() {
		uid := snap.At(i).UID
		if _, err := m.Open(within(t, short), snap.Validity(), uid); err != nil {
			t.Fatal(err)
		}
		if n, ok := tryReadAt(m, snap.Validity(), uid, p, 0); !ok || string(p[:n]) != string(texts[i]) {
			t.Fatalf("message %d", uid)
		}
	}
	t.Log("1,000 texts of 10 KB one by one:", time.Since(begun))
}

func BenchmarkTryView(b *testing.B) {
	s := imaptest.NewScripted(b)
	s.Mailbox("INBOX").Add(text(1, 10_000))
	m := box(b, openScripted(b, s), "INBOX")
	v := mustLoad(b, m).Validity()
	if _, err := m.Open(within(b, short), v, 1); err != nil {
		b.Fatal(err)
	}
	pieces := make([][]byte, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := m.TryView(v, 1, 16384, 0, pieces); !ok {
			b.Fatal("not there")
		}
	}
}
