package imapconn

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// blank stands for a credential in a trace.
const blank = "<secret>"

// maxTraceLine bounds what a trace holds of a line before it writes it, in
// octets.
const maxTraceLine = 64 << 10

// tracer writes what one connection says and hears, line by line, each line in
// one Write, as `7 > a1 NOOP` and `7 < a1 OK`. What cannot be printed is escaped.
type tracer struct {
	w      io.Writer
	shared *sync.Mutex // Dialer.mu: one line at a time, whatever the connection
	conn   int

	mu         sync.Mutex // guards the rest; before shared
	in, out    []byte     // lines not ended yet
	secrets    [][]byte   // blanked in what the server says: some repeat a command they refuse
	challenges bool       // what follows a + is blanked, too
	last       string     // how the last line begins that is to be understood, in capitals; empty: none
	muted      bool       // that line has come
}

// hide keeps secrets out of what the server says from now on, and with challenges
// all that follows a +; none shows all again.
func (t *tracer) hide(challenges bool, secrets ...string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets, t.challenges = nil, challenges
	for _, s := range secrets {
		if s != "" {
			t.secrets = append(t.secrets, []byte(s))
		}
	}
}

// also hides one secret more.
func (t *tracer) also(secret string) {
	if t == nil || secret == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets = append(t.secrets, []byte(secret))
}

// upTo has nothing shown of what comes behind the line that begins with these words,
// in capitals: it is compressed. What resume sees is plain again.
func (t *tracer) upTo(words string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = strings.ToUpper(words)
}

// resume shows all again. The reader calls it, before it reads on.
func (t *tracer) resume() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.muted = "", false
}

// sent records octets for the server; secrets are blanked by who calls.
func (t *tracer) sent(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = t.lines('>', append(t.out, p...), nil)
}

// received records octets of the server.
func (t *tracer) received(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.muted {
		return
	}
	t.in = t.lines('<', append(t.in, p...), t.secrets)
}

// lines writes the whole lines in p and returns the rest.
func (t *tracer) lines(way byte, p []byte, secrets [][]byte) []byte {
	rest := p
	for {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 && len(rest) < maxTraceLine {
			return append(p[:0], rest...)
		}
		if n == 0 {
			n = len(rest)
		}
		line := bytes.TrimRight(rest[:n], "\r\n")
		for _, s := range secrets {
			line = bytes.ReplaceAll(line, s, []byte(blank))
		}
		if t.challenges && way == '<' && len(line) > 0 && line[0] == '+' {
			line = []byte("+ " + blank)
		}
		t.shared.Lock()
		fmt.Fprintf(t.w, "%d %c %s\n", t.conn, way, printable(line))
		t.shared.Unlock()
		if t.last != "" && way == '<' && strings.HasPrefix(strings.ToUpper(string(line[:min(len(line), len(t.last))])), t.last) {
			t.muted = true
			return p[:0]
		}
		rest = rest[n:]
	}
}

// printable escapes what a terminal might obey, as Go does in a string. Texts in
// other characters than ASCII stay legible.
func printable(line []byte) []byte {
	out := line[:0:0]
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		switch {
		case r == '\t', unicode.IsPrint(r) && (r != utf8.RuneError || n > 1):
			out = append(out, line[:n]...)
		case n == 1:
			out = fmt.Appendf(out, `\x%02x`, line[0])
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		line = line[n:]
	}
	return out
}

// traced is a reader whose octets a tracer sees.
type traced struct {
	io.Reader
	t *tracer
}

// Read reads and records.
func (r traced) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.t.received(p[:n])
	return n, err
}

// traced puts a trace on what is read of conn.
func (c *Client) traced(conn io.Reader) io.Reader {
	if c.trace == nil {
		return conn
	}
	return traced{conn, c.trace}
}
