package imapconn

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Each is a server's way of beginning after which the client must be usable.
func TestEveryGreetingLeadsToASession(t *testing.T) {
	logIn := func(p *peer) {
		tag := p.hear(`LOGIN "alice" "secret"`)
		p.say(tag + " OK [CAPABILITY IMAP4rev1] in")
	}
	for name, script := range map[string]func(*peer){
		"capabilities inside": func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] hi")
			logIn(p)
		},
		"no capabilities": func(p *peer) {
			p.say("* OK IMAP4rev1")
			p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1")
			logIn(p)
		},
		"nothing but OK": func(p *peer) {
			p.say("* OK")
			p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1")
			logIn(p)
		},
		"a word before the greeting": func(p *peer) {
			p.say("* OK Waiting for authentication process to respond..", "* OK [CAPABILITY IMAP4rev1] ready")
			if tag, rest, _ := strings.Cut(p.line(), " "); rest == "CAPABILITY" {
				p.say("* CAPABILITY IMAP4rev1", tag+" OK")
				logIn(p)
			} else {
				p.say(tag + " OK [CAPABILITY IMAP4rev1] in")
			}
		},
		"two spaces, small letters, LF alone": func(p *peer) {
			p.raw("* ok  [capability imap4rev1]  gluon\n")
			logIn(p)
		},
		"PREAUTH": func(p *peer) {
			p.say("* PREAUTH [CAPABILITY IMAP4rev1] welcome back")
		},
		"PREAUTH without capabilities": func(p *peer) {
			p.say("* PREAUTH in")
			p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1")
		},
		"capabilities untagged after login": func(p *peer) {
			p.say("* OK [CAPABILITY OLD] hi")
			tag := p.hear(`LOGIN "alice" "secret"`)
			p.say("* CAPABILITY IMAP4rev1", tag+" OK")
		},
		"none after login": func(p *peer) {
			p.say("* OK [CAPABILITY OLD] hi")
			tag := p.hear(`LOGIN "alice" "secret"`)
			p.say(tag + " OK")
			p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1")
		},
		"LOGINDISABLED after login": func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] hi")
			tag := p.hear(`LOGIN "alice" "secret"`)
			p.say(tag + " OK [CAPABILITY IMAP4rev1 LOGINDISABLED] in")
		},
		"ID offered": func(p *peer) {
			p.login("IMAP4rev1 ID")
			p.answer(`ID ("name" "imapfs")`, `* ID ("name" "Other" "support-url" NIL)`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				script(p)
				p.answer("NOOP")
			}))
			if !c.Caps().Has("imap4REV1") || c.Caps().Has("OLD") {
				t.Errorf("capabilities %v", c.Caps().Names())
			}
			if err := c.Noop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAServerThatDoesNotGreetIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		script func(*peer)
		want   string
	}{
		"BYE":        {func(p *peer) { p.say("* BYE too many connections") }, "greeting: server says BYE too many connections"},
		"gone":       {func(p *peer) {}, "server closed the connection"},
		"TLS":        {func(p *peer) { p.raw("\x15\x03\x01\x00\x02\x02\x46") }, "server speaks TLS from the start (use imaps://)"},
		"not IMAP":   {func(p *peer) { p.say("220 mail ESMTP"); p.drain() }, "unreadable answer"},
		"web server": {func(p *peer) { p.say("HTTP/1.1 400 Bad Request", ""); p.drain() }, "unreadable answer"},
		"silence":    {func(p *peer) { p.drain() }, "no answer for 200ms (is the network up?) (if the port expects TLS use imaps://)"},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, test.script)
			if name == "silence" {
				d.Timeout = 200 * time.Millisecond
			}
			_, err := d.Dial(t.Context())
			oneLine(t, err, test.want)
			var ce *ConnError
			if !errors.As(err, &ce) || ce.Timeout() != (name == "silence") {
				t.Errorf("%#v", err)
			}
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := play(t, func(p *peer) { p.drain() }).Dial(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// oneLine checks an error's text: what it says, one line, lower case, no full
// stop.
func oneLine(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	s := err.Error()
	if !strings.Contains(s, want) || strings.ContainsAny(s, "\r\n") || strings.HasSuffix(s, ".") {
		t.Errorf("error %q, want one line with %q", s, want)
	}
}
