package imaptest

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo is a server that answers every octet with itself.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return c
}

// ask sends text and reads as much back.
func ask(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len(text)))
	return err
}

func TestProxyCountsWhatWentThrough(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p.Addr)
	for range 3 {
		if err := ask(c, "12345"); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := p.Counters(), (Counters{Down: 15, Up: 15, Turns: 2, Conns: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	p.Reset()
	if got := p.Counters(); got != (Counters{}) {
		t.Errorf("after Reset: %+v", got)
	}
}

func TestProxyDelaysWithoutSerialising(t *testing.T) {
	p := NewProxy(t, echo(t))
	p.SetDelay(100 * time.Millisecond)
	c := dial(t, p.Addr)
	began := time.Now()
	for range 20 {
		io.WriteString(c, "x")
		time.Sleep(time.Millisecond)
	}
	if _, err := io.ReadFull(c, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 100*time.Millisecond || took > time.Second {
		t.Errorf("20 octets in flight at once took %v at 100 ms", took)
	}
}

func TestProxyCutEndsConnections(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p.Addr)
	if err := ask(c, "x"); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the cut: %v", err)
	}
	if err := ask(dial(t, p.Addr), "x"); err != nil {
		t.Errorf("a new connection: %v", err)
	}
}

func TestProxyCutsAfterTheOctet(t *testing.T) {
	p := NewProxy(t, echo(t))
	p.Drip(true)
	p.CutAfter(7)
	c := dial(t, p.Addr)
	io.WriteString(c, "0123456789")
	got, err := io.ReadAll(c)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || len(got) > 7 {
		t.Errorf("got %q and %v, want at most 7 octets and a reset", got, err)
	}
	if err := ask(dial(t, p.Addr), "0123456789"); err != nil {
		t.Errorf("it happened twice: %v", err)
	}
}

func TestProxyStallHoldsAndLetsGo(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p.Addr)
	if err := ask(c, "x"); err != nil {
		t.Fatal(err)
	}
	p.Stall(true)
	io.WriteString(c, "y")
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read from a black hole: %v", err)
	}
	fresh := dial(t, p.Addr)
	io.WriteString(fresh, "z")
	p.Stall(false)
	for _, c := range []net.Conn{c, fresh} {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("after the black hole: %v", err)
		}
	}
}

func TestProxyRefuses(t *testing.T) {
	p := NewProxy(t, echo(t))
	p.Refuse(true)
	if c, err := net.Dial("tcp", p.Addr); err == nil { // the reset may come as early as this
		defer c.Close()
		if ask(c, "x") == nil {
			t.Error("answered")
		}
	}
	p.Refuse(false)
	if err := ask(dial(t, p.Addr), "x"); err != nil {
		t.Error(err)
	}
}
