package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// scissors cuts the connection that writes the n-th octet from when they were set,
// before that goes.
type scissors struct {
	mu   sync.Mutex
	left int64 // under 0: not set
}

func (s *scissors) set(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = n
}

func (s *scissors) take(n int) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left < 0:
		return n, false
	case int64(n) <= s.left:
		s.left -= int64(n)
		return n, false
	}
	n = int(s.left)
	s.left = -1
	return n, true
}

type cuttable struct {
	net.Conn
	s *scissors
}

func (c cuttable) Write(p []byte) (int, error) {
	n, cut := c.s.take(len(p))
	if !cut {
		return c.Conn.Write(p)
	}
	n, _ = c.Conn.Write(p[:n])
	c.Conn.Close()
	return n, errors.New("cut")
}

// TestAnAppendCutAnywhereArrivesOnce cuts the connection after each octet of some of an
// APPEND, and of its answer.
func TestAnAppendCutAnywhereArrivesOnce(t *testing.T) {
	t.Parallel()
	for _, hide := range [][]string{nil, {"UIDPLUS", "LITERAL+", "LITERAL-"}} {
		t.Run(fmt.Sprint("without ", hide), func(t *testing.T) {
			t.Parallel()
			server := dovecot(t, imaptest.DovecotOptions{})
			addr := imaptest.NewFilter(t, server.Addr, imaptest.FilterOptions{Hide: hide}).Addr
			proxy := imaptest.NewProxy(t, addr)
			s := changeServer{proxy.Addr, server.User, server.Password}
			p := newPeer(t, changeServer{server.Addr, server.User, server.Password})
			p.fill("A", 2, 100)
			up := &scissors{left: -1}
			a := s.open(t, spooled(t), hastily, func(c *Config, d *imapconn.Dialer) {
				c.Connections = 2
				c.pauses.looks = c.pauses.looks[:3] // a text that was cut is not there, and a whole one is at once
				dial := net.Dialer{}
				d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := dial.DialContext(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return cuttable{c, up}, nil
				}
			})
			m := box(t, a, "A")
			size := len(crlf(lf(0, 200)))
			n := 0
			try := func(cut func()) {
				body := lf(1000+n, 200)
				d := draft(t, a, m, fmt.Sprint(n), body)
				n++
				cut()
				_, err := d.Send(within(t, patient), Fate{Box: m})
				up.set(-1)
				d.Close()
				if err == nil {
					return
				}
				eventually(t, patient, "it arrives by itself", func() bool { return len(a.Pending()) == 0 })
			}
			for at := int64(0); at < int64(size+80); at += 60 {
				try(func() { up.set(at) })
			}
			for at := int64(1); at < 60; at += 17 {
				try(func() { proxy.CutAfter(at) })
			}
			proxy.CutAfter(-1)
			up.set(-1)
			flushed(t, a)
			arrived := make(map[string]int)
			for _, x := range p.texts("A") {
				arrived[x]++
			}
			for i := range n {
				if got := arrived[crlf(lf(1000+i, 200))]; got != 1 {
					t.Errorf("text %d of %d is there %d times", i, n, got)
				}
			}
			if len(arrived) != n+2 {
				t.Errorf("%d different texts, want %d", len(arrived), n+2)
			}
		})
	}
}

// TestATextIsSentAgainAfterAllLooks: what is looked for in vain, for longer than a request may
// take, is sent again.
func TestATextIsSentAgainAfterAllLooks(t *testing.T) {
	t.Parallel()
	server := dovecot(t, imaptest.DovecotOptions{})
	proxy := imaptest.NewProxy(t, server.Addr)
	p := newPeer(t, changeServer{server.Addr, server.User, server.Password})
	p.fill("A", 1, 100)
	const timeout = 3 * time.Second
	a := changeServer{proxy.Addr, server.User, server.Password}.open(t, spooled(t), func(c *Config, d *imapconn.Dialer) {
		c.Timeout, d.Timeout = timeout, timeout
		c.pauses = &draftPauses{
			looks: []time.Duration{0, timeout / 2, timeout / 2, timeout / 2},
			first: 10 * time.Millisecond, last: 200 * time.Millisecond, check: 20 * time.Millisecond, linger: time.Minute,
		}
	})
	m := box(t, a, "A")
	d := draft(t, a, m, "x", lf(1, 200))
	defer d.Close()
	proxy.AtUpload(imaptest.Uploaded, 100, nil)
	if _, err := d.Send(within(t, patient), Fate{Box: m}); err != nil {
		t.Errorf("%v, and pending are %+v", err, a.Pending())
	}
	if all := p.texts("A"); len(all) != 2 {
		t.Errorf("%d texts, want 2", len(all))
	}
}
