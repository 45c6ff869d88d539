package cache

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// sleeps makes an account believe in another wall clock than the machine's; it
// returns what sets it forward.
func sleeps(a *Account) func(time.Duration) {
	v := &a.pool.vigil
	v.mu.Lock()
	defer v.mu.Unlock()
	var ahead time.Duration
	clocks := v.clocks
	v.clocks = func() (time.Time, time.Duration) {
		wall, mono := clocks()
		return wall.Add(ahead), mono
	}
	return func(d time.Duration) {
		v.mu.Lock()
		defer v.mu.Unlock()
		ahead += d
	}
}

// A poll of an hour, and no IDLE: the account believes that what it knows is
// fresh, until the wall clock says that the machine has slept.
func TestAfterASleepAllConnectionsAreNewAndNothingIsFresh(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1")
	in := s.Mailbox("INBOX")
	in.Add(text(1, 1000))
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	pass := sleeps(a)
	in.Add(text(2, 1000))
	mayLook := func() { a.lastLook.Store(0) } // it is asked once a second

	logins := len(s.Commands("LOGIN"))
	for range 10 {
		pass(sleepGap - time.Second) // a clock that is set
		mayLook()
		if n := mustLoad(t, m).Len(); n != 1 {
			t.Fatalf("%d messages", n)
		}
	}
	pass(-time.Hour)
	mayLook()
	mustLoad(t, m)
	if n := len(s.Commands("LOGIN")); n != logins {
		t.Fatalf("%d logins without a sleep", n-logins)
	}

	pass(sleepGap + time.Second)
	mayLook()
	lists := len(s.Commands("LIST"))
	if n := mustLoad(t, m).Len(); n != 2 {
		t.Errorf("%d messages after a sleep", n)
	}
	if n := len(s.Commands("LOGIN")); n <= logins {
		t.Error("an old connection was used after a sleep")
	}
	if _, err := a.LoadTree(within(t, patience)); err != nil || len(s.Commands("LIST")) == lists {
		t.Errorf("the tree of before the sleep is believed (%v)", err)
	}
}

func TestAReadGoesOnAfterASleep(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 1000))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	pass := sleeps(a)
	stalled := make(chan struct{})
	var once sync.Once
	s.On("UID FETCH", func(c *imaptest.Call) {
		first := false
		once.Do(func() { first = true })
		if !first {
			c.Default()
			return
		}
		close(stalled)
		c.Stall()
	})
	read := make(chan error, 1)
	go func() {
		_, err := m.Open(context.Background(), v, 1)
		read <- err
	}()
	<-stalled
	pass(time.Hour)
	a.NetworkChanged() // as a rule that is what wakes us
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// elsewhere is a connection from another address.
type elsewhere struct{ net.Conn }

func (elsewhere) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711} }

func TestAConnectionEndsWithItsAddress(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	a := openScripted(t, s, func(_ *Config, d *imapconn.Dialer) {
		d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return elsewhere{c}, err
		}
	})
	first := a.pool.conns[0].client
	a.networkChanged([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(192, 0, 2, 1)})
	eventually(t, patience, "NOOP", func() bool { return len(s.Commands("NOOP")) == 1 })
	if err := first.Err(); err != nil {
		t.Fatalf("a connection from an address that is there ends: %v", err)
	}
	a.networkChanged(nil) // nobody knows
	if err := first.Err(); err != nil {
		t.Fatal(err)
	}
	a.networkChanged([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(192, 0, 2, 2)})
	if err := first.Err(); err == nil {
		t.Error("a connection outlives its address")
	}
	if _, err := a.pool.acquire(within(t, patience), want{}); err != nil {
		t.Error(err)
	}
}

