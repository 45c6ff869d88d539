package imapwire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LiteralMode says which literals a server takes without being asked first.
type LiteralMode uint8

const (
	// Synchronizing: every literal waits for the server's + (RFC 3501 §4.3).
	Synchronizing LiteralMode = iota
	// NonSyncSmall is LITERAL-: up to 4,096 octets go at once (RFC 7888 §5).
	NonSyncSmall
	// NonSync is LITERAL+: all go at once (RFC 7888 §4).
	NonSync
)

const nonSyncSmallOctets = 4096

// ErrNUL says that a string cannot be sent: no string of IMAP holds a NUL.
var ErrNUL = errors.New("a NUL octet cannot be sent")

// Span is a piece of an encoded command, from First up to but not including End.
type Span struct{ First, End int }

// Encoder builds one command, without its tag and line end. Its error is sticky.
type Encoder struct {
	Mode LiteralMode

	buf     []byte
	waits   []int  // offsets before which the server's + is needed
	secrets []Span // what a trace must not show
	err     error
}

// Err returns the first error.
func (e *Encoder) Err() error { return e.err }

// Octets is the command as sent.
func (e *Encoder) Octets() []byte { return e.buf }

// Waits are the offsets in Octets before which a + must have come, in order.
func (e *Encoder) Waits() []int { return e.waits }

// Secrets are the pieces of Octets that a trace must not show, in order.
func (e *Encoder) Secrets() []Span { return e.secrets }

// Raw writes s as it is: names of commands and items, spaces, parentheses.
func (e *Encoder) Raw(s string) *Encoder {
	e.buf = append(e.buf, s...)
	return e
}

// Number writes n.
func (e *Encoder) Number(n int64) *Encoder {
	e.buf = strconv.AppendInt(e.buf, n, 10)
	return e
}

// String writes s as a quoted string, or as a literal where it holds what
// quotes cannot (RFC 3501 §9: CR, LF, octets of 8 bits).
func (e *Encoder) String(s string) *Encoder {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		e.fail(ErrNUL)
	case quotable(s):
		e.buf = append(e.buf, '"')
		for i := range len(s) {
			if s[i] == '"' || s[i] == '\\' {
				e.buf = append(e.buf, '\\')
			}
			e.buf = append(e.buf, s[i])
		}
		e.buf = append(e.buf, '"')
	default:
		e.literal(s)
	}
	return e
}

// Secret writes s as String does and keeps it out of traces.
func (e *Encoder) Secret(s string) *Encoder {
	first := len(e.buf)
	e.String(s)
	return e.hide(first)
}

// RawSecret writes s as it is and keeps it out of traces.
func (e *Encoder) RawSecret(s string) *Encoder {
	first := len(e.buf)
	return e.Raw(s).hide(first)
}

// Flags writes a list of flags. A flag that is no atom, with or without a
// backslash before it, is an error, and so is \Recent, which is the server's to set
// (RFC 3501 §2.3.2).
func (e *Encoder) Flags(flags []string) *Encoder {
	e.Raw("(")
	for i, f := range flags {
		if !IsAtom(strings.TrimPrefix(f, `\`)) || CanonicalFlag(f) == `\Recent` {
			e.fail(fmt.Errorf("%q is no flag that can be set", f))
		}
		if i > 0 {
			e.Raw(" ")
		}
		e.Raw(f)
	}
	return e.Raw(")")
}

// Date writes t as an INTERNALDATE in quotes, to the second and in its own zone
// where that is whole minutes. Years are 1 to 9999 there; others are an error.
func (e *Encoder) Date(t time.Time) *Encoder {
	if _, offset := t.Zone(); offset%60 != 0 {
		t = t.UTC()
	}
	if t.Year() < 1 || t.Year() > 9999 {
		e.fail(fmt.Errorf("the year %d cannot be sent", t.Year()))
	}
	return e.Raw(`"` + FormatDateTime(t) + `"`)
}

func (e *Encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// IsAtom reports whether s can stand on the wire as it is (RFC 3501 §9).
func IsAtom(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	})
}

func (e *Encoder) hide(first int) *Encoder {
	e.secrets = append(e.secrets, Span{first, len(e.buf)})
	return e
}

func (e *Encoder) literal(s string) {
	waits := e.Announce(int64(len(s)), true)
	e.buf = append(e.buf, "\r\n"...)
	if waits {
		e.waits = append(e.waits, len(e.buf))
	}
	e.buf = append(e.buf, s...)
}

// Announce writes the size of a literal whose n octets the caller sends himself,
// behind the end of this line; waits says that the server's + must come before.
// atOnce is whether it may go without, where the server takes that.
func (e *Encoder) Announce(n int64, atOnce bool) (waits bool) {
	waits = !atOnce || e.Mode != NonSync && (e.Mode != NonSyncSmall || n > nonSyncSmallOctets)
	e.buf = append(e.buf, '{')
	e.buf = strconv.AppendInt(e.buf, n, 10)
	if !waits {
		e.buf = append(e.buf, '+')
	}
	e.buf = append(e.buf, '}')
	return waits
}

// quotable reports whether s fits between quotes. 1,024 octets is far below
// what servers take on a line and far above any name.
func quotable(s string) bool {
	if len(s) > 1024 {
		return false
	}
	for i := range len(s) {
		if s[i] == '\r' || s[i] == '\n' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
