package imapconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func date(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Each is what a server sends to UID FETCH 1:* of the small facts.
func TestFetchMetaReadsEveryForm(t *testing.T) {
	when := date(t, "2020-01-01T10:00:00+01:00")
	whole := Meta{UID: 7, Flags: []string{`$Junk`, `\Seen`}, Date: when, Size: 4711, HasFlags: true, HasDate: true, HasSize: true}
	for name, test := range map[string]struct {
		sent string
		want []Meta
	}{
		"Dovecot":                {`* 1 FETCH (UID 7 FLAGS (\Seen $Junk) INTERNALDATE "01-Jan-2020 10:00:00 +0100" RFC822.SIZE 4711)`, []Meta{whole}},
		"Cyrus, padded day":      {`* 1 FETCH (FLAGS (\Recent \Seen $Junk) UID 7 INTERNALDATE " 1-Jan-2020 10:00:00 +0100" RFC822.SIZE 4711)`, []Meta{whole}},
		"small letters":          {`* 1 fetch (uid 7 flags (\seen $Junk) internaldate "01-Jan-2020 10:00:00 +0100" rfc822.size 4711)`, []Meta{whole}},
		"spaces everywhere":      {`* 1 FETCH  ( UID  7  FLAGS ( \Seen  $Junk )  INTERNALDATE "01-Jan-2020 10:00:00 +0100"  RFC822.SIZE 4711 ) `, []Meta{whole}},
		"no parentheses":         {`* 1 FETCH UID 7 FLAGS (\Seen $Junk) INTERNALDATE "01-Jan-2020 10:00:00 +0100" RFC822.SIZE 4711`, []Meta{whole}},
		"flags twice":            {`* 1 FETCH (UID 7 FLAGS ($Junk \Seen \SEEN $junk) INTERNALDATE "01-Jan-2020 10:00:00 +0100" RFC822.SIZE 4711)`, []Meta{whole}},
		"unknown items between":  {"* 1 FETCH (MODSEQ (12) UID 7 X-GM-LABELS (\\Inbox \"a b\" {3}\r\nc)d) FLAGS (\\Seen $Junk) ENVELOPE (NIL \"x\" ((NIL NIL \"a\" \"b\"))) INTERNALDATE \"01-Jan-2020 10:00:00 +0100\" BODY (\"text\" \"plain\" NIL NIL NIL \"7bit\" 5 1) RFC822.SIZE 4711 EMAILID (M1))", []Meta{whole}},
		"sections nobody wanted": {"* 1 FETCH (UID 7 BODY[HEADER.FIELDS (Subject {4}\r\nDate)] {3}\r\nabc BODY[1.2.MIME] NIL BINARY[1]<0> ~{2}\r\n\x00\x01 BODY[]<0> \"x\" FLAGS (\\Seen $Junk) INTERNALDATE \"01-Jan-2020 10:00:00 +0100\" RFC822.SIZE 4711)", []Meta{whole}},
		"in two pieces": {"* 1 FETCH (UID 7 FLAGS ())\r\n* 1 FETCH (UID 7 RFC822.SIZE 4711)",
			[]Meta{{UID: 7, Flags: []string{}, HasFlags: true}, {UID: 7, Size: 4711, HasSize: true}}},
		"a size of more than 32 bits":     {`* 1 FETCH (UID 7 RFC822.SIZE 5000000000)`, []Meta{{UID: 7, Size: 5000000000, HasSize: true}}},
		"no date, no flags":               {`* 1 FETCH (UID 7 INTERNALDATE NIL FLAGS NIL)`, []Meta{{UID: 7, Flags: []string{}, HasFlags: true}}},
		"a UID that was not asked for":    {`* 1 FETCH (UID 1001 RFC822.SIZE 1)`, nil},
		"no UID":                          {`* 1 FETCH (FLAGS (\Seen))`, nil},
		"nothing":                         {`* 1 FETCH ()`, nil},
		"an answer to somebody else":      {`* 1 FETCH (UID 7 BODY[] "x")`, nil},
		"a number past the end, believed": {`* 9 FETCH (UID 7 RFC822.SIZE 1)`, []Meta{{UID: 7, Size: 1, HasSize: true}}},
		"gone":                            {`* OK nothing of that`, nil},
		"among other words": {"* 3 EXISTS\r\n* 3 RECENT\r\n* OK [X-NEW (a \"]\" b)] hm\r\n* NO\r\n* X-UNKNOWN {3}\r\na1 (\r\n* BAD\r\n+ what\r\n* 1 FETCH (UID 7 RFC822.SIZE 1)\r\n* SEARCH\r\n* 1 COPY\r\n* MAILBOX x",
			[]Meta{{UID: 7, Size: 1, HasSize: true}}},
	} {
		for _, oneByOne := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/octet by octet %v", name, oneByOne), func(t *testing.T) {
				c := examined(t, "3", nil, func(p *peer) {
					tag := p.hear("UID FETCH 1:1000 (UID FLAGS INTERNALDATE RFC822.SIZE)")
					p.chopped(test.sent+"\r\n"+tag+" OK done\r\n", oneByOne)
				})
				var got []Meta
				if err := c.FetchMeta(t.Context(), UIDSet{{First: 1, Last: 1000}}, MetaAll, func(m Meta) { got = append(got, m) }); err != nil {
					t.Fatal(err)
				}
				for i := range got {
					if got[i].HasDate && got[i].Date.Equal(when) {
						got[i].Date = when
					}
				}
				if !reflect.DeepEqual(got, test.want) {
					t.Errorf("got  %+v\nwant %+v", got, test.want)
				}
			})
		}
	}
}

