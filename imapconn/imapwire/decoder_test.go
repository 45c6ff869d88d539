package imapwire

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func decode(s string) *Decoder { return NewDecoder(strings.NewReader(s)) }

func TestStringsOfEveryKindAreRead(t *testing.T) {
	for sent, want := range map[string]string{
		`"" x`:                   `Quoted ""`,
		`"a \"b\" \\c" x`:        `Quoted "a \"b\" \\c"`,
		"\"\xff\xfe\" x":         `Quoted "\xff\xfe"`,
		"{0}\r\n x":              `Literal ""`,
		"{3}\r\na\r\n x":         `Literal "a\r\n"`,
		"{3+}\r\nabc x":          `Literal "abc"`,
		"~{3}\r\na\x00b x":       `Literal "a\x00b"`,
		"{3}\nabc x":             `Literal "abc"`,
		"NIL x":                  `Nil ""`,
		"nil x":                  `Nil ""`,
		"abc x":                  `error unreadable answer: want a string`,
		"\"a\r\n\" x":            `error unreadable answer: want the end of a quoted string`,
		"\"a\\\r\n\" x":          `error unreadable answer: want a quoted character`,
		"{-1}\r\n x":             `error unreadable answer: want a number`,
		"{3}abc x":               `error unreadable answer: want '\n'`,
		"{4294967296}\r\n x":     `error server went over the limit MaxLiteral (4294967295)`,
		"{99999999999999999999}": `error unreadable answer: want a number of 63 bits`,
		"{3}\r\nab":              `error unexpected EOF`,
		`"ab`:                    `error EOF`,
		"~x x":                   `error unreadable answer: want a string`,
	} {
		for _, r := range []io.Reader{strings.NewReader(sent), iotest.OneByteReader(strings.NewReader(sent))} {
			d := NewDecoder(r)
			kind, s, n := d.String()
			got := fmt.Sprintf("%s %q", [...]string{"NoString", "Nil", "Quoted", "Literal"}[kind], s)
			if kind == Literal {
				p := make([]byte, n)
				d.ReadLiteral(p)
				got = fmt.Sprintf("Literal %q", p)
			}
			if d.Space(); d.Err() != nil {
				got, _, _ = strings.Cut("error "+d.Err().Error(), ", got")
			} else if d.Peek() != 'x' {
				t.Errorf("%q: not read to its end", sent)
			}
			if got != want {
				t.Errorf("%q: %s, want %s", sent, got, want)
			}
		}
	}
}

func TestSkippingStopsWhereTheValueOrResponseEnds(t *testing.T) {
	value := func(d *Decoder) { d.SkipValue(); d.Spaces() }
	response := func(d *Decoder) { d.SkipResponse() }
	for _, test := range []struct {
		skip func(*Decoder)
		sent string // up to X
	}{
		{value, "atom X"}, {value, "NIL X"}, {value, "12 X"}, {value, "() X"}, {value, `(a (b "c)" {2}` + "\r\n)) NIL) d) X"},
		{value, `"a)b" X`}, {value, "{3}\r\n(((X"}, {value, "~{1}\r\n\x00 X"}, {value, `\Seen X`}, {value, "~a X"}, {value, "(~ ~/a) X"},
		{response, "anything at all\r\nX"}, {response, "\nX"}, {response, "a {3}\r\na\r\n b\r\nX"}, {response, "a {3+}\r\na\r\n\r\nX"}, {response, "{2}\r\nab{1}\r\n\r\r\nX"},
		{response, "words {x}\r\nX"}, {response, "words {}\r\nX"}, {response, "words {-3}\r\nX"}, {response, "3}\r\nX"}, {response, "a \"{3}\"\r\nX"},
		{response, strings.Repeat("long ", 50_000) + "{2}\r\n\r\n\r\nX"},
	} {
		for _, r := range []io.Reader{strings.NewReader(test.sent), iotest.OneByteReader(strings.NewReader(test.sent))} {
			d := NewDecoder(r)
			test.skip(d)
			if d.Err() != nil || d.Peek() != 'X' {
				t.Errorf("%.40q: stopped at %q, %v", test.sent, d.Peek(), d.Err())
			}
		}
	}
}

