package imapconn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// pending starts a command and returns what waits for its error.
func pending(f func() error) func() error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error { return <-done }
}

// silent checks that the client sends nothing for a little while.
func (p *peer) silent() {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if b, err := p.r.Peek(1); err == nil {
		p.t.Errorf("the client did not wait but said %q", b)
	}
	p.conn.SetReadDeadline(time.Now().Add(peerPatience))
}

// hearTwo answers two commands, of which the second comes before the first is answered
// if they share a flight, and else only then. heard is closed when the first is there.
func (p *peer) hearTwo(first, second string, sharing bool, heard chan<- struct{}) {
	p.t.Helper()
	tag1 := p.hear(first)
	close(heard)
	var tag2 string
	if sharing {
		tag2 = p.hear(second)
	} else {
		p.silent()
	}
	p.say(tag1 + " OK")
	if !sharing {
		tag2 = p.hear(second)
	}
	p.say(tag2 + " OK")
}

func TestCommandsShareAFlight(t *testing.T) {
	const n = 100
	c := examined(t, "3", nil, func(p *peer) {
		tags := make([]string, n)
		for i := range tags {
			tags[i], _, _ = strings.Cut(p.line(), " ")
		}
		for i := range tags { // answered in another order
			p.say(tags[n-1-i] + " OK")
		}
	})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			if err := c.FetchMeta(t.Context(), UIDSet{{First: UID(i + 1), Last: UID(i + 1)}}, MetaFlags, func(Meta) {}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestAnswersInAnyOrderReachWhoAskedForTheUID(t *testing.T) {
	c := examined(t, "9", nil, func(p *peer) {
		var tags []string
		for range 3 {
			tag, _, _ := strings.Cut(p.line(), " ")
			tags = append(tags, tag)
		}
		for _, u := range []string{"3", "1", "2"} {
			p.say("* "+u+" FETCH (BODY[] {2}\r\n#"+u+" UID "+u+")", tags[0]+" OK")
			tags = tags[1:]
			p.say("* 9 FETCH (FLAGS (\\Seen))")
		}
	})
	var group sync.WaitGroup
	for u := UID(1); u <= 3; u++ {
		group.Go(func() {
			got, err := texts(t.Context(), c, UIDSet{{First: u, Last: u}}, Part{})
			// An answer may come after the tagged OK of its command: then it is lost,
			// never another's.
			for _, text := range got {
				if text.UID != u || string(text.Chunks[0]) != fmt.Sprintf("#%d", u) {
					t.Errorf("UID %d got %+v", u, text)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// Each pair is of commands of which the second is not sent before the first is
// answered.
func TestWhatMayNotShareAFlightWaits(t *testing.T) {
	set := UIDSet{{First: 5, Last: 9}}
	ctx := t.Context()
	list := func(c *Client) error { _, err := c.List(ctx, "", "*"); return err }
	noop := func(c *Client) error { return c.Noop(ctx) }
	examine := func(c *Client) error { _, err := c.Examine(ctx, "B", nil); return err }
	search := func(c *Client) error { _, err := c.UIDSearch(ctx, "ALL"); return err }
	status := func(c *Client) error { c.Status(ctx, "inbox", "MESSAGES"); return nil }
	status2 := func(c *Client) error { c.Status(ctx, "INBOX", "UIDNEXT"); return nil }
	text := func(set UIDSet, p Part) func(*Client) error {
		return func(c *Client) error { return c.FetchText(ctx, set, p, func(Text) {}) }
	}
	for name, test := range map[string]struct {
		first, second   func(*Client) error
		hear1, hear2    string
		sharing, either bool
	}{
		"EXAMINE behind NOOP":      {first: noop, second: examine, hear1: "NOOP", hear2: `EXAMINE "B"`},
		"NOOP behind EXAMINE":      {first: examine, second: noop, hear1: `EXAMINE "B"`, hear2: "NOOP"},
		"two LISTs":                {first: list, second: list, hear1: `LIST "" "*"`, hear2: `LIST "" "*"`},
		"two SEARCHes":             {first: search, second: search, hear1: "UID SEARCH ALL", hear2: "UID SEARCH ALL"},
		"two STATUSes of one":      {first: status, second: status2, hear1: `STATUS "inbox" (MESSAGES)`, hear2: `STATUS "INBOX" (UIDNEXT)`},
		"one part, two lengths":    {first: text(set, Part{Octets: 5}), second: text(UIDSet{{First: 1, Last: 5}}, Part{Octets: 6}), hear1: "UID FETCH 5:9 (UID BODY.PEEK[]<0.5>)", hear2: "UID FETCH 1:5 (UID BODY.PEEK[]<0.6>)"},
		"one text twice":           {first: text(set, Part{}), second: text(set, Part{}), hear1: "UID FETCH 5:9 (UID BODY.PEEK[])", hear2: "UID FETCH 5:9 (UID BODY.PEEK[])"},
		"LIST and SEARCH share":    {first: list, second: search, hear1: `LIST "" "*"`, hear2: "UID SEARCH ALL", sharing: true},
		"two parts share":          {first: text(set, Part{Octets: 5}), second: text(set, Part{Offset: 5, Octets: 5}), hear1: "UID FETCH 5:9 (UID BODY.PEEK[]<0.5>)", hear2: "UID FETCH 5:9 (UID BODY.PEEK[]<5.5>)", sharing: true},
		"texts of others share":    {first: text(set, Part{}), second: text(UIDSet{{First: 1, Last: 4}}, Part{}), hear1: "UID FETCH 5:9 (UID BODY.PEEK[])", hear2: "UID FETCH 1:4 (UID BODY.PEEK[])", sharing: true},
		"NOOP and STATUS share":    {first: noop, second: status, hear1: "NOOP", hear2: `STATUS "inbox" (MESSAGES)`, sharing: true},
		"LOGOUT behind everything": {first: noop, second: func(c *Client) error { return c.Logout(ctx) }, hear1: "NOOP", hear2: "LOGOUT"},
	} {
		t.Run(name, func(t *testing.T) {
			heard := make(chan struct{})
			c := examined(t, "9", nil, func(p *peer) {
				p.hearTwo(test.hear1, test.hear2, test.sharing, heard)
			})
			first := pending(func() error { return test.first(c) })
			<-heard
			second := pending(func() error { return test.second(c) })
			if err := first(); err != nil {
				t.Error(err)
			}
			if err := second(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestALiteralWaitsForThePlusAndEverythingForTheLiteral(t *testing.T) {
	heard := make(chan struct{})
	c := examined(t, "9", nil, func(p *peer) {
		tag := p.hear(`LIST "" {3}`)
		close(heard)
		p.silent()
		p.say("* OK patience", "+")
		p.want("pä")
		p.say(tag + " OK")
		p.answer("NOOP")
		p.say(p.hear(`LIST "" {3}`) + " NO not that")
		p.answer("NOOP")
	})
	list := pending(func() error { _, err := c.List(t.Context(), "", "pä"); return err })
	<-heard
	noop := pending(func() error { return c.Noop(t.Context()) })
	if err := errors.Join(list(), noop()); err != nil {
		t.Error(err)
	}
	_, err := c.List(t.Context(), "", "pä")
	oneLine(t, err, "list: server says NO not that")
	if err := c.Noop(t.Context()); err != nil {
		t.Error(err)
	}
}

// What was given up is drained: the connection stays in step and f is not
// called any more.
func TestGivingACommandUpKeepsTheConnectionInStep(t *testing.T) {
	heard, gone := make(chan struct{}), make(chan struct{})
	c := examined(t, "9", nil, func(p *peer) {
		tag := p.hear("UID FETCH 5 (UID BODY.PEEK[])")
		p.raw("* 5 FETCH (UID 5 BODY[] {10}\r\nabc")
		close(heard)
		<-gone
		p.raw("defghij)\r\n")
		p.say(tag + " OK")
		p.answer("UID FETCH 6 (UID BODY.PEEK[])", "* 6 FETCH (UID 6 BODY[] {1}\r\nx)")
	})
	ctx, cancel := context.WithCancel(t.Context())
	fetch := pending(func() error {
		return c.FetchText(ctx, UIDSet{{First: 5, Last: 5}}, Part{}, func(Text) { t.Error("called after the end") })
	})
	<-heard
	cancel()
	if err := fetch(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(gone)
	if got, err := texts(t.Context(), c, UIDSet{{First: 6, Last: 6}}, Part{}); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestACommandGivenUpBeforeItIsSentIsNotSent(t *testing.T) {
	heard, gone := make(chan struct{}), make(chan struct{})
	c := examined(t, "9", nil, func(p *peer) {
		tag := p.hear(`LIST "" "*"`)
		close(heard)
		<-gone
		p.say(tag + " OK")
		p.answer("NOOP")
	})
	first := pending(func() error { _, err := c.List(t.Context(), "", "*"); return err })
	<-heard
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.List(ctx, "", "b*"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(gone)
	if err := errors.Join(first(), c.Noop(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestAnExamineGivenUpLeavesNoMailbox(t *testing.T) {
	heard, gone := make(chan struct{}), make(chan struct{})
	c := examined(t, "9", nil, func(p *peer) {
		tag := p.hear(`EXAMINE "B"`)
		close(heard)
		<-gone
		p.say("* 2 EXISTS", tag+" OK", "* 3 EXISTS")
		p.answer("NOOP")
	})
	ctx, cancel := context.WithCancel(t.Context())
	rec := &recorded{}
	examine := pending(func() error { _, err := c.Examine(ctx, "B", rec); return err })
	<-heard
	cancel()
	if err := examine(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(gone)
	if err := c.Noop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.UIDSearch(t.Context(), "ALL"); !errors.Is(err, ErrNotSelected) {
		t.Error(err)
	}
	rec.want(t)
}

func TestAServerThatFallsSilentIsGivenUpOnce(t *testing.T) {
	d := play(t, func(p *peer) {
		p.login("IMAP4rev1")
		p.examine("9")
		p.hear("UID FETCH 5 (UID BODY.PEEK[])")
		for range 4 { // slow is not silent
			time.Sleep(100 * time.Millisecond)
			p.raw("* OK\r\n")
		}
		p.raw("* 5 FETCH (UID 5 BODY[] {10}\r\nabc")
		p.drain()
	})
	d.Timeout = 250 * time.Millisecond
	c := dial(t, d)
	c.Examine(t.Context(), "INBOX", nil)
	time.Sleep(300 * time.Millisecond) // nothing is owed
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	start := time.Now()
	_, err := texts(t.Context(), c, UIDSet{{First: 5, Last: 5}}, Part{})
	var ce *ConnError
	if !errors.As(err, &ce) || !ce.Timeout() {
		t.Errorf("%v", err)
	}
	oneLine(t, err, "no answer for 250ms (is the network up?)")
	if took := time.Since(start); took < 600*time.Millisecond || took > 900*time.Millisecond {
		t.Errorf("after %v", took)
	}
	<-c.Done()
	if err := c.Noop(t.Context()); !errors.As(err, &ce) {
		t.Error(err)
	}
}

func TestACutConnectionEndsEveryCommand(t *testing.T) {
	heard := make(chan struct{})
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1")
		p.hear("NOOP")
		close(heard)
		p.hear(`LIST "" "*"`)
	}))
	noop := pending(func() error { return c.Noop(t.Context()) })
	<-heard
	_, err := c.List(t.Context(), "", "*")
	oneLine(t, err, "server closed the connection")
	oneLine(t, noop(), "server closed the connection")
	oneLine(t, c.Err(), "server closed the connection")
}

func TestCloseEndsEveryCommandAtOnce(t *testing.T) {
	heard := make(chan struct{})
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1")
		p.hear("NOOP")
		close(heard)
		p.drain()
	}))
	noop := pending(func() error { return c.Noop(t.Context()) })
	<-heard
	c.Close()
	if err := noop(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := c.Noop(t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(c.Err(), ErrClosed) {
		t.Error(err)
	}
}

func TestLogoutTakesByeForAnAnswer(t *testing.T) {
	for name, script := range map[string]func(*peer){
		"proper": func(p *peer) { tag := p.hear("LOGOUT"); p.say("* BYE see you", tag+" OK") },
		"hasty":  func(p *peer) { p.hear("LOGOUT"); p.say("* BYE see you") },
		"rude":   func(p *peer) { p.hear("LOGOUT") },
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) { p.login("IMAP4rev1"); script(p) }))
			if err := c.Logout(t.Context()); err != nil {
				t.Error(err)
			}
			if !errors.Is(c.Err(), ErrClosed) {
				t.Error(c.Err())
			}
		})
	}
}
