package imapconn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imapwire"
)

// Each is what a hostile server sends at a NOOP, without end where it can be.
// The connection ends with the limit's name, and memory stays.
func TestAServerOverALimitIsCutOffByItsName(t *testing.T) {
	repeat := func(first, again string) func(*peer) {
		again = strings.Repeat(again, 1+(64<<10)/len(again))
		return func(p *peer) {
			p.raw(first)
			for {
				if _, err := p.conn.Write([]byte(again)); err != nil {
					return
				}
			}
		}
	}
	numbered := func(first, again string, per int) func(*peer) {
		return func(p *peer) {
			for n := 0; ; {
				line := first
				for range per {
					n++
					line += fmt.Sprintf(again, n)
				}
				if _, err := p.conn.Write([]byte(line + "\r\n")); err != nil {
					return
				}
			}
		}
	}
	once := func(s string) func(*peer) { return func(p *peer) { p.raw(s); p.drain() } }
	for limit, script := range map[string]func(*peer){
		"MaxToken/atom":      repeat("* LIST (", "x"),
		"MaxToken/quoted":    repeat("* LIST () \"/\" \"", "x"),
		"MaxToken/escapes":   repeat("* LIST () \"/\" \"", `\\`),
		"MaxToken/flags":     repeat("* 1 FETCH (FLAGS (", strings.Repeat("x", 1000)+" "),
		"MaxToken/tag":       repeat("a", "1"),
		"MaxLine/text":       repeat("* OK ", "x"),
		"MaxLine/unknown":    repeat("* X ", "x"),
		"MaxLine/search":     repeat("* SEARCH ", "1 "),
		"MaxNesting/list":    repeat("* 1 FETCH (BODY ", "("),
		"MaxFlags/flags":     repeat("* FLAGS (", "x "),
		"MaxCaps/caps":       repeat("* CAPABILITY", " x"),
		"MaxCaps/enabled":    numbered("* ENABLED", " X%d", 500),
		"MaxToken/caps":      repeat("* CAPABILITY", " "+strings.Repeat("x", 1000)),
		"MaxPrefix/own":      once("* NAMESPACE ((\"" + strings.Repeat("x", 5000) + "\" \"/\")) NIL NIL\r\n"),
		"MaxLiteral/skipped": once("* X {4294967296}\r\n"),
		"MaxLiteral/item":    once("* 1 FETCH (UID 1 BODY[] {99999999999}\r\n"),
		"MaxString/name":     once("* LIST () \"/\" {70000}\r\n"),
		"MaxNamespaces/own":  repeat("* NAMESPACE (", `("" "/")`),
		"MaxMessages/exists": once("* 4294967295 EXISTS\r\n"),
		"MaxLine/parts":      repeat("* 1 FETCH (BODY[] \"x\"", " BODY[] \"x\""),
	} {
		t.Run(limit, func(t *testing.T) {
			checkLimit(t, limit, examined(t, "1", nil, func(p *peer) {
				p.hear("NOOP")
				script(p)
			}))
		})
	}
}

// checkLimit says NOOP and sees to it that the answer, which goes over a limit, ends the
// connection.
func checkLimit(t *testing.T, limit string, c *Client) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := c.Noop(t.Context())
	runtime.ReadMemStats(&after)
	var le *imapwire.LimitError
	name, _, _ := strings.Cut(limit, "/")
	if !errors.As(err, &le) || le.What != name {
		t.Fatalf("%v", err)
	}
	oneLine(t, err, "server went over the limit "+name)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("memory grew by %d octets", grown)
	}
}

