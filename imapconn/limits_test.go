package imapconn

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

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
		"MaxLiteral/skipped": once("* X {4294967296}\r\n"),
		"MaxLiteral/item":    once("* 1 FETCH (UID 1 BODY[] {99999999999}\r\n"),
		"MaxString/name":     once("* LIST () \"/\" {70000}\r\n"),
		"MaxNamespaces/own":  repeat("* NAMESPACE (", `("" "/")`),
		"MaxMessages/exists": once("* 4294967295 EXISTS\r\n"),
		"MaxLine/parts":      repeat("* 1 FETCH (BODY[] \"x\"", " BODY[] \"x\""),
	} {
		t.Run(limit, func(t *testing.T) {
			c := examined(t, "1", nil, func(p *peer) {
				p.hear("NOOP")
				script(p)
			})
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
		})
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
