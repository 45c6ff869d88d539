package imapwire

import (
	"bytes"
	"io"
	"strconv"
)

// StringKind says how a string stands on the wire.
type StringKind uint8

// The kinds. NoString is what there is after an error.
const (
	NoString StringKind = iota
	Nil
	Quoted
	Literal
)

// String reads an nstring (RFC 3501 §9), literal8 (RFC 3516 §4.2) included, as
// far as it can be held: for Quoted the octets are returned; for Literal n
// octets stand next and are the caller's to take by ReadLiteral or SkipLiteral.
func (d *Decoder) String() (kind StringKind, quoted []byte, n int64) {
	if d.Peek() == '"' {
		quoted = d.quoted()
		return d.kindOf(Quoted), quoted, 0
	}
	if d.atLiteral() {
		n = d.literalSize()
		return d.kindOf(Literal), nil, n
	}
	if a := d.Atom(); !bytes.EqualFold(a, []byte("NIL")) {
		d.Fail(&SyntaxError{Want: "a string", Got: strconv.QuoteToASCII(string(a[:min(len(a), 16)]))})
	}
	return d.kindOf(Nil), nil, 0
}

// kindOf is k while there is no error.
func (d *Decoder) kindOf(k StringKind) StringKind {
	if d.err != nil {
		return NoString
	}
	return k
}

// AString reads an atom or a string of up to MaxString octets. ok is false for
// NIL, which a server may put where a string belongs.
func (d *Decoder) AString() (s []byte, ok bool) {
	if d.Peek() == '"' {
		return d.quoted(), true
	}
	if d.atLiteral() {
		n := d.literalSize()
		if n > MaxString {
			d.Fail(&LimitError{"MaxString", MaxString})
			return nil, false
		}
		d.held = append(d.held[:0], make([]byte, n)...)
		if d.ReadLiteral(d.held); d.err != nil {
			return nil, false
		}
		return d.held, true
	}
	a := d.token(atomStops, "a string")
	return a, !bytes.EqualFold(a, []byte("NIL"))
}

// quoted reads a quoted string and returns what it stands for.
func (d *Decoder) quoted() []byte {
	d.Expect('"')
	d.held = d.held[:0]
	for {
		if d.err != nil || d.pos == len(d.win) && !d.fill() {
			return nil
		}
		rest := d.win[d.pos:]
		i := 0
		for i < len(rest) && rest[i] != '"' && rest[i] != '\\' && rest[i] != '\r' && rest[i] != '\n' {
			i++
		}
		d.pos += i
		switch {
		case i == len(rest):
			if !d.hold(rest) {
				return nil
			}
		case rest[i] == '"':
			d.pos++
			if len(d.held) == 0 {
				return rest[:i]
			}
			if !d.hold(rest[:i]) {
				return nil
			}
			return d.held
		case rest[i] == '\\':
			if !d.hold(rest[:i]) {
				return nil
			}
			d.pos++
			b := d.Peek()
			if b == '\r' || b == '\n' {
				d.unexpected("a quoted character")
				return nil
			}
			if !d.hold([]byte{b}) {
				return nil
			}
			d.pos++
		default:
			d.unexpected("the end of a quoted string")
			return nil
		}
	}
}

// atLiteral reports whether `{` or `~{` is next. An atom may begin with ~ too:
// GNU mailutils lists a mailbox of that name.
func (d *Decoder) atLiteral() bool {
	switch d.Peek() {
	case '{':
		return true
	case '~':
		if d.pos+1 == len(d.win) {
			d.sync()
			d.win, _ = d.br.Peek(2)
		}
		return len(d.win) > d.pos+1 && d.win[d.pos+1] == '{'
	}
	return false
}

// literalSize reads `{n}` and its line end: `{n+}` and `~{n}` too.
func (d *Decoder) literalSize() int64 {
	d.Accept('~')
	d.Expect('{')
	n := d.Number()
	if !d.Accept('+') {
		d.Accept('-')
	}
	d.Expect('}')
	d.Accept('\r')
	d.Expect('\n')
	if n > MaxLiteral {
		d.Fail(&LimitError{"MaxLiteral", MaxLiteral})
	}
	if d.err != nil {
		return 0
	}
	return n
}

// ReadLiteral reads len(p) octets of a literal into p, past the window: from
// the connection's buffer and then from the connection itself.
func (d *Decoder) ReadLiteral(p []byte) {
	if d.err != nil {
		return
	}
	line := d.line + int64(d.pos)
	d.sync()
	d.line = line
	if _, err := io.ReadFull(d.br, p); err != nil {
		d.err = err
	}
}

// SkipLiteral reads n octets of a literal and drops them.
func (d *Decoder) SkipLiteral(n int64) {
	if d.err != nil {
		return
	}
	d.sync()
	for n > 0 {
		step := min(n, 1<<30)
		if _, err := d.br.Discard(int(step)); err != nil {
			d.err = err
			return
		}
		n -= step
	}
}

// SkipValue reads one value of any form and drops it: an atom, a string, a list
// of values.
func (d *Decoder) SkipValue() {
	depth := 0
	for d.err == nil {
		switch b := d.Peek(); {
		case b == '(':
			d.pos++
			if depth++; depth > MaxNesting {
				d.Fail(&LimitError{"MaxNesting", MaxNesting})
			}
		case b == ')' && depth > 0:
			d.pos++
			depth--
		case b == ' ':
			d.pos++
			continue
		case b == '"':
			d.quoted()
		case d.atLiteral():
			d.SkipLiteral(d.literalSize())
		default:
			d.token(atomStops, "a value")
		}
		if depth == 0 {
			return
		}
	}
}

// tailOctets is room for the longest `{n+}` before a line's end.
const tailOctets = 24

// SkipResponse reads the rest of a response that nobody knows, its literals
// included: a line that ends in `{n}` goes on after n octets.
func (d *Decoder) SkipResponse() {
	var tail []byte
	for {
		if d.err != nil || d.pos == len(d.win) && !d.fill() {
			return
		}
		rest := d.win[d.pos:]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			i = len(rest)
		}
		tail = append(tail, rest[max(0, i-tailOctets):i]...)
		tail = tail[max(0, len(tail)-tailOctets):]
		if i == len(rest) {
			d.pos = len(d.win)
			continue
		}
		d.pos += i + 1
		n, ok := trailingLiteral(tail)
		if !ok {
			return
		}
		if n > MaxLiteral {
			d.Fail(&LimitError{"MaxLiteral", MaxLiteral})
			return
		}
		d.SkipLiteral(n)
		tail = tail[:0]
	}
}

// trailingLiteral reports the size n of a line that ends in `{n}` or `{n+}`.
func trailingLiteral(line []byte) (n int64, ok bool) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	line, ok = bytes.CutSuffix(line, []byte{'}'})
	if !ok {
		return 0, false
	}
	line = bytes.TrimSuffix(line, []byte{'+'})
	i := bytes.LastIndexByte(line, '{')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(line[i+1:]), 10, 64)
	return n, err == nil && n >= 0
}

// Section reads what stands in the brackets of BODY[…] and the closing one. ok
// is true for the two sections that have a name here, "" and HEADER; others are
// read over.
func (d *Decoder) Section() (name string, ok bool) {
	if d.Accept(']') {
		return "", true
	}
	if bytes.EqualFold(d.Name(), []byte("HEADER")) {
		name, ok = "HEADER", true
	}
	for d.Spaces(); d.err == nil && !d.Accept(']'); d.Spaces() {
		ok = false
		d.SkipValue()
	}
	return name, ok
}