func TestAServerThatNamesMuchAndSendsLittleTakesLittle(t *testing.T) {
	c := examined(t, "1", nil, func(p *peer) {
		p.hear("UID FETCH 1 (UID BODY.PEEK[])")
		p.raw(fmt.Sprintf("* 1 FETCH (UID 1 BODY[] {%d}\r\nabc", DefaultTextLimit))
		p.conn.Close()
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := texts(t.Context(), c, UIDSet{{First: 1, Last: 1}}, Part{})
	runtime.ReadMemStats(&after)
	oneLine(t, err, "server closed the connection")
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
		t.Errorf("it took %d octets", grown)
	}
}

// Each makes the connection useless: it must end, with words.
func TestAnUnreadableAnswerEndsTheConnection(t *testing.T) {
	for _, sent := range []string{
		"a99 OK done", "a0 OK", "b2 OK", "a1 OK twice", "OK", "* 1", "*", "* 1 FETCH (UID x)", "* 1 FETCH (UID 1", "* 1 FETCH (UID 4294967296)",
		"* 1 FETCH (BODY[] abc)", "* 1 FETCH (BODY[", "* 1 FETCH (BODY[] {x}", "* 1 FETCH (FLAGS (\\Seen)", "* 99999999999 EXISTS", "* LIST",
		"* LIST () {3}\r\nabc x", "* STATUS INBOX (MESSAGES)", "* 1 FETCH (UID 1)) x", "a3 MAYBE", "* 1 FETCH (INTERNALDATE \"a\r\nb\")",
		"* 1 FETCH (ENVELOPE )", "\x00", "* QUOTA x (STORAGE -1 5)",
	} {
		t.Run(sent, func(t *testing.T) {
			c := examined(t, "1", nil, func(p *peer) {
				p.hear("NOOP")
				p.say(sent)
				p.drain()
			})
			oneLine(t, c.Noop(t.Context()), "unreadable answer: ")
		})
	}
}

func TestAListOverALimitIsCutOffByItsName(t *testing.T) {
	for limit, line := range map[string]string{
		"MaxMailboxes/names":   "* LIST () NIL %d",
		"MaxListOctets/names":  "* LIST () NIL " + strings.Repeat("n", 30_000) + "%d",
		"MaxListOctets/attrs":  "* LIST (" + strings.Repeat("a", 30_000) + "%d) NIL x",
		"MaxListOctets/shared": "* LIST (" + strings.Repeat("a", 30_000) + ") NIL %d",
	} {
		t.Run(limit, func(t *testing.T) {
			c := examined(t, "1", nil, func(p *peer) {
				p.hear(`LIST "" "*"`)
				var lines strings.Builder
				for n := 0; ; n++ {
					fmt.Fprintf(&lines, line+"\r\n", n)
					if lines.Len() < 64<<10 {
						continue
					}
					if _, err := p.conn.Write([]byte(lines.String())); err != nil {
						return
					}
					lines.Reset()
				}
			})
			_, err := c.List(t.Context(), "", "*")
			name, _, _ := strings.Cut(limit, "/")
			oneLine(t, err, "server went over the limit "+name)
		})
	}
}

// The counts are set to where a server would have sent gigabytes.
func TestAnswersAreCounted(t *testing.T) {
	c := &Client{flight: []*command{{answer: &metaAnswer{set: AllUIDs(), given: MaxAnswers, f: func(Meta) {}}}}}
	c.dec = imapwire.NewDecoder(strings.NewReader(""))
	c.deliverMeta(Meta{UID: 1, HasSize: true}, true)
	oneLine(t, c.dec.Err(), "server went over the limit MaxAnswers")

	c.dec = imapwire.NewDecoder(strings.NewReader(""))
	a := &searchAnswer{found: make([]UIDRange, MaxMessages), sorted: true}
	a.add(c.dec, 5, 5)
	oneLine(t, c.dec.Err(), "server went over the limit MaxMessages")
}

func TestTheTextsOfOneAnswerAreBoundedTogether(t *testing.T) {
	big := strings.Repeat("x", 600)
	c := examined(t, "1", nil, func(p *peer) {
		tag := p.hear("UID FETCH 1 (UID BODY.PEEK[])")
		literal := fmt.Sprintf(" BODY[] {%d}\r\n%s", len(big), big)
		p.say("* 1 FETCH (FLAGS ()"+literal+literal+literal+" UID 1)", tag+" OK done")
	})
	kept := 0
	err := c.FetchText(t.Context(), UIDSet{{First: 1, Last: 1}}, Part{Limit: 1000}, func(x Text) {
		if x.Err != nil {
			t.Error(x.Err)
		}
		for _, chunk := range x.Chunks {
			kept += len(chunk)
		}
	})
	if err != nil || kept != len(big) {
		t.Errorf("%d octets, %v", kept, err)
	}
	box := &fetchAnswer{texts: []answeredText{{Text: Text{Octets: 600}}, {Text: Text{Octets: 700, Err: ErrTooLarge}}}}
	if n := box.kept(); n != 600 {
		t.Errorf("%d octets count", n)
	}
}

// A server that sends something now and then is not silent, and yet does not greet.
func TestAGreetingIsWaitedForOnlySoLong(t *testing.T) {
	for step, script := range map[string]func(*peer){
		"greeting": func(*peer) {},
		"login":    func(p *peer) { p.say("* OK [CAPABILITY IMAP4rev1] hello"); p.line() },
		"capability": func(p *peer) {
			p.say("* OK hello")
			p.line()
		},
	} {
		t.Run(step, func(t *testing.T) {
			d := play(t, func(p *peer) {
				script(p)
				for {
					if _, err := p.conn.Write([]byte("\r\n")); err != nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
			d.Timeout = 200 * time.Millisecond
			begun := time.Now()
			_, err := d.Dial(t.Context())
			var ce *ConnError
			if !errors.As(err, &ce) || !ce.Timeout() {
				t.Errorf("%v", err)
			}
			oneLine(t, err, "no answer for 200ms")
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("after %v", took)
			}
		})
	}
}

func TestATraceCanBeShownOnATerminal(t *testing.T) {
	got := string(printable([]byte("\x1b]0;x\a\tä\xff\u009b31m\u202e\u200b\x7f")))
	if want := `\x1b]0;x\x07` + "\tä" + `\xff\u009b31m\u202e\u200b\x7f`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	cert := &x509.Certificate{DNSNames: []string{"a.example", "\x1b[2Jb"}}
	if got := certificateNames(cert); got != `a.example, \x1b[2Jb` {
		t.Errorf("%q", got)
	}
}
