package imapwire

import (
	"strings"
	"unicode"
)

// maxCodeName bounds the name of a response code, in octets; the rest of it is
// dropped. It stands in errors. The longest that is registered has 20.
const maxCodeName = 64

// Code is a response code (RFC 3501 §7.1), the part between brackets.
type Code struct {
	Name string // in capitals, printable, up to maxCodeName octets; empty: none was given
	Args string // the rest, as it stands, up to MaxCodeText octets
}

// Status is the outcome that a response names.
type Status uint8

// The outcomes. NoStatus is none of the others.
const (
	NoStatus Status = iota
	OK
	NO
	BAD
	BYE
	PREAUTH
)

var statusNames = [...]string{"", "OK", "NO", "BAD", "BYE", "PREAUTH"}

// String spells the outcome as the wire does.
func (s Status) String() string { return statusNames[s] }

// ParseStatus reads the name of an outcome, in any case.
func ParseStatus(name []byte) Status {
	for i, n := range statusNames {
		if i > 0 && len(name) == len(n) && strings.EqualFold(string(name), n) {
			return Status(i)
		}
	}
	return NoStatus
}

// RespText reads the rest of a status response: a code, if there is one, and
// the words for people, up to MaxText octets of them.
func (d *Decoder) RespText() (code Code, text string) {
	d.Spaces()
	if d.Peek() == '[' {
		code = d.code()
		d.Spaces()
	}
	return code, cleanText(d.Text(MaxText))
}

// code reads `[NAME args]`. Arguments may hold quoted strings; a bracket that is
// never closed ends with the line, and then what stood in it was words.
func (d *Decoder) code() Code {
	d.Expect('[')
	var inside []byte
	for quoted := false; !d.AtEOL(); {
		b := d.Peek()
		d.pos++
		switch {
		case b == '"':
			quoted = !quoted
		case b == ']' && !quoted:
			name, args, _ := strings.Cut(strings.TrimSpace(string(inside)), " ")
			name = name[:min(len(name), maxCodeName)]
			return Code{strings.ToUpper(cleanText([]byte(name))), strings.TrimSpace(args)}
		}
		if len(inside) < MaxCodeText {
			inside = append(inside, b)
		}
	}
	return Code{}
}

// cleanText makes words of a server fit for a terminal and a log: what cannot be
// printed, control characters and those that turn the direction of writing among
// it, becomes a space, what is not UTF-8 becomes U+FFFD.
func cleanText(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), "\uFFFD")))
}
