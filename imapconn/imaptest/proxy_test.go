package imaptest

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// answering is a server that does the same with each of its connections.
func answering(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
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
			go func() {
				defer c.Close()
				answer(c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// echo answers every octet with itself.
func echo(t *testing.T) string {
	return answering(t, func(c net.Conn) { io.Copy(c, c) })
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

// script answers whatever it is sent with the same words.
// A connection that was taken just before is cut with the others, or refused.
func TestProxyThatRefusesAndCutsLeavesNoConnection(t *testing.T) {
	p := NewProxy(t, echo(t))
	for range 300 {
		c := dial(t, p.Addr)
		p.Refuse(true)
		p.Cut()
		if err := ask(c, "x"); err == nil {
			t.Fatal("a connection outlives refusal and cut")
		}
		p.Refuse(false)
	}
}

func script(t *testing.T, words string) string {
	return answering(t, func(c net.Conn) {
		for b := make([]byte, 1); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
			io.WriteString(c, words)
		}
	})
}

func TestProxyCutsInALiteral(t *testing.T) {
	const before = "* 1 FETCH (X {3}\r\nabc BODY[] {10}\r\n"
	p := NewProxy(t, script(t, before+"0123456789)\r\n"))
	for _, drip := range []bool{false, true} {
		p.Drip(drip)
		p.CutInLiteral(4)
		c := dial(t, p.Addr)
		io.WriteString(c, "x")
		got, err := io.ReadAll(c)
		// A reset may overtake what was written.
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || len(got) > len(before)+4 {
			t.Errorf("got %q and %v, want %q and a reset", got, err, before+"0123")
		}
		whole := dial(t, p.Addr)
		io.WriteString(whole, "x")
		if _, err := io.ReadFull(whole, make([]byte, len(before)+13)); err != nil {
			t.Errorf("it happened twice: %v", err)
		}
	}
}

func TestLiteralsAreFollowedAcrossPackets(t *testing.T) {
	stream := []byte("* OK {x}\r\n* 1 FETCH (BODY[] {12}\r\nab}\r\n{5}\r\n12 X {2}\r\nyz)\r\na1 OK\r\n")
	for step := 1; step <= len(stream); step++ {
		var l literals
		at, passed := -1, 0
		for passed < len(stream) && at < 0 {
			n := min(step, len(stream)-passed)
			if at = l.pass(stream[passed:passed+n], 7); at >= 0 {
				at += passed
			}
			passed += n
		}
		if want := len("* OK {x}\r\n* 1 FETCH (BODY[] {12}\r\n") + 7; at != want {
			t.Fatalf("in steps of %d: cut at %d, want %d", step, at, want)
		}
	}
}

func TestProxyStallsOneWay(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p.Addr)
	if err := ask(c, "x"); err != nil {
		t.Fatal(err)
	}
	for _, ways := range [][2]bool{{true, false}, {false, true}} {
		p.StallWays(ways[0], ways[1])
		p.Reset()
		io.WriteString(c, "y")
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stalled %v: read %v", ways, err)
		}
		p.Stall(false)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("after %v: %v", ways, err)
		}
	}
}

func TestProxyHangsUpAndRefusesTheNext(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p.Addr)
	if err := ask(c, "x"); err != nil {
		t.Fatal(err)
	}
	p.HangUp()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the end: %v", err)
	}
	p.RefuseNext(2)
	refused := 0
	for range 3 {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			refused++
			continue
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if ask(c, "x") != nil {
			refused++
		}
		c.Close()
	}
	if refused != 2 {
		t.Errorf("%d of three connections were refused, want 2", refused)
	}
}

func TestProxyKeepsABandwidth(t *testing.T) {
	p := NewProxy(t, echo(t))
	p.SetBandwidth(1 << 20)
	c := dial(t, p.Addr)
	began := time.Now()
	go c.Write(make([]byte, 256<<10))
	if _, err := io.ReadFull(c, make([]byte, 256<<10)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("256 KiB at 1 MiB/s took %v", took)
	}
}

// A reset behind the last octet of what a client sends, before the server has spoken and after.
func TestProxyCutsAtUpload(t *testing.T) {
	const command = "a APPEND x {8+}\r\n12345678\r\n"
	for _, tt := range []struct {
		moment Moment
		arrive string
	}{{Uploaded, "a APPEND x {8+}\r\n12345678"}, {Answered, command}} {
		arrived := make(chan string, 2)
		p := NewProxy(t, answering(t, func(c net.Conn) {
			got, buf := "", make([]byte, 100)
			for {
				n, err := c.Read(buf)
				if got += string(buf[:n]); err != nil {
					break
				}
				if strings.HasSuffix(got, "8\r\n") {
					io.WriteString(c, "a OK\r\n")
				}
			}
			arrived <- got
		}))
		did := make(chan bool, 2)
		p.AtUpload(tt.moment, 8, func() { did <- true })
		c := dial(t, p.Addr)
		if err := writeSlowly(c, "b NOOP {3+}\r\nabc\r\n"+command); err != nil && tt.moment == Answered {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %q, %v, want a reset and nothing before", got, err)
		}
		if got := <-arrived; got != "b NOOP {3+}\r\nabc\r\n"+tt.arrive {
			t.Errorf("%q arrived", got)
		}
		<-did
		again := dial(t, p.Addr)
		io.WriteString(again, command)
		if _, err := io.ReadFull(again, make([]byte, len("a OK\r\n"))); err != nil {
			t.Errorf("it happened twice: %v", err)
		}
	}
}

// writeSlowly writes an octet at a time, so that packets end anywhere.
func writeSlowly(w io.Writer, s string) error {
	for i := range s {
		if _, err := io.WriteString(w, s[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}
