package imapconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"imapfs/imapconn/imapwire"
)

// message is a NewMessage of a text in memory.
func message(text string, flags ...string) NewMessage {
	return NewMessage{Text: strings.NewReader(text), Size: int64(len(text)), Flags: flags}
}

// octets reads n octets and checks that they are want.
func (p *peer) octets(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.r, got); err != nil || string(got) != want {
		p.t.Errorf("the client sent %.60q, %v, want %.60q", got[:n], err, want)
	}
}

func TestAppendTakesEveryFormOfLiteral(t *testing.T) {
	when := time.Date(2020, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	big := strings.Repeat("x", 5000)
	huge := strings.Repeat("y", maxAtOnce+1)
	for name, test := range map[string]struct {
		caps, box string
		m         NewMessage
		line      string
		waits     bool
	}{
		"synchronising":             {"IMAP4rev1", "INBOX", message("hello"), `APPEND "INBOX" {5}`, true},
		"LITERAL+":                  {"IMAP4rev1 LITERAL+", "INBOX", message(big), `APPEND "INBOX" {5000+}`, false},
		"LITERAL-":                  {"IMAP4rev1 LITERAL-", "INBOX", message(big[:4096]), `APPEND "INBOX" {4096+}`, false},
		"LITERAL-, larger":          {"IMAP4rev1 LITERAL-", "INBOX", message(big[:4097]), `APPEND "INBOX" {4097}`, true},
		"IMAP4rev2":                 {"IMAP4rev2", "INBOX", message("hello"), `APPEND "INBOX" {5+}`, false},
		"much for LITERAL+":         {"IMAP4rev1 LITERAL+", "INBOX", message(huge), fmt.Sprintf(`APPEND "INBOX" {%d}`, len(huge)), true},
		"empty":                     {"IMAP4rev1 LITERAL+", "INBOX", message(""), `APPEND "INBOX" {0+}`, false},
		"flags and date":            {"IMAP4rev1 LITERAL+", "a b", NewMessage{strings.NewReader("hi"), 2, []string{`\Seen`, "$Junk"}, when, false}, `APPEND "a b" (\Seen $Junk) " 2-Jan-2020 03:04:05 +0100" {2+}`, false},
		"a zone of odd seconds":     {"IMAP4rev1 LITERAL+", "a", NewMessage{strings.NewReader("hi"), 2, nil, time.Date(1900, 1, 1, 0, 0, 0, 0, time.FixedZone("", 1172)), false}, `APPEND "a" "31-Dec-1899 23:40:28 +0000" {2+}`, false},
		"NUL":                       {"IMAP4rev1 LITERAL+ BINARY", "INBOX", NewMessage{Text: strings.NewReader("a\x00b"), Size: 3, Binary: true}, `APPEND "INBOX" ~{3+}`, false},
		"NUL, synchronising":        {"IMAP4rev1 BINARY", "INBOX", NewMessage{Text: strings.NewReader("a\x00b"), Size: 3, Binary: true}, `APPEND "INBOX" ~{3}`, true},
		"NUL, LITERAL- has no such": {"IMAP4rev1 LITERAL- BINARY", "INBOX", NewMessage{Text: strings.NewReader("a\x00b"), Size: 3, Binary: true}, `APPEND "INBOX" ~{3}`, true},
		"RFC 1730":                  {"IMAP4", "INBOX", message("hello"), `APPEND "INBOX" {5}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := io.ReadAll(test.m.Text)
			if err != nil {
				t.Fatal(err)
			}
			test.m.Text = bytes.NewReader(text)
			c := dial(t, play(t, func(p *peer) {
				p.login(test.caps)
				tag := p.hear(test.line)
				if test.waits {
					p.silent()
					p.say("* OK patience", "+ go on")
				}
				p.octets(string(text) + "\r\n")
				p.say("* 7 EXISTS", tag+" OK [APPENDUID 38505 3955] done")
				p.answer("NOOP")
				p.drain()
			}))
			got, err := c.Append(t.Context(), test.box, test.m)
			if err != nil || got != (AppendData{38505, 3955}) {
				t.Errorf("%+v, %v", got, err)
			}
			if err := c.Noop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// failing is a text that cannot be read behind its first octets.
type failing struct{ err error }

func (f failing) Read(p []byte) (int, error) { return 0, f.err }

// Each is what may go wrong with an APPEND, and whether the server may then have
// the message. alive: the connection is in step afterwards.
func TestAppendSaysWhetherTheServerMayHaveTheMessage(t *testing.T) {
	const sync, plus = "IMAP4rev1", "IMAP4rev1 LITERAL+"
	line := func(n int, plus string) string { return fmt.Sprintf(`APPEND "INBOX" {%d%s}`, n, plus) }
	small := "Subject: x\r\n\r\nbody"
	large := strings.Repeat("0123456789abcde\n", 1<<20) // 16 MiB: more than the buffers between us hold
	for name, test := range map[string]struct {
		caps, text string
		script     func(p *peer)
		state      AppendState
		alive      bool
		says       string
	}{
		"cut before the +": {sync, small, func(p *peer) { p.hear(line(18, "")) }, NotSent, false, "server closed the connection"},
		"NO instead of the +": {sync, small, func(p *peer) {
			p.say(p.hear(line(18, "")) + " NO [TRYCREATE] no such mailbox")
			p.answer("NOOP")
		}, Refused, true, `append "INBOX": server says NO [TRYCREATE] no such mailbox`},
		"NO of GNU mailutils": {sync, small, func(p *peer) {
			p.say(p.hear(line(18, "")) + " NO APPEND [TRYCREATE] failed")
			p.answer("NOOP")
		}, Refused, true, `[TRYCREATE]`},
		"BAD instead of the +": {sync, small, func(p *peer) {
			p.say(p.hear(line(18, "")) + " BAD what")
			p.answer("NOOP")
		}, Refused, true, "server says BAD what"},
		"OK instead of the +":  {sync, small, func(p *peer) { p.say(p.hear(line(18, "")) + " OK [APPENDUID 1 2] fine"); p.drain() }, NotSent, false, "before it has the whole message"},
		"BYE instead of the +": {sync, small, func(p *peer) { p.hear(line(18, "")); p.say("* BYE enough"); p.drain() }, NotSent, false, "BYE enough"},
		"a + that never comes": {sync, small, func(p *peer) { p.hear(line(18, "")); p.drain() }, NotSent, false, "no answer for"},
		"cut in mid-literal":   {sync, large, func(p *peer) { p.hear(line(len(large), "")); p.say("+"); p.octets(large[:100]) }, NotSent, false, ""},
		"BYE in mid-literal": {sync, large, func(p *peer) {
			p.hear(line(len(large), ""))
			p.say("+")
			p.octets(large[:100])
			p.say("* BYE full")
			p.drain()
		}, NotSent, false, "BYE full"},
		"NO in mid-literal": {sync, large, func(p *peer) {
			tag := p.hear(line(len(large), ""))
			p.say("+")
			p.octets(large[:100])
			p.say(tag + " NO [OVERQUOTA] full")
			p.stop()
		}, Refused, false, "NO [OVERQUOTA] full"},
		"OK in mid-literal": {sync, large, func(p *peer) {
			tag := p.hear(line(len(large), ""))
			p.say("+")
			p.octets(large[:100])
			p.say(tag + " OK fine")
			p.stop()
		}, NotSent, false, "before it has the whole message"},
		"cut behind the last one": {plus, small, func(p *peer) { p.hear(line(18, "+")); p.octets(small) }, Unknown, false, "server closed the connection (whether the server has the message is not known)"},
		"cut behind the line":     {plus, small, func(p *peer) { p.hear(line(18, "+")); p.octets(small + "\r\n") }, Unknown, false, "(whether the server has the message is not known)"},
		"BYE behind the last one": {plus, small, func(p *peer) { p.hear(line(18, "+")); p.octets(small + "\r\n"); p.say("* BYE going down"); p.drain() }, Unknown, false, "BYE going down"},
		"silence at the end":      {plus, small, func(p *peer) { p.hear(line(18, "+")); p.octets(small + "\r\n"); p.drain() }, Unknown, false, "no answer for"},
		"NO at the end": {plus, small, func(p *peer) {
			tag := p.hear(line(18, "+"))
			p.octets(small + "\r\n")
			p.say(tag + " NO [TOOBIG] no")
			p.answer("NOOP")
		}, Refused, true, "NO [TOOBIG] no"},
		"a tag of nobody": {plus, small, func(p *peer) { p.hear(line(18, "+")); p.octets(small + "\r\n"); p.say("a99 OK"); p.drain() }, Unknown, false, "which no command bears"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := func(p *peer) { p.login(test.caps); test.script(p) }
			check := func(t *testing.T, d *Dialer) {
				c := dial(t, d)
				got, err := c.Append(t.Context(), "INBOX", message(test.text))
				var ae *AppendError
				if !errors.As(err, &ae) || ae.State != test.state || got != (AppendData{}) {
					t.Fatalf("%+v, %#v, want %v", got, err, test.state)
				}
				oneLine(t, err, test.says)
				if test.alive {
					if err := c.Noop(t.Context()); err != nil {
						t.Error(err)
					}
				} else if <-c.Done(); c.Err() == nil {
					t.Error("the connection lives")
				}
			}
			if strings.Contains(test.says, "no answer") { // half a minute, in a bubble
				synctest.Test(t, func(t *testing.T) { check(t, piped(t, script)) })
			} else {
				check(t, play(t, script))
			}
		})
	}
}

// stop reads no more and waits for the client to go: the client's buffers are full
// then, whatever it has still to say.
func (p *peer) stop() {
	for {
		if _, err := p.conn.Write([]byte("* OK\r\n")); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestASmallTextThatIsRefusedEarlyIsStillSentWhole(t *testing.T) {
	text := strings.Repeat("x", maxAtOnce)
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 LITERAL+")
		tag := p.hear(fmt.Sprintf(`APPEND "INBOX" {%d+}`, len(text)))
		p.say(tag + " NO [OVERQUOTA] full")
		p.octets(text + "\r\n")
		p.answer("NOOP")
	}))
	_, err := c.Append(t.Context(), "INBOX", message(text))
	var ae *AppendError
	if !errors.As(err, &ae) || ae.State != Refused {
		t.Errorf("%v", err)
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWithoutAPPENDUIDNoUIDIsInvented(t *testing.T) {
	for _, code := range []string{"", "[APPENDUID] ", "[APPENDUID 5] ", "[APPENDUID 0 7] ", "[APPENDUID 5 0] ", "[APPENDUID 5 4294967296] ", "[APPENDUID 5 7:8] ", "[APPENDUID x 7] "} {
		c := dial(t, play(t, func(p *peer) {
			p.login("IMAP4rev1 LITERAL+")
			tag := p.hear(`APPEND "INBOX" {2+}`)
			p.octets("hi\r\n")
			p.say("* OK [APPENDUID 8 9] another's", tag+" OK "+code+"done")
			p.drain()
		}))
		if got, err := c.Append(t.Context(), "INBOX", message("hi")); err != nil || got != (AppendData{}) {
			t.Errorf("%q: %+v, %v", code, got, err)
		}
	}
}

func TestATextThatCannotBeReadEndsTheConnectionByItsName(t *testing.T) {
	for name, test := range map[string]struct {
		text io.Reader
		says string
	}{
		"short":  {strings.NewReader("abc"), "the message cannot be read: it ends after 3 of 10 octets"},
		"empty":  {strings.NewReader(""), "it ends after 0 of 10 octets"},
		"broken": {io.MultiReader(strings.NewReader("abc"), failing{syscall.EIO}), "the message cannot be read: input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login("IMAP4rev1 LITERAL+")
				if got := p.line(); got != "" { // the line may be in a buffer when the end comes
					t.Logf("heard %q", got)
				}
				p.drain()
			}))
			_, err := c.Append(t.Context(), "INBOX", NewMessage{Text: test.text, Size: 10})
			var ae *AppendError
			var se *SourceError
			if !errors.As(err, &ae) || ae.State != NotSent || !errors.As(err, &se) {
				t.Errorf("%#v", err)
			}
			oneLine(t, err, test.says)
			<-c.Done()
		})
	}
}

func TestWhatCannotBeAppendedIsNotSent(t *testing.T) {
	c := dial(t, play(t, func(p *peer) { p.login("IMAP4rev1 APPENDLIMIT=100"); p.quiet() }))
	for name, m := range map[string]NewMessage{
		"NUL":         {Text: strings.NewReader("\x00"), Size: 1, Binary: true},
		"a limit":     {Text: strings.NewReader("x"), Size: 101},
		"64 bits":     {Text: strings.NewReader("x"), Size: imapwire.MaxLiteral + 1},
		"negative":    {Size: -1},
		`\Recent`:     message("x", `\recent`),
		"no flag":     message("x", "a b"),
		"injection":   message("x", "a)\r\na9 LOGOUT"),
		"many flags":  message("x", strings.Repeat("x", 9000)),
		"a year of 5": {Text: strings.NewReader("x"), Size: 1, Date: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := c.Append(t.Context(), "INBOX", m)
		var ae *AppendError
		if !errors.As(err, &ae) || ae.State != NotSent {
			t.Errorf("%s: %v", name, err)
		}
		if name == "NUL" && !errors.Is(err, ErrNotOffered) || name == "a limit" && !errors.Is(err, ErrAppendLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Close()
}

// While a text is being sent nothing else is said, and what was asked before is
// answered.
func TestNothingIsSentIntoALiteral(t *testing.T) {
	text := strings.Repeat("0123456789abcde\n", 128<<10) // more than lies in buffers
	noop, begun, listed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1")
		list := p.hear(`LIST "" "*"`)
		close(noop)
		tag := p.hear(fmt.Sprintf(`APPEND "INBOX" {%d}`, len(text)))
		p.silent()
		p.say("+")
		p.octets(text[:1000])
		close(begun)
		p.say(`* LIST () "/" INBOX`, list+" OK")
		<-listed
		p.octets(text[1000:] + "\r\n")
		again := p.hear("NOOP")
		p.say(tag+" OK", again+" OK")
		p.drain()
	}))
	list := pending(func() error { _, err := c.List(t.Context(), "", "*"); return err })
	<-noop
	appended := pending(func() error { _, err := c.Append(t.Context(), "INBOX", message(text)); return err })
	<-begun
	second := pending(func() error { return c.Noop(t.Context()) })
	if err := list(); err != nil {
		t.Error(err)
	}
	close(listed)
	if err := errors.Join(appended(), second()); err != nil {
		t.Error(err)
	}
}

func TestAppendsShareAFlight(t *testing.T) {
	const n = 20
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 LITERAL+")
		tags := make([]string, n)
		for i := range tags {
			tags[i] = p.hear(`APPEND "INBOX" {2+}`)
			p.octets("hi\r\n")
		}
		for i := range tags {
			p.say(fmt.Sprintf("%s OK [APPENDUID 1 %s] done", tags[n-1-i], tags[n-1-i][1:]))
		}
		p.drain()
	}))
	seen := make(chan UID, n)
	for range n {
		go func() {
			got, err := c.Append(t.Context(), "INBOX", message("hi"))
			if err != nil {
				t.Error(err)
			}
			seen <- got.UID
		}()
	}
	var uids UIDSet
	for range n {
		uids.Add(<-seen)
	}
	if uids.Len() != n {
		t.Errorf("UIDs %s", uids)
	}
}

func TestAnAppendGivenUp(t *testing.T) {
	large := strings.Repeat("x", 8<<20)
	for name, test := range map[string]struct {
		caps, text string
		before     func(c *Client) error // given before it
		queued     int                   // that must wait to be sent then
		script     func(p *peer, leave func())
		state      AppendState
		alive      bool
	}{
		"before it is sent": {"IMAP4rev1 LITERAL+", "hi", func(c *Client) error { _, err := c.Examine(t.Context(), "INBOX", nil); return err }, 1, func(p *peer, leave func()) {
			tag := p.hear(`EXAMINE "INBOX"`)
			leave()
			p.say(tag + " OK")
			p.answer("NOOP")
		}, NotSent, true},
		"before the +": {"IMAP4rev1", "hi", nil, 0, func(p *peer, leave func()) {
			p.hear(`APPEND "INBOX" {2}`)
			leave()
		}, NotSent, false},
		"in mid-literal": {"IMAP4rev1", large, nil, 0, func(p *peer, leave func()) {
			p.line()
			p.say("+")
			p.octets(large[:1000])
			leave()
		}, NotSent, false},
		"before the answer": {"IMAP4rev1 LITERAL+", "hi", nil, 0, func(p *peer, leave func()) {
			tag := p.hear(`APPEND "INBOX" {2+}`)
			p.octets("hi\r\n")
			leave()
			p.say(tag + " OK [APPENDUID 1 2] done")
			p.answer("NOOP")
		}, Unknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			heard, left := make(chan struct{}), make(chan struct{})
			c := dial(t, play(t, func(p *peer) {
				p.login(test.caps)
				test.script(p, func() { close(heard); <-left })
				p.drain()
			}))
			before := func() error { return nil }
			if test.before != nil {
				before = pending(func() error { return test.before(c) })
				<-heard
			}
			appended := pending(func() error { _, err := c.Append(ctx, "INBOX", message(test.text)); return err })
			<-heard
			waitQueued(c, test.queued)
			cancel()
			err := appended()
			close(left)
			var ae *AppendError
			if !errors.As(err, &ae) || ae.State != test.state || !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want %v", err, test.state)
			}
			if err := before(); err != nil {
				t.Error(err)
			}
			if !test.alive {
				<-c.Done()
			} else if err := c.Noop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// waitQueued waits until n commands wait to be sent.
func waitQueued(c *Client, n int) {
	for {
		c.mu.Lock()
		queued := len(c.queue)
		c.mu.Unlock()
		if queued >= n || c.dead() {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// zeros is a text without end that takes no memory.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestALargeTextTakesNoMemory(t *testing.T) {
	const size = 20 << 20
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 LITERAL+")
		tag := p.hear(fmt.Sprintf(`APPEND "INBOX" {%d}`, size))
		p.say("+")
		if n, err := io.CopyN(io.Discard, p.r, size+2); err != nil {
			t.Error(n, err)
		}
		p.say(tag + " OK")
		p.drain()
	}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := c.Append(t.Context(), "INBOX", NewMessage{Text: zeros{}, Size: size}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d octets of memory for a text of %d", took, size)
	}
}
