package imapconn

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// deflated is the server's end of a compressed connection.
type deflated struct {
	net.Conn
	in io.Reader
	z  *flate.Writer
}

func (d *deflated) Read(p []byte) (int, error) { return d.in.Read(p) }

// Write sends p so that it can be read to its end.
func (d *deflated) Write(p []byte) (int, error) {
	n, err := d.z.Write(p)
	if err == nil {
		err = d.z.Flush()
	}
	return n, err
}

// compressed is what a server sends that compresses these words so many times.
func compressed(words string, times int) []byte {
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, flate.DefaultCompression)
	for range times {
		io.WriteString(z, words)
	}
	z.Flush()
	return b.Bytes()
}

// deflate has the peer go on in compressed octets.
func (p *peer) deflate() {
	z, _ := flate.NewWriter(p.conn, flate.DefaultCompression)
	p.conn = &deflated{p.conn, flate.NewReader(p.r), z}
	p.r = bufio.NewReader(p.conn)
}

// compresses plays a login, and the beginning of compression.
func (p *peer) compresses(caps string) {
	p.login(caps + " COMPRESS=DEFLATE")
	p.answer("COMPRESS DEFLATE")
	p.deflate()
}

// examinedDeflated is examined over a connection that is compressed.
func examinedDeflated(t testing.TB, exists string, script func(*peer)) *Client {
	t.Helper()
	d := play(t, func(p *peer) {
		p.compresses("IMAP4rev1")
		p.examine(exists)
		script(p)
		p.drain()
	})
	d.Compression = CompressAlways()
	c := dial(t, d)
	if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// Nothing is sent behind COMPRESS before its answer, and what the server sends behind
// its OK is compressed, in whatever pieces it comes. A trace shows it all in plain.
func TestCompressionBeginsBehindTheOK(t *testing.T) {
	for _, piece := range []int{1, 7, 1 << 20} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			var trace bytes.Buffer
			d := play(t, func(p *peer) {
				p.login("IMAP4rev1 ENABLE CONDSTORE COMPRESS=DEFLATE")
				tag := p.hear("COMPRESS DEFLATE")
				p.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if early, err := p.r.ReadByte(); err == nil {
					t.Errorf("%q came behind COMPRESS", early)
				}
				p.conn.SetReadDeadline(time.Now().Add(peerPatience))
				plain := p.conn
				p.deflate()
				// One writer has to compress it all: what it makes of the first words comes with the OK.
				var first bytes.Buffer
				z := p.conn.(*deflated).z
				z.Reset(&first)
				io.WriteString(z, "* CAPABILITY IMAP4rev1 ENABLE CONDSTORE FIRST\r\n* OK "+strings.Repeat("said behind it ", 9)+"\r\n")
				z.Flush()
				all := append([]byte("* OK still plain\r\n"+tag+" ok [x] a5 OK\r\n"), first.Bytes()...)
				for part := range slices.Chunk(all, piece) {
					plain.Write(part)
				}
				z.Reset(plain)
				p.answer("ENABLE CONDSTORE", "* ENABLED CONDSTORE")
				p.answer("NOOP", "* CAPABILITY IMAP4rev1 SECOND")
				p.drain()
			})
			d.Compression, d.Trace = CompressAlways(), &trace
			c := dial(t, d)
			if !c.Caps().Has("FIRST") || !c.Stats().Compressed {
				t.Errorf("%v, %+v", c.Caps().Names(), c.Stats())
			}
			if err := c.Noop(t.Context()); err != nil || !c.Caps().Has("SECOND") {
				t.Errorf("%v, %v", err, c.Caps().Names())
			}
			c.Close()
			for _, way := range [][]string{
				{"> a2 COMPRESS DEFLATE", "> a3 ENABLE CONDSTORE", "> a4 NOOP"},
				{"< * OK still plain", "< a2 ok [x] a5 OK", "< * CAPABILITY IMAP4rev1 ENABLE CONDSTORE FIRST", "said behind it",
					"< * ENABLED CONDSTORE", "< a3 OK done", "< * CAPABILITY IMAP4rev1 SECOND", "< a4 OK done"},
			} {
				rest := trace.String()
				for _, want := range way {
					_, after, ok := strings.Cut(rest, want)
					if !ok {
						t.Fatalf("the trace lacks %q, in this order:\n%s", want, trace.String())
					}
					rest = after
				}
			}
			if lines := strings.Count(trace.String(), "\n"); strings.Contains(trace.String(), `\u`) || lines > 20 {
				t.Errorf("the trace shows compressed octets:\n%s", trace.String())
			}
		})
	}
}

