package cache

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// spoiling changes octets on their way to the server, as some servers do by themselves.
type spoiling struct{ net.Conn }

func (c spoiling) Write(p []byte) (int, error) {
	return c.Conn.Write(bytes.ReplaceAll(p, []byte("\xfc"), []byte("X")))
}

// TestAServerThatChangesOctets: it says OK, and the size is the same. The text that was
// written stays, is listed, and is never sent again by itself.
func TestAServerThatChangesOctets(t *testing.T) {
	t.Parallel()
	mem, err := imaptest.NewMemory(imaptest.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	s := changeServer{mem.Addr, mem.User, mem.Password}
	p := newPeer(t, s)
	p.fill("A", 1, 100)
	state := spooled(t)
	spoil := func(_ *Config, d *imapconn.Dialer) {
		d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return spoiling{c}, err
		}
	}
	a := s.open(t, state, hastily, spoil)
	body := "Subject: gr\xfcn\r\n\r\nx\r\n"
	d := draft(t, a, box(t, a, "A"), "new", body)
	send(t, d, Fate{Box: box(t, a, "A")})
	d.Close()
	stored := func(a *Account) {
		t.Helper()
		eventually(t, patient, "it is listed", func() bool {
			all := a.Pending()
			return len(all) == 1 && all[0].State == "changed" && all[0].Error != ""
		})
	}
	stored(a)
	a.Close()
	a = s.open(t, state, hastily)
	stored(a)
	a.FlushDrafts(within(t, patient), nil)
	stored(a)
	var b bytes.Buffer
	if err := a.Export(a.Pending()[0].ID, &b); err != nil || b.String() != body {
		t.Errorf("%q, %v", b.String(), err)
	}
	if n := len(p.list("A")); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// TestNUL goes as it is to a server that takes it, and not at all to one that does not.
func TestNUL(t *testing.T) {
	t.Parallel()
	server := dovecot(t, imaptest.DovecotOptions{})
	s := changeServer{server.Addr, server.User, server.Password}
	p := newPeer(t, s)
	p.fill("A", 1, 100)
	body := "Subject: x\n\nNUL: \x00\n"
	without := s
	without.addr = imaptest.NewFilter(t, s.addr, imaptest.FilterOptions{Hide: []string{"BINARY"}}).Addr
	a := without.open(t, spooled(t), hastily)
	d := draft(t, a, box(t, a, "A"), "new", body)
	_, err := d.Send(within(t, patient), Fate{Box: box(t, a, "A")})
	wantKind(t, err, Invalid)
	if all := a.Pending(); len(all) != 1 || len(p.list("A")) != 1 {
		t.Errorf("%+v", all)
	}
	a = s.open(t, spooled(t), hastily)
	d = draft(t, a, box(t, a, "A"), "new", body)
	send(t, d, Fate{Box: box(t, a, "A")})
	d.Close()
	flushed(t, a)
	if n := len(p.list("A")); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// TestManyDraftsCostOneRoundTripEach counts what fifty files cost, while what has arrived is
// gathered to be checked.
func TestManyDraftsCostOneRoundTripEach(t *testing.T) {
	t.Parallel()
	server := dovecot(t, imaptest.DovecotOptions{})
	proxy := imaptest.NewProxy(t, server.Addr)
	s := changeServer{proxy.Addr, server.User, server.Password}
	newPeer(t, changeServer{server.Addr, server.User, server.Password}).fill("A", 3, 100)
	a := s.open(t, spooled(t), hastily, func(c *Config, _ *imapconn.Dialer) { c.pauses.check = time.Hour })
	m := box(t, a, "A")
	mustLoad(t, m)
	eventually(t, patient, "IDLE", a.pool.idling)
	one := func(i int) {
		d := draft(t, a, m, fmt.Sprint(i), lf(i, 1000))
		send(t, d, Fate{Box: m, Date: time.Unix(800_000_000, 0)})
		d.Close()
	}
	one(1000)
	proxy.Reset()
	const n = 50
	for i := range n {
		one(i)
	}
	if c := proxy.Counters(); c.Turns > n*3/2 {
		t.Errorf("%d files took %d round trips", n, c.Turns)
	}
	if got := m.Snapshot().Len(); got != n+4 {
		t.Errorf("the snapshot has %d", got)
	}
	flushed(t, a)
}
