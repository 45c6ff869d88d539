package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

func TestReadsGoOnWhenAllConnectionsAreCut(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	for i := range 40 {
		in.Add(text(i+1, 20_000*(i%3)+2_000_000*(i/38)+100))
	}
	p := imaptest.NewProxy(t, s.Addr)
	a := open(t, p.Addr, s.User, s.Password)
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	for i := range 40 {
		if i%3 == 1 {
			p.CutAfter(int64(200 + i*1000)) // in the middle of an answer
		}
		if i%5 == 0 {
			p.Cut()
		}
		checkText(t, m, UID(i+1), text(i+1, 20_000*(i%3)+2_000_000*(i/38)+100))
	}
}

func TestALoadThatIsCutGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	for i := range 500 {
		in.Add(text(i, 50))
	}
	p := imaptest.NewProxy(t, s.Addr)
	a := open(t, p.Addr, s.User, s.Password)
	p.CutAfter(20_000)
	if snap := mustLoad(t, box(t, a, "INBOX")); snap.Len() != 500 {
		t.Fatalf("%d messages", snap.Len())
	}
}

func TestABlackHoleEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add(text(1, 1000))
	in.Add(text(2, 1000))
	s.Mailbox("other")
	p := imaptest.NewProxy(t, s.Addr)
	limit := 4 * time.Second
	a := open(t, p.Addr, s.User, s.Password, func(c *Config, d *imapconn.Dialer) { c.Timeout, d.Timeout = limit, limit })
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	checkText(t, m, 1, text(1, 1000))
	p.Stall(true)
	begun := time.Now()
	_, err := m.Open(within(t, limit), v, 2)
	wantKind(t, err, Timeout)
	if took := time.Since(begun); took > short {
		t.Errorf("after %v", took)
	}
	begun = time.Now()
	_, err = box(t, a, "other").Load(context.Background()) // without a deadline, the Config's
	wantKind(t, err, Timeout)
	if took := time.Since(begun); took > short {
		t.Errorf("after %v", took)
	}
	// What is in memory is there.
	checkText(t, m, 1, text(1, 1000))
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(30*time.Millisecond, cancel)
	begun = time.Now()
	if _, err = m.Open(ctx, v, 2); KindOf(err) != Timeout { // the server is known to be down
		wantKind(t, err, Interrupted)
	}
	if took := time.Since(begun); took > limit*3/4 {
		t.Errorf("interrupted after %v", took)
	}
	p.Stall(false)
	eventually(t, short, "it is right again", func() bool { // at first it is known to be down
		_, err := m.Open(within(t, short), v, 2)
		return err == nil
	})
	checkText(t, m, 2, text(2, 1000))
}

func TestAServerThatIsDownFailsFast(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 1000))
	p := imaptest.NewProxy(t, s.Addr)
	limit := 2 * time.Second
	a := open(t, p.Addr, s.User, s.Password, func(c *Config, d *imapconn.Dialer) { c.Timeout, d.Timeout = limit, limit })
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	p.Refuse(true)
	p.Cut()
	begun := time.Now()
	_, err := m.Open(within(t, short), v, 1)
	wantKind(t, err, Timeout)
	if took := time.Since(begun); took > short/2 {
		t.Errorf("after %v", took)
	}
	p.Refuse(false)
	eventually(t, short, "the server is found again", func() bool {
		_, err := m.Open(within(t, short), v, 1)
		return err == nil
	})
}

func TestOneConnectionServesAll(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	for b := range 3 {
		in := s.Mailbox(fmt.Sprint("box", b))
		for i := range 20 {
			in.Add(text(100*b+i, 1000+700_000*(i/19)))
		}
	}
	var at, most atomic.Int64
	s.On("LOGIN", func(c *imaptest.Call) { most.Store(max(most.Load(), at.Add(1))); c.Default() })
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
	var readers sync.WaitGroup
	for b := range 3 {
		for r := range 4 {
			readers.Go(func() {
				m := box(t, a, fmt.Sprint("box", b))
				if _, err := m.Load(within(t, 4*short)); err != nil {
					t.Error(err)
					return
				}
				for i := range 20 {
					i = (i + 5*r) % 20
					got, err := readAll(t, m, UID(i+1), blockLen)
					if err != nil || string(got) != string(text(100*b+i, 1000+700_000*(i/19))) {
						t.Errorf("box%d %d: %d octets, %v", b, i, len(got), err)
					}
				}
			})
		}
	}
	readers.Wait()
	if most.Load() != 1 {
		t.Errorf("%d connections", most.Load())
	}
	// And new mail is still heard of: the watch comes back when it is quiet.
	last := a.last.Load()
	eventually(t, short, "IDLE", func() bool { return a.pool.idling() })
	in := s.Mailbox(last.Name())
	in.Add(text(1, 5))
	eventually(t, short, "new mail", func() bool { return last.Snapshot().Len() == 21 })
}