// chopped sends octets as they are, or one in each packet.
func (p *peer) chopped(s string, oneByOne bool) {
	if !oneByOne {
		p.raw(s)
		return
	}
	for i := range len(s) {
		p.raw(s[i : i+1])
		if i%16 == 0 {
			time.Sleep(time.Microsecond)
		}
	}
}

// Each is what a server sends to UID FETCH 7 of a text.
func TestFetchTextReadsEveryForm(t *testing.T) {
	text := func(s string) []Text {
		return []Text{{UID: 7, Octets: int64(len(s)), Chunks: [][]byte{[]byte(s)}}}
	}
	for name, test := range map[string]struct {
		sent string
		want []Text
	}{
		"Dovecot":             {"* 1 FETCH (UID 7 BODY[] {5}\r\na\r\nb\n)", text("a\r\nb\n")},
		"hoodiecrow":          {"* 1 FETCH (body[] {5}\r\na\r\nb\n UID 7)", text("a\r\nb\n")},
		"literal8":            {"* 1 FETCH (UID 7 BODY[] ~{3}\r\na\x00b)", text("a\x00b")},
		"literal, plus":       {"* 1 FETCH (UID 7 BODY[] {3+}\r\nabc)", text("abc")},
		"quoted":              {`* 1 FETCH (UID 7 BODY[] "a \"b\" \\")`, text(`a "b" \`)},
		"quoted before UID":   {`* 1 FETCH (BODY[] "ab" UID 7)`, text("ab")},
		"RFC 1730":            {"* 1 FETCH (RFC822 {3}\r\nabc UID 7)", text("abc")},
		"echoed PEEK":         {"* 1 FETCH (BODY.PEEK[] {3}\r\nabc UID 7)", text("abc")},
		"NIL: gone":           {"* 1 FETCH (UID 7 RFC822.SIZE 0 BODY[] NIL)\r\n* 1 EXPUNGE", []Text{{UID: 7, Nil: true}}},
		"empty":               {`* 1 FETCH (UID 7 BODY[] "")`, []Text{{UID: 7}}},
		"empty literal":       {"* 1 FETCH (UID 7 BODY[] {0}\r\n)", []Text{{UID: 7}}},
		"mailutils: another":  {"* 1 FETCH (UID 2 BODY[] {3}\r\nabc)", nil},
		"another, UID later":  {"* 1 FETCH (BODY[] {3}\r\nabc UID 2)", nil},
		"no UID":              {"* 1 FETCH (BODY[] {3}\r\nabc)", nil},
		"gone":                {"* OK nothing", nil},
		"whole named part":    {"* 1 FETCH (UID 7 BODY[]<0> {3}\r\nabc)", text("abc")},
		"another section":     {"* 1 FETCH (UID 7 BODY[HEADER] {3}\r\nabc BODY[1] {1}\r\nx)", nil},
		"twice: once":         {"* 1 FETCH (UID 7 BODY[] {3}\r\nabc)\r\n* 1 FETCH (UID 7 BODY[] {3}\r\nxyz)", text("abc")},
		"looks like an end":   {"* 1 FETCH (UID 7 BODY[] {9}\r\na3 OK\r\n*\r)", text("a3 OK\r\n*\r")},
		"flags in the answer": {"* 1 FETCH (FLAGS (\\Seen) UID 7 BODY[] {1}\r\na MODSEQ (5))", text("a")},
	} {
		for _, oneByOne := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/octet by octet %v", name, oneByOne), func(t *testing.T) {
				c := examined(t, "3", nil, func(p *peer) {
					tag := p.hear("UID FETCH 7 (UID BODY.PEEK[])")
					p.chopped(test.sent+"\r\n"+tag+" OK done\r\n", oneByOne)
				})
				got, err := texts(t.Context(), c, UIDSet{{First: 7, Last: 7}}, Part{})
				if err != nil || !reflect.DeepEqual(got, test.want) {
					t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
				}
			})
		}
	}
}

func texts(ctx context.Context, c *Client, set UIDSet, p Part) (got []Text, err error) {
	err = c.FetchText(ctx, set, p, func(t Text) { got = append(got, t) })
	return got, err
}

func TestAPartIsWhatWasAskedForWhateverIsSent(t *testing.T) {
	for name, sent := range map[string]string{
		"right":                     "* 1 FETCH (UID 7 BODY[]<4> {3}\r\nefg)",
		"UID later":                 "* 1 FETCH (BODY[]<4> {3}\r\nefg UID 7)",
		"hoodiecrow":                "* 1 FETCH (body[]<4.3> {3}\r\nefg UID 7)",
		"the whole text":            "* 1 FETCH (UID 7 BODY[] {10}\r\nabcdefghij)",
		"the whole text, UID later": "* 1 FETCH (BODY[] {10}\r\nabcdefghij UID 7)",
		"more than asked":           "* 1 FETCH (UID 7 BODY[]<4> {6}\r\nefghij)",
		"another part first":        "* 1 FETCH (UID 7 BODY[]<0> {3}\r\nabc)\r\n* 1 FETCH (UID 7 BODY[]<4> {3}\r\nefg)",
	} {
		t.Run(name, func(t *testing.T) {
			c := examined(t, "3", nil, func(p *peer) { p.answer("UID FETCH 7 (UID BODY.PEEK[]<4.3>)", sent) })
			got, err := texts(t.Context(), c, UIDSet{{First: 7, Last: 7}}, Part{Offset: 4, Octets: 3, Chunk: 2})
			if err != nil || len(got) != 1 || string(bytes.Join(got[0].Chunks, nil)) != "efg" || got[0].Offset != 4 || got[0].Octets != 3 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	for name, sent := range map[string]string{
		"Dovecot past the end": "* 1 FETCH (UID 7 BODY[]<4> {0}\r\n)",
		"Cyrus past the end":   `* 1 FETCH (UID 7 BODY[]<4> "")`,
		"short whole text":     "* 1 FETCH (UID 7 BODY[] {3}\r\nabc)",
	} {
		t.Run(name, func(t *testing.T) {
			c := examined(t, "3", nil, func(p *peer) { p.answer("UID FETCH 7 (UID BODY.PEEK[]<4.3>)", sent) })
			got, err := texts(t.Context(), c, UIDSet{{First: 7, Last: 7}}, Part{Offset: 4, Octets: 3})
			if err != nil || !reflect.DeepEqual(got, []Text{{UID: 7, Offset: 4}}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestATextComesInChunksOfTheSizeAskedFor(t *testing.T) {
	whole := strings.Repeat("0123456789", 30000)
	c := examined(t, "3", nil, func(p *peer) {
		p.answer("UID FETCH 7 (UID BODY.PEEK[])", fmt.Sprintf("* 1 FETCH (UID 7 BODY[] {%d}\r\n%s)", len(whole), whole))
	})
	got, err := texts(t.Context(), c, UIDSet{{First: 7, Last: 7}}, Part{Chunk: 70_000})
	if err != nil || len(got) != 1 || len(got[0].Chunks) != 5 || len(got[0].Chunks[4]) != 20_000 || cap(got[0].Chunks[4]) > 21_000 {
		t.Fatalf("%d texts, %v", len(got), err)
	}
	if string(bytes.Join(got[0].Chunks, nil)) != whole {
		t.Error("another text")
	}
}

func TestATextOverTheLimitIsDrainedAndNamed(t *testing.T) {
	for name, sent := range map[string]string{
		"UID first": "* 1 FETCH (UID 7 BODY[] {10}\r\nabcdefghij)",
		"UID later": "* 1 FETCH (BODY[] {10}\r\nabcdefghij UID 7)",
	} {
		t.Run(name, func(t *testing.T) {
			c := examined(t, "3", nil, func(p *peer) {
				p.answer("UID FETCH 7 (UID BODY.PEEK[])", sent)
				p.answer("NOOP")
			})
			got, err := texts(t.Context(), c, UIDSet{{First: 7, Last: 7}}, Part{Limit: 9})
			if err != nil || len(got) != 1 || !errors.Is(got[0].Err, ErrTooLarge) || got[0].Octets != 10 || got[0].Chunks != nil {
				t.Errorf("%+v, %v", got, err)
			}
			if err := c.Noop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHeadersAreReadAsSections(t *testing.T) {
	c := examined(t, "3", nil, func(p *peer) {
		p.answer("UID FETCH 7 (UID BODY.PEEK[HEADER])", "* 1 FETCH (UID 7 BODY[Header] {6}\r\na: b\r\n)")
	})
	var got []Text
	err := c.FetchHeader(t.Context(), UIDSet{{First: 7, Last: 7}}, 0, func(t Text) { got = append(got, t) })
	if err != nil || len(got) != 1 || string(got[0].Chunks[0]) != "a: b\r\n" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnRFC1730ServerIsAskedInItsWords(t *testing.T) {
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4")
		p.examine("3")
		p.answer("UID FETCH 7 (UID RFC822.PEEK)", "* 1 FETCH (RFC822 {3}\r\nabc UID 7)")
		p.answer("UID FETCH 7 (UID RFC822.HEADER)", "* 1 FETCH (RFC822.HEADER {3}\r\nab: UID 7)")
	}))
	c.Examine(t.Context(), "INBOX", nil)
	set := UIDSet{{First: 7, Last: 7}}
	if got, err := texts(t.Context(), c, set, Part{}); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	n := 0
	if err := c.FetchHeader(t.Context(), set, 0, func(Text) { n++ }); err != nil || n != 1 {
		t.Errorf("%d headers, %v", n, err)
	}
}

func TestALongSetGoesInSeveralLines(t *testing.T) {
	var set UIDSet
	for u := UID(1); u < 6000; u += 2 {
		set.Add(u)
	}
	done := make(chan int, 1)
	c := examined(t, "3", nil, func(p *peer) {
		lines := 0
		for {
			line := p.line()
			if line == "" {
				break
			}
			if len(line) > 8000 {
				t.Errorf("a line of %d octets", len(line))
			}
			lines++
			tag, _, _ := strings.Cut(line, " ")
			_, rest, _ := strings.Cut(line, "FETCH ")
			first, _, _ := strings.Cut(rest, ",")
			p.say("* 1 FETCH (UID "+first+" FLAGS ())", tag+" OK")
		}
		done <- lines
	})
	n := 0
	if err := c.FetchMeta(t.Context(), set, MetaFlags, func(Meta) { n++ }); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if lines := <-done; lines < 2 || n != lines {
		t.Errorf("%d lines, %d answers", lines, n)
	}
}

func TestFetchWithoutAMailboxIsNotSent(t *testing.T) {
	c := dial(t, play(t, func(p *peer) { p.login("IMAP4rev1"); p.quiet() }))
	if _, err := texts(t.Context(), c, AllUIDs(), Part{}); !errors.Is(err, ErrNotSelected) {
		t.Error(err)
	}
	c.Close()
}
