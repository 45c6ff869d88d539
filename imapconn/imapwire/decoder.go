package imapwire

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
)

// bufferOctets is the size of a Decoder's buffer: a read of the socket brings
// some hundred metadata answers at most.
const bufferOctets = 64 << 10

// Decoder reads responses (RFC 3501 §7, §9) straight through. Its error is
// sticky: after the first one every method returns a zero value, so that a
// caller checks Err once at the end of a response. Slices that its methods
// return hold until the next call.
//
// It is lenient where real servers are loose (several spaces, LF alone, items in
// any case) and strict where being loose would lose step with the server.
type Decoder struct {
	br   *bufio.Reader
	win  []byte // what br has buffered; d.win[:d.pos] is read but not discarded
	pos  int
	line int64  // octets of this response outside literals, less pos
	held []byte // a token that crosses the window
	err  error
}

// NewDecoder reads from r.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{br: bufio.NewReaderSize(r, bufferOctets)}
}

// Reset forgets everything buffered, and the error, and goes on with r. After
// STARTTLS this is what keeps words said in the clear out of the session.
func (d *Decoder) Reset(r io.Reader) {
	d.br.Reset(r)
	d.win, d.pos, d.line, d.err = nil, 0, 0, nil
}

// Buffered is what has come behind what was read. It holds until the next call.
func (d *Decoder) Buffered() []byte {
	d.sync()
	all, _ := d.br.Peek(d.br.Buffered())
	return all
}

// Err returns the first error: io.EOF or the connection's own, a SyntaxError
// or a LimitError.
func (d *Decoder) Err() error { return d.err }

// Fail makes err the Decoder's error if it has none yet.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Begin starts counting the octets of a response.
func (d *Decoder) Begin() { d.line = -int64(d.pos) }

// fill brings the next octets. It is called when the window is read to its end.
func (d *Decoder) fill() bool {
	if d.err != nil {
		return false
	}
	d.sync()
	if d.line > MaxLine {
		d.err = &LimitError{"MaxLine", MaxLine}
		return false
	}
	if _, err := d.br.Peek(1); err != nil {
		d.err = err
		return false
	}
	d.win, _ = d.br.Peek(d.br.Buffered())
	return true
}

// sync tells br what was read of the window and gives the window up.
func (d *Decoder) sync() {
	d.br.Discard(d.pos)
	d.line += int64(d.pos)
	d.win, d.pos = nil, 0
}

// Peek returns the next octet without reading it, 0 if there is none.
func (d *Decoder) Peek() byte {
	if d.err != nil || d.pos == len(d.win) && !d.fill() {
		return 0
	}
	return d.win[d.pos]
}

// Accept reads b if it is next.
func (d *Decoder) Accept(b byte) bool {
	if d.err != nil || d.pos == len(d.win) && !d.fill() || d.win[d.pos] != b {
		return false
	}
	d.pos++
	return true
}

// Expect reads b.
func (d *Decoder) Expect(b byte) bool {
	return d.Accept(b) || d.unexpected(strconv.QuoteRune(rune(b)))
}

// Space reads one space or more.
func (d *Decoder) Space() bool {
	if !d.Expect(' ') {
		return false
	}
	d.Spaces()
	return true
}

// Spaces reads spaces, if there are any.
func (d *Decoder) Spaces() {
	for d.Accept(' ') {
	}
}

// AtEOL reports whether the response ends here.
func (d *Decoder) AtEOL() bool {
	b := d.Peek()
	return b == '\r' || b == '\n' || d.err != nil
}

// EOL reads the end of the line.
func (d *Decoder) EOL() bool {
	d.Spaces()
	d.Accept('\r')
	return d.Accept('\n') || d.unexpected("the end of the line")
}

// unexpected fails with what is wanted and what stands here.
func (d *Decoder) unexpected(want string) bool {
	if d.err == nil {
		rest := d.win[d.pos:]
		if len(rest) > 16 {
			rest = rest[:16]
		}
		d.err = &SyntaxError{Want: want, Got: strconv.QuoteToASCII(string(rest))}
	}
	return false
}

// Number reads a number of up to 63 bits.
func (d *Decoder) Number() int64 {
	var n int64
	digits := 0
	for {
		b := d.Peek()
		if b < '0' || b > '9' {
			break
		}
		if n > (1<<63-1-9)/10 {
			d.Fail(&SyntaxError{Want: "a number of 63 bits", Got: "a larger one"})
			return 0
		}
		n = n*10 + int64(b-'0')
		digits++
		d.pos++
	}
	if digits == 0 {
		d.unexpected("a number")
		return 0
	}
	return n
}

// Number32 reads a number of 32 bits.
func (d *Decoder) Number32() uint32 {
	n := d.Number()
	if n > 1<<32-1 {
		d.Fail(&SyntaxError{Want: "a number of 32 bits", Got: strconv.FormatInt(n, 10)})
		return 0
	}
	return uint32(n)
}

// stops are sets of octets that end a token.
type stops [256]bool

func stopAt(s string) *stops {
	var t stops
	for i := range 0x20 {
		t[i] = true
	}
	t[0x7f] = true
	for _, b := range []byte(s) {
		t[b] = true
	}
	return &t
}

var (
	atomStops = stopAt(" (){\"")
	nameStops = stopAt(" (){\"[]<>")
)

// Atom reads an atom: a tag, a flag, a capability, a number kept as text.
func (d *Decoder) Atom() []byte { return d.token(atomStops, "an atom") }

// Name reads an atom that a bracket may follow: BODY in BODY[].
func (d *Decoder) Name() []byte { return d.token(nameStops, "a name") }

// token reads up to the first octet in stop.
func (d *Decoder) token(stop *stops, want string) []byte {
	d.held = d.held[:0]
	for {
		if d.err != nil || d.pos == len(d.win) && !d.fill() {
			return nil
		}
		rest := d.win[d.pos:]
		i := 0
		for i < len(rest) && !stop[rest[i]] {
			i++
		}
		d.pos += i
		if i < len(rest) {
			if len(d.held) > 0 {
				d.held = append(d.held, rest[:i]...)
				return d.held
			}
			if i == 0 {
				d.unexpected(want)
			}
			return rest[:i]
		}
		if !d.hold(rest) {
			return nil
		}
	}
}

// hold keeps a piece of a token whose rest is not here yet.
func (d *Decoder) hold(piece []byte) bool {
	if len(d.held)+len(piece) > MaxToken {
		d.Fail(&LimitError{"MaxToken", MaxToken})
		return false
	}
	d.held = append(d.held, piece...)
	return true
}

// SkipText reads the rest of the line, literal or not, and drops it.
func (d *Decoder) SkipText() { d.Text(0) }

// Text reads the rest of the line as words for people and returns up to max
// octets of it.
func (d *Decoder) Text(max int) []byte {
	d.held = d.held[:0]
	for {
		if d.err != nil || d.pos == len(d.win) && !d.fill() {
			return nil
		}
		rest := d.win[d.pos:]
		i := bytes.IndexByte(rest, '\n')
		piece := rest
		if i >= 0 {
			piece = rest[:i]
		}
		if room := max - len(d.held); len(piece) > room {
			piece = piece[:room]
		}
		d.held = append(d.held, piece...)
		if i >= 0 {
			d.pos += i + 1
			return bytes.TrimRight(d.held, "\r ")
		}
		d.pos = len(d.win)
	}
}