func TestRespTextIsCodeAndCleanWords(t *testing.T) {
	for sent, want := range map[string]struct {
		code Code
		text string
	}{
		"\r\n":                                 {},
		" \r\n":                                {},
		" done\r\n":                            {text: "done"},
		" [ALERT] no\x1b[31m\x00more\x9b\n":    {Code{Name: "ALERT"}, "no [31m more�"},
		" [UIDNEXT 5]\r\n":                     {code: Code{"UIDNEXT", "5"}},
		" [uidnext  5 ]x\r\n":                  {Code{"UIDNEXT", "5"}, "x"},
		" [X \"a]\" (b)] y\r\n":                {Code{"X", `"a]" (b)`}, "y"},
		" [PERMANENTFLAGS (\\* \\Seen)] l\r\n": {Code{"PERMANENTFLAGS", `(\* \Seen)`}, "l"},
		" [never closed\r\n":                   {},
		" []\r\n":                              {},
		" [ X] y\r\n":                          {Code{Name: "X"}, "y"},
		" pä [X] {3}\r\n":                      {text: "pä [X] {3}"},
	} {
		d := decode(sent + "X")
		code, text := d.RespText()
		if code != want.code || text != want.text || d.Peek() != 'X' {
			t.Errorf("%q: %q, %q, %v", sent, code, text, d.Err())
		}
	}
	d := decode(" [" + strings.Repeat("x", 1<<20) + "] " + strings.Repeat("y", 1<<20) + "\r\n")
	code, text := d.RespText()
	if len(code.Name) != maxCodeName || len(text) != MaxText {
		t.Errorf("%d octets of code, %d of text", len(code.Name), len(text))
	}
}

func TestFlagListsAreCanonicalAndShared(t *testing.T) {
	var table FlagTable
	for sent, want := range map[string][]string{
		`()`:                           {},
		`( )`:                          {},
		`NIL`:                          {},
		`(\Seen)`:                      {`\Seen`},
		`(\seen \RECENT b \fLAGGED a)`: {`\Flagged`, `\Seen`, "a", "b"},
		`($Junk $junk \SEEN \Seen)`:    {"$Junk", `\Seen`},
		`(\* \X-Own NIL)`:              {"NIL", `\*`, `\X-Own`},
	} {
		first := table.List(decode(sent + " "))
		if !reflect.DeepEqual(first, want) {
			t.Errorf("%s: %q, want %q", sent, first, want)
		}
		again := table.List(decode(sent + " "))
		if len(first) > 0 && &first[0] != &again[0] {
			t.Errorf("%s: a list of its own each time", sent)
		}
	}
	for i := range 3 * maxInterned {
		table.List(decode(fmt.Sprintf("(k%d) ", i)))
	}
	if len(table.lists) > maxInterned {
		t.Errorf("%d lists are kept", len(table.lists))
	}
}

func TestCapsAreCaseBlindAndNameTheLiterals(t *testing.T) {
	c := decode(" imap4rev1  LITERAL+ Auth=Plain\r\n").Caps()
	if !c.Has("Imap4Rev1") || !c.Has("AUTH=PLAIN") || c.Has("IMAP4") || c.Literals() != NonSync || !c.Rev1() || !c.Known() {
		t.Error(c)
	}
	if got := c.Names(); !reflect.DeepEqual(got, []string{"AUTH=PLAIN", "IMAP4REV1", "LITERAL+"}) {
		t.Error(got)
	}
	if (Caps{}).Known() || (Caps{}).Literals() != Synchronizing || NewCaps("literal-").Literals() != NonSyncSmall || NewCaps("IMAP4").Rev1() {
		t.Error("the empty set knows something")
	}
}

func TestAResponseHasItsLimitAndTheNextAFreshOne(t *testing.T) {
	line := strings.Repeat("x", MaxLine/2) + "\r\n"
	d := NewDecoder(io.MultiReader(strings.NewReader(line), strings.NewReader(line), strings.NewReader(line+line)))
	for range 2 {
		d.Begin()
		d.SkipResponse()
	}
	if d.Err() != nil {
		t.Error(d.Err())
	}
	d = decode(strings.Repeat("x", MaxLine+2*bufferOctets))
	d.Begin()
	d.SkipResponse()
	var le *LimitError
	if !errors.As(d.Err(), &le) || le.What != "MaxLine" {
		t.Error(d.Err())
	}
}

func TestLiteralsDoNotCountAsLine(t *testing.T) {
	d := decode(strings.Repeat("{1048576}\r\n"+strings.Repeat("x", 1<<20), 40) + "\r\nX")
	d.Begin()
	d.SkipResponse()
	if d.Err() != nil || d.Peek() != 'X' {
		t.Error(d.Err())
	}
}