// counted is a log that says how often something was warned of.
type counted struct{ bytes.Buffer }

func (c *counted) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// Where a server does not compress, the connection is used as it is, and who wanted
// it compressed is told so once.
func TestAServerThatDoesNotCompressIsUsedInPlain(t *testing.T) {
	for name, test := range map[string]struct {
		answer   string // empty: it is not asked
		warnings int
	}{
		"not offered":    {"", 1},
		"BAD":            {"BAD what", 1},
		"NO":             {"NO not now", 1},
		"active already": {"NO [COMPRESSIONACTIVE] DEFLATE active via TLS", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) {
				if test.answer == "" {
					p.login("IMAP4rev1")
				} else {
					p.login("IMAP4rev1 COMPRESS=DEFLATE")
					p.say(p.hear("COMPRESS DEFLATE") + " " + test.answer)
				}
				p.answer("NOOP", "* CAPABILITY IMAP4rev1 PLAIN")
				p.drain()
			})
			var log counted
			d.Compression, d.Logger = CompressAlways(), log.logger()
			for range 2 {
				c := dial(t, d)
				if err := c.Noop(t.Context()); err != nil || !c.Caps().Has("PLAIN") || c.Stats().Compressed {
					t.Errorf("%v, %v, %+v", err, c.Caps().Names(), c.Stats())
				}
			}
			if n := strings.Count(log.String(), "not compressed"); n != test.warnings {
				t.Errorf("%d warnings, want %d:\n%s", n, test.warnings, log.String())
			}
		})
	}
}

// A server may compress and keep what it has made. Where compression was only tried, the
// next connection does without.
func TestAServerThatDoesNotFlushIsSilent(t *testing.T) {
	d := play(t, func(p *peer) {
		p.login("IMAP4rev1 ENABLE CONDSTORE COMPRESS=DEFLATE")
		tag, said, _ := strings.Cut(p.line(), " ")
		if said != "COMPRESS DEFLATE" {
			p.say("* ENABLED CONDSTORE", tag+" OK done")
			p.drain()
			return
		}
		p.say(tag + " OK done")
		p.deflate()
		tag = p.hear("ENABLE CONDSTORE")
		io.WriteString(p.conn.(*deflated).z, "* ENABLED CONDSTORE\r\n"+tag+" OK done\r\n")
		p.drain()
	})
	d.Compression, d.Timeout = CompressWhereItPays(), 200*time.Millisecond
	d.Compression.gain.slow = true
	_, err := d.Dial(t.Context())
	oneLine(t, err, "(since it compresses: try --compress off)")
	d.Timeout = 10 * time.Second
	if c := dial(t, d); c.Stats().Compressed {
		t.Error("it is asked once more")
	}
}

// What cannot be inflated, or ends, breaks the connection: no text is delivered that is
// not whole.
func TestABrokenCompressedStreamIsAnError(t *testing.T) {
	half := "* 1 FETCH (UID 1 BODY[] {100000}\r\n" + strings.Repeat("half of it\r\n", 5000)
	for name, test := range map[string]struct {
		script func(p *peer, z *deflated)
		want   string
	}{
		"cut at a flush":     {func(p *peer, z *deflated) { p.raw(half) }, "server closed the connection"},
		"cut within a block": {func(p *peer, z *deflated) { all := compressed(half, 1); z.Conn.Write(all[:len(all)-20]) }, "server closed the connection"},
		"no DEFLATE":         {func(p *peer, z *deflated) { p.raw(half); z.Conn.Write([]byte{0xff, 0xff, 0xff}) }, "no DEFLATE at compressed octet"},
		"plain again": {func(p *peer, z *deflated) {
			p.raw(half)
			io.WriteString(z.Conn, "* BYE "+strings.Repeat("go away ", 9)+"\r\n")
		}, "no DEFLATE at compressed octet"},
		"a last block": {func(p *peer, z *deflated) { p.raw(half); z.z.Close(); p.drain() }, "server ended its compressed octets"},
	} {
		t.Run(name, func(t *testing.T) {
			c := examinedDeflated(t, "1", func(p *peer) {
				p.hear("UID FETCH 1 (UID BODY.PEEK[])")
				z := p.conn.(*deflated)
				test.script(p, z)
				z.Conn.Close()
			})
			got, err := texts(t.Context(), c, UIDSet{{First: 1, Last: 1}}, Part{})
			oneLine(t, err, test.want)
			var broken *ConnError
			if !errors.As(err, &broken) || len(got) != 0 {
				t.Errorf("%#v, %d texts", err, len(got))
			}
		})
	}
}

