package imaptest

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"imapfs/imapconn/imapwire"
)

// strictParser reads a command by RFC 1730 section 9, to the letter. Its error is
// sticky. Literals stand in the octets as they came, `{n}` CRLF and n octets.
type strictParser struct {
	b   []byte
	bad string // what was expected; empty: nothing is wrong
}

func (p *strictParser) fail(want string) {
	if p.bad == "" {
		p.bad = want
	}
}

// peek is the next octet, 0 at the end.
func (p *strictParser) peek() byte {
	if p.bad != "" || len(p.b) == 0 {
		return 0
	}
	return p.b[0]
}

func (p *strictParser) accept(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.b = p.b[1:]
	return true
}

func (p *strictParser) expect(c byte) {
	if !p.accept(c) {
		p.fail(strconv.QuoteRune(rune(c)))
	}
}

// space is exactly one.
func (p *strictParser) space() { p.expect(' ') }

func (p *strictParser) end() {
	if p.bad == "" && len(p.b) > 0 {
		p.fail("the end of the line")
	}
}

// take reads octets as long as they are permitted, one at least.
func (p *strictParser) take(want string, permitted func(byte) bool) string {
	n := 0
	for p.bad == "" && n < len(p.b) && permitted(p.b[n]) {
		n++
	}
	if n == 0 {
		p.fail(want)
		return ""
	}
	s := string(p.b[:n])
	p.b = p.b[n:]
	return s
}

// atomChar is ATOM_CHAR.
func atomChar(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`(){%*"\`, rune(c))
}

func (p *strictParser) atom() string { return p.take("an atom", atomChar) }

// word is an atom in capitals, up to what may follow a name: a bracket.
func (p *strictParser) word() string {
	return strings.ToUpper(p.take("a word", func(c byte) bool { return atomChar(c) && c != '[' && c != ']' }))
}

func (p *strictParser) number() uint32 {
	digits := p.take("a number", func(c byte) bool { return '0' <= c && c <= '9' })
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		p.fail("a number of 32 bits")
	}
	return uint32(n)
}

func (p *strictParser) nzNumber() uint32 {
	if p.peek() == '0' {
		p.fail("a number that does not begin with 0")
	}
	return p.number()
}

func (p *strictParser) quoted() string {
	var b strings.Builder
	p.expect('"')
	for p.bad == "" && !p.accept('"') {
		c := p.peek()
		if c == '\\' {
			p.b = p.b[1:]
			if c = p.peek(); c != '"' && c != '\\' {
				p.fail("a quoted special")
			}
		}
		if c == 0 || c == '\r' || c == '\n' || c >= 0x80 {
			p.fail("a 7-bit character")
			return ""
		}
		b.WriteByte(c)
		p.b = p.b[1:]
	}
	return b.String()
}

func (p *strictParser) literal() []byte {
	p.expect('{')
	n := int(p.number())
	p.expect('}')
	p.expect('\r')
	p.expect('\n')
	if p.bad != "" || n > len(p.b) {
		p.fail("a literal")
		return nil
	}
	octets := p.b[:n]
	p.b = p.b[n:]
	if bytes.IndexByte(octets, 0) >= 0 {
		p.fail("a literal without NUL")
	}
	return octets
}

func (p *strictParser) astring() string {
	switch p.peek() {
	case '"':
		return p.quoted()
	case '{':
		return string(p.literal())
	}
	return p.atom()
}

// listMailbox is a name that may have wildcards.
func (p *strictParser) listMailbox() string {
	switch p.peek() {
	case '"':
		return p.quoted()
	case '{':
		return string(p.literal())
	}
	return p.take("a pattern", func(c byte) bool { return atomChar(c) || c == '%' || c == '*' })
}

// strictSet is a set, with math.MaxUint32+1 for *.
type strictSet []struct{ first, last uint64 }

const strictStar = 1 << 32

func (p *strictParser) sequenceNumber() uint64 {
	if p.accept('*') {
		return strictStar
	}
	return uint64(p.nzNumber())
}

func (p *strictParser) set() strictSet {
	var s strictSet
	for {
		first := p.sequenceNumber()
		last := first
		if p.accept(':') {
			last = p.sequenceNumber()
		}
		s = append(s, struct{ first, last uint64 }{first, last})
		if !p.accept(',') {
			return s
		}
	}
}

// has reports whether n is in the set where * means largest.
func (s strictSet) has(n, largest uint64) bool {
	for _, r := range s {
		first, last := r.first, r.last
		if first == strictStar {
			first = largest
		}
		if last == strictStar {
			last = largest
		}
		if min(first, last) <= n && n <= max(first, last) {
			return true
		}
	}
	return false
}

func (p *strictParser) flag() string {
	if p.accept('\\') {
		name := p.atom()
		for _, f := range []string{"Answered", "Flagged", "Deleted", "Seen", "Draft"} {
			if strings.EqualFold(f, name) {
				return `\` + f
			}
		}
		return `\` + name
	}
	return p.atom()
}

func (p *strictParser) flagList() []string {
	flags := []string{}
	p.expect('(')
	for p.bad == "" && !p.accept(')') {
		if len(flags) > 0 {
			p.space()
		}
		flags = append(flags, p.flag())
	}
	return flags
}

// headerList is a list of field names.
func (p *strictParser) headerList() []string {
	var names []string
	p.expect('(')
	for p.bad == "" {
		names = append(names, p.astring())
		if p.accept(')') {
			break
		}
		p.space()
	}
	return names
}

func (p *strictParser) dateTime() time.Time {
	if p.peek() != '"' {
		p.fail("a date")
		return time.Time{}
	}
	t, err := imapwire.ParseDateTime([]byte(p.quoted()))
	if err != nil {
		p.fail("a date")
	}
	return t
}

// date is that of SEARCH: a day.
func (p *strictParser) date() time.Time {
	text := ""
	if p.peek() == '"' {
		text = p.quoted()
	} else {
		text = p.atom()
	}
	for _, layout := range []string{"2-Jan-2006", "2-Jan-06"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	p.fail("a day")
	return time.Time{}
}