func TestEncodedCommandsNameTheirWaitsAndSecrets(t *testing.T) {
	for _, test := range []struct {
		mode  LiteralMode
		s     string
		want  string
		waits []int
	}{
		{Synchronizing, "a b", `L "a b"`, nil},
		{Synchronizing, `a"\`, `L "a\"\\"`, nil},
		{Synchronizing, "ä", "L {2}\r\nä", []int{7}},
		{NonSync, "ä", "L {2+}\r\nä", nil},
		{NonSyncSmall, "ä", "L {2+}\r\nä", nil},
		{NonSyncSmall, strings.Repeat("x", 4097), "L {4097}\r\n" + strings.Repeat("x", 4097), []int{10}},
		{NonSync, "", `L ""`, nil},
	} {
		e := Encoder{Mode: test.mode}
		e.Raw("L ").Secret(test.s)
		if string(e.Octets()) != test.want || !reflect.DeepEqual(e.Waits(), test.waits) || e.Err() != nil {
			t.Errorf("%.20q: %.40q, waits %v, %v", test.s, e.Octets(), e.Waits(), e.Err())
		}
		if want := []Span{{2, len(test.want)}}; !reflect.DeepEqual(e.Secrets(), want) {
			t.Errorf("%.20q: secrets %v", test.s, e.Secrets())
		}
	}
	var e Encoder
	if e.String("a\x00"); !errors.Is(e.Err(), ErrNUL) {
		t.Error(e.Err())
	}
}

// BenchmarkReadLiteral is the text of a message of 10,000 octets into memory that is there.
func BenchmarkReadLiteral(b *testing.B) {
	text := strings.Repeat("x", 10_000)
	d := NewDecoder(&repeating{text: "* 12 FETCH (UID 7123 BODY[] {10000}\r\n" + text + ")\r\n"})
	p := make([]byte, len(text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		d.Begin()
		d.Accept('*')
		d.Space()
		d.Number32()
		d.Space()
		d.Name()
		d.Space()
		d.Accept('(')
		d.Name()
		d.Space()
		d.Number32()
		d.Space()
		d.Name()
		d.Expect('[')
		d.Section()
		d.Space()
		kind, _, n := d.String()
		if kind != Literal || n != int64(len(p)) {
			b.Fatal(kind, n, d.Err())
		}
		d.ReadLiteral(p)
		d.Expect(')')
		if d.EOL(); d.Err() != nil {
			b.Fatal(d.Err())
		}
	}
}

func BenchmarkDecodeMeta(b *testing.B) {
	line := "* 12345 FETCH (UID 7123456 FLAGS (\\Seen $Junk) INTERNALDATE \"01-Jan-2020 10:00:00 +0100\" RFC822.SIZE 47110)\r\n"
	d := NewDecoder(&repeating{text: line})
	var flags FlagTable
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		d.Begin()
		d.Accept('*')
		d.Space()
		d.Number32()
		d.Space()
		d.Name()
		d.Space()
		d.Accept('(')
		for !d.Accept(')') {
			switch name := d.Name(); string(name) {
			case "FLAGS":
				d.Space()
				flags.List(d)
			case "INTERNALDATE":
				d.Space()
				s, _ := d.AString()
				if _, err := ParseDateTime(s); err != nil {
					b.Fatal(err)
				}
			default:
				d.Space()
				d.Number()
			}
			d.Spaces()
		}
		d.EOL()
	}
	if d.Err() != nil {
		b.Fatal(d.Err())
	}
}

// repeating reads text over and over.
type repeating struct {
	text string
	at   int
}

func (r *repeating) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], r.text[r.at:])
		n += m
		r.at = (r.at + m) % len(r.text)
	}
	return n, nil
}

// The lists that a table gave stay good when it begins anew.
func TestAFlagTableKeepsNoMoreThanItsLimit(t *testing.T) {
	var table FlagTable
	first := table.List(decode("(one)X"))
	for i := range 200 {
		table.List(decode("(" + strings.Repeat("k", 30_000) + fmt.Sprint(i) + ")X"))
		if table.octets > maxInternedOctets {
			t.Fatalf("%d octets are kept", table.octets)
		}
	}
	if len(first) != 1 || first[0] != "one" {
		t.Errorf("%q", first)
	}
}