// A thousand octets come of one on the wire. What they make counts as if it had come
// plain.
func TestADeflateBombIsHeldToTheLimits(t *testing.T) {
	bomb := compressed(strings.Repeat("x", 64<<10), 640) // 40 MiB, over MaxLine
	for limit, first := range map[string]string{
		"MaxLine/text":   "* OK ",
		"MaxToken/atom":  "* LIST (",
		"MaxToken/quote": "* LIST () \"/\" \"",
	} {
		t.Run(limit, func(t *testing.T) {
			checkLimit(t, limit, examinedDeflated(t, "1", func(p *peer) {
				p.hear("NOOP")
				p.raw(first)
				p.conn.(*deflated).Conn.Write(bomb)
			}))
		})
	}
	t.Run("text", func(t *testing.T) {
		c := examinedDeflated(t, "1", func(p *peer) {
			tag := p.hear("UID FETCH 1 (UID BODY.PEEK[])")
			p.raw(fmt.Sprintf("* 1 FETCH (UID 1 BODY[] {%d}\r\n", 40<<20))
			z := p.conn.(*deflated)
			z.Conn.Write(bomb)
			z.z.Reset(z.Conn) // which knows nothing of the bomb
			p.say(")", tag+" OK done")
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := texts(t.Context(), c, UIDSet{{First: 1, Last: 1}}, Part{Limit: 1 << 20})
		runtime.ReadMemStats(&after)
		if err != nil || len(got) != 1 || !errors.Is(got[0].Err, ErrTooLarge) {
			t.Errorf("%+v, %v", got, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
			t.Errorf("it took %d octets", grown)
		}
	})
}

func TestDovecotTakesAMessageInCompressedOctets(t *testing.T) {
	if testing.Short() {
		return
	}
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	proxy := imaptest.NewProxy(t, s.Addr)
	d := toDovecot(t, s, proxy.Addr, TLSNone)
	d.Compression = CompressAlways()
	c := dial(t, d)
	text := "Subject: long\r\n\r\n" + strings.Repeat("the same line again\r\n", 100_000)
	for _, m := range []NewMessage{message(text), message("Subject: short\r\n\r\nx\r\n")} {
		if _, err := c.Append(t.Context(), "INBOX", m); err != nil {
			t.Fatal(err)
		}
	}
	if up := proxy.Counters().Up; up > 100_000 {
		t.Errorf("%d octets went for %d", up, len(text))
	}
	if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
		t.Fatal(err)
	}
	got, err := texts(t.Context(), c, UIDSet{{First: 1, Last: 1}}, Part{})
	if err != nil || len(got) != 1 || string(bytes.Join(got[0].Chunks, nil)) != text {
		t.Errorf("%d texts, %v", len(got), err)
	}
	if down := proxy.Counters().Down; down > 100_000 {
		t.Errorf("%d octets came for %d", down, len(text))
	}
}

// A connection is compressed that is made after texts came slowly.
func TestCompressionIsTriedOnASlowLine(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 2*believed/16)
	d := play(t, func(p *peer) {
		p.login("IMAP4rev1 COMPRESS=DEFLATE")
		tag, said, _ := strings.Cut(p.line(), " ")
		if said == "COMPRESS DEFLATE" {
			p.say(tag + " OK done")
			p.deflate()
			p.drain()
			return
		}
		p.say("* 1 EXISTS", "* OK [UIDVALIDITY 7] v", "* OK [UIDNEXT 100] n", tag+" OK done")
		tag = p.hear("UID FETCH 1 (UID BODY.PEEK[])")
		p.raw(fmt.Sprintf("* 1 FETCH (UID 1 BODY[] {%d}\r\n%s)\r\n%s OK done\r\n", len(text), text, tag))
		p.drain()
	})
	d.Compression, d.Bandwidth = CompressWhereItPays(), NewBandwidth(2<<20)
	c := dial(t, d)
	if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := texts(t.Context(), c, UIDSet{{First: 1, Last: 1}}, Part{}); err != nil || len(got) != 1 {
		t.Fatalf("%d texts, %v", len(got), err)
	}
	if c.Stats().Compressed {
		t.Error("compressed before anything was measured")
	}
	if c := dial(t, d); !c.Stats().Compressed {
		t.Errorf("not compressed though texts came at %.0f octets a second", d.Compression.gain.plain.perSecond())
	}
}
