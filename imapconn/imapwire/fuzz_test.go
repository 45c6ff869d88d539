package imapwire

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzDecoder reads octets by a program of calls, once as a whole and once octet
// by octet: both must find the same, within the octets that were there.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("0123456789ab"), []byte("* 1 FETCH (UID 7)\r\n"))
	f.Fuzz(func(t *testing.T, program, sent []byte) {
		if len(program) > 64 {
			return
		}
		whole := run(program, bytes.NewReader(sent))
		pieces := run(program, iotest.OneByteReader(bytes.NewReader(sent)))
		if whole != pieces {
			t.Errorf("%q by %q:\nwhole  %s\npieces %s", sent, program, whole, pieces)
		}
		// Each call may tell again of what it read, quoted, but not make more of it.
		if len(whole) > 64*len(program)+16*len(sent)+1024 {
			t.Errorf("%d octets came out of %d", len(whole), len(sent))
		}
	})
}

// run calls a Decoder's methods and writes down what they return.
func run(program []byte, r io.Reader) string {
	d := NewDecoder(r)
	var flags FlagTable
	var out strings.Builder
	for _, op := range program {
		switch op % 13 {
		case 0:
			fmt.Fprintf(&out, "atom %q ", d.Atom())
		case 1:
			fmt.Fprintf(&out, "name %q ", d.Name())
		case 2:
			fmt.Fprint(&out, "number ", d.Number(), " ")
		case 3:
			kind, s, n := d.String()
			fmt.Fprintf(&out, "string %d %q ", kind, s)
			p := make([]byte, min(n, 100))
			d.ReadLiteral(p)
			d.SkipLiteral(n - int64(len(p)))
			fmt.Fprintf(&out, "%d ", n)
		case 4:
			s, ok := d.AString()
			fmt.Fprintf(&out, "astring %q %v ", s, ok)
		case 5:
			d.SkipValue()
		case 6:
			d.Begin()
			d.SkipResponse()
		case 7:
			code, text := d.RespText()
			fmt.Fprintf(&out, "text %q %q ", code, text)
			_, pairs, _ := ParseCopyUID(code.Args)
			for _, p := range pairs {
				if p.From == 0 || p.To == 0 || p.N == 0 || uint64(p.From)+uint64(p.N) > 1<<32 || uint64(p.To)+uint64(p.N) > 1<<32 {
					panic(fmt.Sprint(p))
				}
			}
		case 8:
			fmt.Fprint(&out, "caps ", d.Caps().Names(), " ")
		case 9:
			fmt.Fprintf(&out, "flags %q ", flags.List(d))
		case 10:
			name, ok := d.Section()
			fmt.Fprintf(&out, "section %q %v ", name, ok)
		case 11:
			fmt.Fprint(&out, "space ", d.Accept(' '), d.Accept('('), d.Accept(')'), " ")
		case 12:
			fmt.Fprint(&out, "eol ", d.EOL(), " ")
		}
	}
	_, syntax := d.Err().(*SyntaxError) // its text depends on what is buffered
	if !syntax {
		fmt.Fprint(&out, d.Err())
	}
	return out.String()
}

// FuzzEncoder writes a string in each way; a Decoder must read the same string.
func FuzzEncoder(f *testing.F) {
	f.Add("INBOX", byte(0))
	f.Fuzz(func(t *testing.T, s string, mode byte) {
		e := Encoder{Mode: LiteralMode(mode % 3)}
		e.String(s).Raw("\r\n")
		if strings.Contains(s, "\x00") {
			if e.Err() == nil {
				t.Error("a NUL was encoded")
			}
			return
		}
		d := NewDecoder(bytes.NewReader(e.Octets()))
		kind, got, n := d.String()
		if kind == Literal {
			got = make([]byte, n)
			d.ReadLiteral(got)
		}
		if string(got) != s || !d.EOL() {
			t.Errorf("%q came back as %q, %v", s, got, d.Err())
		}
	})
}