// The connection idles: nothing is owed on it, and nobody but the one who asks for
// a sign of life would ever miss one.
func TestAChangedNetworkHasConnectionsAsked(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 1000))
	p := imaptest.NewProxy(t, s.Addr)
	a := open(t, p.Addr, s.User, s.Password, func(c *Config, d *imapconn.Dialer) {
		c.Timeout, d.Timeout = 5*time.Second, time.Hour
	})
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	eventually(t, patience, "IDLE", func() bool { return a.pool.idling() && !a.pool.wantsSpare(m) })
	logins := len(s.Commands("LOGIN"))
	a.NetworkChanged()
	eventually(t, patience, "all are asked", func() bool { return len(s.Commands("NOOP")) >= logins })
	eventually(t, patience, "and IDLE goes on", func() bool { return a.pool.idling() })
	if n := len(s.Commands("LOGIN")); n != logins {
		t.Errorf("%d new connections in a network that works", n-logins)
	}

	p.Stall(true)
	a.pool.mu.Lock()
	old := append([]*conn(nil), a.pool.conns...)
	a.pool.mu.Unlock()
	a.NetworkChanged()
	for _, c := range old {
		select {
		case <-c.client.Done():
		case <-time.After(patience):
			t.Fatal("a dead connection is kept")
		}
	}
	p.Stall(false)
	eventually(t, patience, "it works again", func() bool { _, err := m.Open(within(t, patience), v, 1); return err == nil })
}

func TestAChangedNetworkEndsTheWaitForTheNextAttempt(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 1000))
	a, p, log, _ := outages(t, s, 5*time.Second)
	p.Refuse(true)
	p.Cut()
	eventually(t, patience, "an outage", func() bool {
		_, err := a.pool.acquire(within(t, patience), want{})
		return KindOf(err) == Timeout && log.count("cannot reach the server") == 1
	})
	p.Refuse(false)
	a.pool.mu.Lock()
	a.pool.notBefore = time.Now().Add(time.Hour)
	if a.pool.dialing == 0 && a.pool.timer != nil && a.pool.timer.Stop() {
		a.pool.timer = nil
	}
	a.pool.mu.Unlock()
	a.NetworkChanged()
	eventually(t, patience, "a connection", func() bool { return log.count("the server is back") == 1 })
}

func TestWhichAddressesAreGone(t *testing.T) {
	t.Parallel()
	have := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 5), net.ParseIP("fe80::1")}
	for addr, want := range map[string]bool{
		"127.0.0.77": false, "::1": false, "10.0.0.5": false, "fe80::1": false, "10.0.0.6": true, "2001:db8::1": true,
	} {
		if got := gone(&net.TCPAddr{IP: net.ParseIP(addr)}, have); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if gone(&net.UnixAddr{Name: "a"}, have) || gone(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 6)}, nil) {
		t.Error("what cannot be told is gone")
	}
}

// The connection of NOTIFY is lent to nobody and owes nothing.
func TestNOTIFYGoesOnAfterASleepAndInAnotherNetwork(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	n.Mailbox("INBOX")
	p := imaptest.NewProxy(t, n.Addr)
	a := open(t, p.Addr, n.User, n.Password, func(c *Config, d *imapconn.Dialer) {
		c.Timeout, d.Timeout = 5*time.Second, time.Hour
	})
	// Where there is no connection nobody knows whether the server has NOTIFY.
	asked := func() int {
		if l, err := a.pool.acquire(within(t, patience), want{}); err == nil {
			l.release()
		}
		return len(n.Commands("NOTIFY"))
	}
	eventually(t, patience, "NOTIFY", a.notices.stand)
	pass := sleeps(a)
	pass(time.Hour)
	eventually(t, patience, "NOTIFY after a sleep", func() bool { return asked() == 2 && a.notices.stand() })

	noops := len(n.Commands("NOOP"))
	a.NetworkChanged()
	eventually(t, patience, "a question", func() bool { return len(n.Commands("NOOP")) > noops })
	p.Stall(true)
	a.NetworkChanged()
	eventually(t, patience, "its end", func() bool { return !a.notices.stand() })
	p.Stall(false)
	eventually(t, patience, "NOTIFY in another network", func() bool { return asked() > 2 && a.notices.stand() })
}
