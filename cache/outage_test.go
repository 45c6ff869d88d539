package cache

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// outagePatience is how long tests wait for what takes a moment on a quiet machine.
const outagePatience = 30 * time.Second

// spoken is a log that can be searched.
type spoken struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

// count is how often the log has said so.
func (s *spoken) count(words string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.all.String(), words)
}

// outages are an account behind a proxy, its log, and a count of its attempts to
// connect. limit is the Config's Timeout and the Dialer's.
func outages(t *testing.T, s *imaptest.Scripted, limit time.Duration) (*Account, *imaptest.Proxy, *spoken, *atomic.Int64) {
	t.Helper()
	p, log, attempts := imaptest.NewProxy(t, s.Addr), &spoken{}, &atomic.Int64{}
	a := open(t, p.Addr, s.User, s.Password, func(c *Config, d *imapconn.Dialer) {
		c.Timeout, d.Timeout = limit, limit
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
		d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			attempts.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	})
	return a, p, log, attempts
}

func TestAServerKnownToBeAwayIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*imaptest.Proxy, bool){
		"black hole": func(p *imaptest.Proxy, on bool) { p.Stall(on) },
		"refused": func(p *imaptest.Proxy, on bool) {
			p.Refuse(on)
			p.Cut()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.NewScripted(t)
			in := s.Mailbox("INBOX")
			in.Add(text(1, 1000))
			in.Add(text(2, 1000))
			const limit = 4 * time.Second
			a, p, log, attempts := outages(t, s, limit)
			m := box(t, a, "INBOX")
			v := mustLoad(t, m).Validity()
			checkText(t, m, 1, text(1, 1000))
			away(p, true)
			_, err := m.Open(within(t, outagePatience), v, 2)
			wantKind(t, err, Timeout)

			eventually(t, outagePatience, "it is known that the server is away", func() bool { return log.count("cannot reach the server") == 1 })
			before, begun, asked := attempts.Load(), time.Now(), 0
			for ; asked < 100; asked++ {
				_, err := m.Open(within(t, outagePatience), v, 2)
				wantKind(t, err, Timeout)
				if !strings.Contains(err.Error(), "the server has been out of reach since") {
					t.Fatalf("request %d: %v", asked, err)
				}
				checkText(t, m, 1, text(1, 1000))
			}
			took := time.Since(begun)
			t.Logf("%d requests took %v and %d attempts", asked, took, attempts.Load()-before)
			if took > time.Duration(asked)*limit/4 || attempts.Load()-before > int64(asked/2) {
				t.Errorf("%d requests took %v and %d attempts", asked, took, attempts.Load()-before)
			}

			away(p, false)
			begun = time.Now()
			eventually(t, outagePatience, "the server is found again", func() bool { return log.count("the server is back") == 1 })
			t.Logf("found again after %v", time.Since(begun))
			checkText(t, m, 2, text(2, 1000))
			if n := log.count("cannot reach the server"); n != 1 {
				t.Errorf("one outage is told %d times", n)
			}
		})
	}
}

func TestNobodyLooksAndTheServerIsAskedSeldom(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	a, p, log, _ := outages(t, s, 5*time.Second)
	p.Refuse(true)
	p.Cut()
	eventually(t, outagePatience, "an outage", func() bool {
		l, err := a.pool.acquire(within(t, outagePatience), want{})
		if err == nil {
			l.release()
		}
		var down downError
		return errors.As(err, &down)
	})
	a.lastLook.Store(time.Now().Add(-2 * lookedIntoFor).UnixNano())
	eventually(t, outagePatience, "a long pause", func() bool {
		a.pool.mu.Lock()
		defer a.pool.mu.Unlock()
		return a.pool.timer != nil && time.Until(a.pool.timerAt) > unaskedRetry/4
	})
	// Whoever looks then has an attempt at once.
	p.Refuse(false)
	l, err := a.pool.acquire(within(t, outagePatience), want{})
	if err != nil {
		t.Fatal(err)
	}
	l.release()
	if log.count("the server is back") != 1 {
		t.Error("nobody says that the server is back")
	}
}

// One connection falls silent; the other, which only idles and is owed nothing, is
// dead as well.
func TestADeadConnectionTakesTheSilentOnesWithIt(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 1000))
	a, p, log, _ := outages(t, s, 5*time.Second)
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	var idle, other *conn
	eventually(t, outagePatience, "IDLE and a connection beside it", func() bool {
		a.pool.mu.Lock()
		defer a.pool.mu.Unlock()
		idle, other = nil, nil
		for _, c := range a.pool.conns {
			switch {
			case c.idler != nil:
				idle = c
			case c.users == 0 && c.has(m) && c.sel.ready():
				other = c
			}
		}
		return idle != nil && other != nil
	})
	p.Stall(true)
	if err := other.client.Noop(within(t, outagePatience)); err == nil {
		t.Fatal("an answer came through a black hole")
	}
	select {
	case <-idle.client.Done():
	case <-time.After(outagePatience):
		t.Fatal("a connection on which nothing comes is kept")
	}
	if n := log.count("connection lost"); n > 2 {
		t.Errorf("%d connections of two were lost", n)
	}
	p.Stall(false)
	eventually(t, outagePatience, "it works again", func() bool { _, err := m.Open(within(t, outagePatience), v, 1); return err == nil })
	eventually(t, outagePatience, "IDLE", func() bool { return a.pool.idling() })
}
