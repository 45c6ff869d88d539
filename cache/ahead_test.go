package cache

import (
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// filled is a scripted server with n texts of about size octets, and how many octets these are.
func filled(t testing.TB, n, size int) (*imaptest.Scripted, *imaptest.Box, [][]byte, int64) {
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	var sum int64
	texts := make([][]byte, n)
	for i := range texts {
		texts[i] = text(i+1, size+i*37%1000)
		sum += int64(len(texts[i]))
		in.Add(texts[i])
	}
	return s, in, texts, sum
}

// apart adds messages so that who opens the one before and the one behind is no scan.
func apart(in *imaptest.Box) {
	for range startGap {
		in.Add(text(0, 100))
	}
}

func TestAScanIsServedAheadAndNothingTwice(t *testing.T) {
	t.Parallel()
	s, _, texts, sum := filled(t, 1000, 10_000)
	p := imaptest.NewProxy(t, s.Addr)
	// A cache that holds a fifth of it.
	m := box(t, open(t, p.Addr, s.User, s.Password, func(c *Config, _ *imapconn.Dialer) { c.CacheBytes = 2 << 20 }), "INBOX")
	mustLoad(t, m)
	p.Reset()
	for i, want := range texts {
		checkText(t, m, UID(i+1), want)
	}
	if down := p.Counters().Down; down > sum*102/100 {
		t.Errorf("%d octets for %d", down, sum)
	}
	if n := len(bodies(s)); n > 200 {
		t.Errorf("%d FETCHes for 1,000 texts", n)
	}
	st := m.account.Status().Cache
	if st.Texts != 1000 || st.Fetched != sum || st.Served != sum || st.Ahead.Fetched < sum*9/10 || st.Ahead.Fetched > sum || st.Hits < 1000 {
		t.Errorf("%d texts of %d octets: %+v", len(texts), sum, st)
	}
}

func TestAStoppedScanHasFetchedOneWindow(t *testing.T) {
	t.Parallel()
	s, _, texts, _ := filled(t, 1000, 10_000)
	p := imaptest.NewProxy(t, s.Addr)
	m := box(t, open(t, p.Addr, s.User, s.Password), "INBOX")
	mustLoad(t, m)
	p.Reset()
	checkText(t, m, 500, texts[499])
	if down := p.Counters().Down; down > 12_000 {
		t.Errorf("%d octets for one text of 10,000", down)
	}
	checkText(t, m, 501, texts[500])
	eventually(t, short, "what was asked for", func() bool { return m.account.quietAhead() })
	if down := p.Counters().Down; down > firstWindow+50_000 {
		t.Errorf("%d octets for two texts of 10,000", down)
	}
	unread := m.account.Status().Cache.Ahead.Unread
	if unread < firstWindow/2 {
		t.Errorf("%d octets lie there unread", unread)
	}
	tx := m.account.texts
	tx.mu.Lock()
	tx.blocks.giveUpAll(tx.scans.all[0])
	tx.mu.Unlock()
	if st := m.account.Status().Cache.Ahead; st.Unread != 0 || st.Unused < firstWindow/2 || st.Unused > st.Fetched {
		t.Errorf("given up: %+v", st)
	}
}

// quietAhead reports whether nothing is being fetched ahead.
func (a *Account) quietAhead() bool {
	a.texts.mu.Lock()
	defer a.texts.mu.Unlock()
	return a.texts.flying == 0
}

func TestAScanOverLargeTexts(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	var texts [][]byte
	var sum int64
	for i := range 120 {
		n := 20_000
		switch i % 10 {
		case 3:
			n = smallText + 1 + i*1000
		case 7:
			n = 2 << 20
		}
		texts = append(texts, text(i+1, n))
		sum += int64(n)
		in.Add(texts[i])
	}
	p := imaptest.NewProxy(t, s.Addr)
	m := box(t, open(t, p.Addr, s.User, s.Password), "INBOX")
	mustLoad(t, m)
	p.Reset()
	for i, want := range texts {
		checkText(t, m, UID(i+1), want)
	}
	if down := p.Counters().Down; down > sum*102/100 {
		t.Errorf("%d octets for %d", down, sum)
	}
	t.Log(len(bodies(s)), "FETCHes")
}

// A text for which there will be no room is not waited for: what is behind it is fetched.
func TestALargeTextDoesNotStopAScan(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	var texts [][]byte
	for i := range 30 {
		n := 100_000
		if i == 2 || i == 20 {
			n = 2 << 20
		}
		texts = append(texts, text(i+1, n))
		in.Add(texts[i])
	}
	m := box(t, open(t, s.Addr, s.User, s.Password, func(c *Config, _ *imapconn.Dialer) { c.CacheBytes = 4 << 20 }), "INBOX")
	v := mustLoad(t, m).Validity()
	tx := m.account.texts
	for i, want := range texts[:20] {
		checkText(t, m, UID(i+1), want)
		tx.mu.Lock()
		if sc := tx.scans.all[0]; i == 2 {
			if !sc.whole {
				t.Error("nobody has seen that large texts are read")
			}
			sc.window = maxWindow
		}
		tx.mu.Unlock()
	}
	eventually(t, short, "a text behind the large one", func() bool {
		tx.mu.Lock()
		defer tx.mu.Unlock()
		return tx.blocks.isUnread(blockKey{m.key(v, 22), 0})
	})
}

func TestALostBatchIsFetchedAgain(t *testing.T) {
	t.Parallel()
	s, _, texts, _ := filled(t, 400, 10_000)
	p := imaptest.NewProxy(t, s.Addr)
	m := box(t, open(t, p.Addr, s.User, s.Password), "INBOX")
	mustLoad(t, m)
	for i, want := range texts {
		if i%50 == 20 {
			p.CutAfter(35_000)
		}
		checkText(t, m, UID(i+1), want)
	}
	if !m.account.quietAhead() {
		eventually(t, short, "the count of what is on its way", m.account.quietAhead)
	}
}

func TestATextAheadThatIsNotWhatItShouldBe(t *testing.T) {
	t.Parallel()
	s, in, texts, _ := filled(t, 60, 10_000)
	in.LieSize(20, 7)
	in.LieSize(30, -7)
	in.AnswerBody(40, "NIL")
	m := box(t, openScripted(t, s), "INBOX")
	mustLoad(t, m)
	for i, want := range texts {
		uid := UID(i + 1)
		if uid == 40 {
			_, err := readAll(t, m, uid, blockLen)
			wantKind(t, err, Stale)
			continue
		}
		checkText(t, m, uid, want)
	}
}

func TestAnInteractiveReaderDoesNotWaitBehindAScan(t *testing.T) {
	t.Parallel()
	s, _, texts, _ := filled(t, 2000, 10_000)
	p := imaptest.NewProxy(t, s.Addr)
	m := box(t, open(t, p.Addr, s.User, s.Password), "INBOX")
	mustLoad(t, m)
	// The scan's window is full of octets that do not come.
	for i := range 300 {
		checkText(t, m, UID(i+1), texts[i])
	}
	eventually(t, short, "what was asked for", m.account.quietAhead)
	p.SetBandwidth(200 << 10)
	for i := 300; i < 340; i++ {
		m.TryOpen(m.Snapshot().Validity(), UID(i+1))
	}
	begun := time.Now()
	checkText(t, m, 1900, texts[1899])
	t.Log("beside a scan:", time.Since(begun).Round(time.Millisecond))
	if c := m.account.pool; c.bulkUsers() > 1 {
		t.Errorf("%d connections fetch ahead", c.bulkUsers())
	}
}

// bulkUsers counts the connections on which something is fetched ahead.
func (p *pool) bulkUsers() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if c.bulk > 0 {
			n++
		}
	}
	return n
}
