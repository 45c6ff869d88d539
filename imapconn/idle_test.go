package imapconn

import (
	"bufio"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// idler is a connection with IDLE on which INBOX of 4 is examined.
func idler(t *testing.T, rec Recorder, script func(*peer)) *Client {
	d := play(t, func(p *peer) {
		p.login("IMAP4rev1 IDLE")
		p.examine("4")
		script(p)
		p.drain()
	})
	d.Timeout = 300 * time.Millisecond
	c := dial(t, d)
	if _, err := c.Examine(t.Context(), "INBOX", rec); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIdleTellsTheRecorderAndEndsWithDONE(t *testing.T) {
	told := make(chan struct{})
	rec := &signalled{told: told}
	c := idler(t, rec, func(p *peer) {
		tag := p.hear("IDLE")
		p.silent()
		p.say("+ idling")
		time.Sleep(400 * time.Millisecond) // nothing is owed
		p.say("* 5 EXISTS")
		p.want("DONE")
		p.say("* 1 EXPUNGE", tag+" OK")
		p.answer("NOOP")
	})
	ctx, cancel := context.WithCancel(t.Context())
	idle := pending(func() error { return c.Idle(ctx) })
	<-told
	cancel()
	if err := errors.Join(idle(), c.Noop(t.Context())); err != nil {
		t.Error(err)
	}
	rec.want(t, "exists 5", "expunged 0")
}

// signalled is a Recorder that says when it first heard of new mail.
type signalled struct {
	recorded
	told chan struct{}
}

func (s *signalled) Exists(n uint32) {
	s.recorded.Exists(n)
	close(s.told)
}

func TestIdleStepsAsideForOtherCommands(t *testing.T) {
	accepted := make(chan struct{})
	c := idler(t, nil, func(p *peer) {
		tag := p.hear("IDLE")
		p.say("+")
		close(accepted)
		p.want("DONE")
		p.say(tag + " OK")
		p.answer("NOOP")
		tag = p.hear("IDLE")
		p.say("+")
		p.want("DONE")
		p.say(tag + " OK")
	})
	ctx, cancel := context.WithCancel(t.Context())
	idle := pending(func() error { return c.Idle(ctx) })
	<-accepted
	if err := c.Noop(t.Context()); err != nil {
		t.Error(err)
	}
	time.Sleep(20 * time.Millisecond)
	if err := c.Idle(ctx); err == nil {
		t.Error("two idle on one connection")
	}
	cancel()
	if err := idle(); err != nil {
		t.Error(err)
	}
}

func TestIdleThatFailsSaysSo(t *testing.T) {
	for name, test := range map[string]struct {
		script func(*peer)
		want   string
	}{
		"refused":           {func(p *peer) { p.say(p.hear("IDLE") + " NO not today") }, "idle: server says NO not today"},
		"ended by itself":   {func(p *peer) { tag := p.hear("IDLE"); p.say("+", tag+" OK timeout") }, "idle: server ended it by itself"},
		"not accepted":      {func(p *peer) { p.hear("IDLE"); p.drain() }, "no answer for 300ms"},
		"cut":               {func(p *peer) { p.hear("IDLE"); p.say("+"); p.conn.Close() }, "server closed the connection"},
		"BYE":               {func(p *peer) { p.hear("IDLE"); p.say("+", "* BYE idle for too long"); p.drain() }, "server says BYE idle for too long"},
		"no OK behind DONE": {func(p *peer) { p.hear("IDLE"); p.say("+"); p.want("DONE"); p.drain() }, "no answer for 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			c := idler(t, nil, test.script)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "no OK behind DONE" {
				time.AfterFunc(30*time.Millisecond, cancel)
			}
			oneLine(t, c.Idle(ctx), test.want)
		})
	}
}

func TestIdleIsRenewedBeforeHalfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		renewed := make(chan time.Duration)
		go func() {
			defer far.Close()
			p := &peer{t, far, bufio.NewReader(far)}
			p.say("* PREAUTH [CAPABILITY IMAP4rev1 IDLE] in")
			for range 3 {
				tag := p.hear("IDLE")
				start := time.Now()
				p.say("+ idling")
				p.want("DONE")
				renewed <- time.Since(start)
				p.say(tag + " OK")
			}
		}()
		d := &Dialer{TLS: TLSNone, DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
		c, err := d.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		idle := pending(func() error { return c.Idle(ctx) })
		for range 2 {
			if after := <-renewed; after != 29*time.Minute {
				t.Errorf("after %v", after)
			}
		}
		synctest.Wait()
		cancel()
		<-renewed
		if err := idle(); err != nil {
			t.Error(err)
		}
		c.Close()
	})
}