// idling reports whether somebody idles.
func (p *pool) idling() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.conns, func(c *conn) bool { return c.idler != nil })
}

func TestAServerThatRefusesMoreConnectionsIsUsedWithFewer(t *testing.T) {
	t.Parallel()
	for what, refuse := range map[string]func(*imaptest.Call){
		"no":  func(c *imaptest.Call) { c.Done("NO [UNAVAILABLE] Maximum number of connections exceeded") },
		"bye": func(c *imaptest.Call) { c.Send("* BYE too many"); c.Cut() },
	} {
		t.Run(what, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			for b := range 6 {
				s.Mailbox(fmt.Sprint("box", b)).Add(text(b, 1000))
			}
			var logins atomic.Int64
			s.On("LOGIN", func(c *imaptest.Call) {
				if logins.Add(1) > 2 {
					refuse(c)
					return
				}
				c.Default()
			})
			a := openScripted(t, s)
			var readers sync.WaitGroup
			for b := range 6 {
				readers.Go(func() {
					m := box(t, a, fmt.Sprint("box", b))
					if _, err := m.Load(within(t, 2*short)); err != nil {
						t.Error(err)
						return
					}
					if got, err := readAll(t, m, 1, 4096); err != nil || string(got) != string(text(b, 1000)) {
						t.Errorf("%d octets, %v", len(got), err)
					}
				})
			}
			readers.Wait()
			if n := logins.Load(); n > 6 {
				t.Errorf("%d logins", n)
			}
		})
	}
}

func TestARefusedLoginIsAnAnswer(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 1000))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	s.On("LOGIN", func(c *imaptest.Call) { c.Done("NO [AUTHENTICATIONFAILED] token expired") })
	s.Cut()
	begun := time.Now()
	_, err := m.Open(within(t, short), v, 1)
	wantKind(t, err, Access)
	if time.Since(begun) > short/2 {
		t.Errorf("after %v", time.Since(begun))
	}
	s.On("LOGIN", nil)
	eventually(t, short, "it works again", func() bool { _, err := m.Open(within(t, short), v, 1); return err == nil })
}

func TestCloseEndsWhoWaits(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 1000))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	s.On("UID FETCH", func(c *imaptest.Call) { c.Stall() })
	waits := make(chan error)
	go func() {
		_, err := m.Open(context.Background(), v, 1)
		waits <- err
	}()
	eventually(t, short, "the FETCH", func() bool { return len(s.Commands("UID FETCH")) > 1 })
	begun := time.Now()
	a.Close()
	if took := time.Since(begun); took > short/2 {
		t.Errorf("closed after %v", took)
	}
	select {
	case err := <-waits:
		if err == nil {
			t.Error("it was read")
		}
	case <-time.After(short):
		t.Error("a reader waits for a closed account")
	}
	if _, err := m.Load(within(t, short)); err == nil && !errors.Is(err, errClosed) {
		// from memory: it is still fresh
		if m.fresh() == nil {
			t.Error("a closed account loads")
		}
	}
	_, err := m.Open(within(t, short), v, 1)
	if err == nil {
		t.Error("a closed account reads")
	}
}

// A text's mailbox is refused without a code: whether it is gone is for LIST to say.
func TestATextOfAMailboxThatIsGoneIsNotThere(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{true, false} {
		s := imaptest.NewScripted(t)
		s.Mailbox("INBOX").Add(text(1, 1000))
		s.Mailbox("box").Add(text(2, 1000))
		a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
		m := box(t, a, "box")
		v := mustLoad(t, m).Validity()
		mustLoad(t, box(t, a, "INBOX")) // the only connection has left it
		s.Mailbox("box").Refuse("Mailbox doesn't exist: box")
		if gone {
			s.On("LIST", func(c *imaptest.Call) {
				c.Send(`* LIST () "/" INBOX`)
				c.Done("OK")
			})
		}
		_, err := m.Open(within(t, short), v, 1)
		wantKind(t, err, map[bool]Kind{true: NotExist, false: IO}[gone])
	}
}
