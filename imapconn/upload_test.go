package imapconn

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// piped is a Dialer for a server that script plays on a pipe, so that the time of
// a bubble passes.
func piped(t *testing.T, script func(*peer)) *Dialer {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		script(&peer{t, far, bufio.NewReaderSize(far, 16)})
	}()
	return &Dialer{
		Host: "slow", TLS: TLSNone, Timeout: 30 * time.Second,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		Credentials: func(context.Context) (Credentials, error) { return Credentials{User: "alice", Password: "secret"}, nil },
	}
}

// An hour for a text is not too long while some of it moves.
func TestATextMayTakeItsTimeAndNoSilenceMay(t *testing.T) {
	text := strings.Repeat("0123456789abcde\n", 4<<10) // 64 KiB, 180 times 20 s
	for name, test := range map[string]struct {
		pieces int // of 364 octets that are read, 20 s apart
		state  AppendState
		ends   bool
	}{
		"slow": {180, 0, true}, "slow and then silent": {100, NotSent, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var last atomic.Int64
				last.Store(time.Now().UnixNano())
				d := piped(t, func(p *peer) {
					p.login("IMAP4rev1")
					tag := p.hear(`APPEND "INBOX" {65536}`)
					p.say("+")
					buf := make([]byte, 364)
					for range test.pieces {
						time.Sleep(20 * time.Second)
						if _, err := io.ReadFull(p.r, buf); err != nil {
							t.Error(err)
						}
						last.Store(time.Now().UnixNano())
					}
					if !test.ends {
						time.Sleep(time.Hour)
						return
					}
					io.ReadFull(p.r, buf[:65536+2-180*364])
					p.say(tag + " OK")
					p.drain()
				})
				c := dial(t, d)
				start := time.Now()
				_, err := c.Append(t.Context(), "INBOX", message(text))
				if test.ends {
					if err != nil || time.Since(start) < time.Hour {
						t.Errorf("%v after %v", err, time.Since(start))
					}
				} else {
					var ae *AppendError
					if !errors.As(err, &ae) || ae.State != test.state {
						t.Error(err)
					}
					oneLine(t, err, "no octet could be sent in time")
					if silence := time.Since(time.Unix(0, last.Load())); silence < 30*time.Second || silence > 60*time.Second {
						t.Errorf("given up after a silence of %v", silence)
					}
				}
				c.Close()
				if !test.ends {
					time.Sleep(2 * time.Hour) // the script's end
				}
				synctest.Wait()
			})
		})
	}
}

// Octets that the kernel holds and sends are no silence.
func TestOctetsThatLeaveTheKernelAreNoSilence(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	c := &Client{raw: near, clock: clock{start: time.Now()}}
	if c.drains() {
		t.Error("nothing was sent")
	}
	buf := make([]byte, 64<<10)
	for err == nil { // until both buffers are full
		near.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		_, err = near.Write(buf)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	before := unacknowledged(near)
	if before == 0 || !c.drains() {
		t.Fatalf("the kernel holds %d octets", before)
	}
	if c.drains() {
		t.Error("nothing has moved since")
	}
	for limit := time.Now().Add(30 * time.Second); unacknowledged(near) == before; {
		if time.Now().After(limit) {
			t.Fatal("nothing moves")
		}
		if _, err := io.ReadFull(far, buf); err != nil {
			t.Fatal(err)
		}
	}
	if !c.drains() {
		t.Error("what has moved was not seen")
	}
}
