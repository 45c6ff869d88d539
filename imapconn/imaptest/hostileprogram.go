package imaptest

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// steps is what is left of a program.
type steps struct{ rest []byte }

func (p *steps) next() byte {
	if len(p.rest) == 0 {
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

// below is a number under n.
func (p *steps) below(n int) int {
	if n <= 1 {
		return 0
	}
	return int(p.next()) % n
}

// hostileAnswer is an answer to one command on its way through the program.
type hostileAnswer struct {
	command, tag string
	plus         string // a continuation in place of the tagged line
	lines        []hostileLine
	done         string // after the tag; "" and no tag: there is no tagged line
	after        []hostileLine

	cut         int // octets after which the connection ends; 0: none
	bye, silent bool
}

// hostileLine is a line as it is, or a FETCH that is written when all is decided.
type hostileLine struct {
	line  string
	fetch *hostileFetch
}

// hostileFetch is a FETCH answer. Its text is that of the UID which it says.
type hostileFetch struct {
	seq, uid     uint32
	hasUID, late bool // late: the UID stands behind the literal
	facts        []string
	item         string // "": no text
	origin       int64
	count        int64 // octets asked for; under 0: all
	size         int   // of the whole text
	said         int64
	flags, date  string
	modSeq       uint64
	form         byte // how the text stands: literal, quoted, NIL, not at all, ~literal
	bare         bool // no parentheses
}

func (a *hostileAnswer) say(lines ...string) {
	for _, l := range lines {
		a.lines = append(a.lines, hostileLine{line: l})
	}
}

// hostileNumbers stand where a number belongs.
var hostileNumbers = [...]string{"0", "1", "2", "3", "99", "65536", "16777216", "16777217", "2147483648", "4294967294", "4294967295",
	"4294967296", "9223372036854775807", "18446744073709551616", "-1", "007", "1099511627776"}

// hostileUntagged may come at any time.
var hostileUntagged = [...]string{
	"* 0 EXPUNGE", "* 1 EXPUNGE", "* 4294967295 EXPUNGE", "* 0 EXISTS", "* 1 EXISTS", "* 5 EXISTS", "* 16777216 EXISTS", "* 99 RECENT",
	"* 1 EXPUNGED", "* OK still here", "* OK", "* NO [ALERT] a disk \x1b[31mburns\x07", "* BAD what", "* BYE enough", "* PREAUTH hello again",
	"* OK [UIDVALIDITY 9] again", "* OK [UIDVALIDITY 4294967296] again", "* OK [UIDNEXT 0] n", "* OK [UIDNEXT 4294967295] n", "* OK [CLOSED] x",
	"* OK [HIGHESTMODSEQ 18446744073709551615] m", "* OK [X-NEW (\"]\" a)] new", "* OK [UNTERMINATED", "* OK [PERMANENTFLAGS (\\*)] f",
	"* CAPABILITY", "* CAPABILITY IMAP4", "* OK [CAPABILITY IMAP4rev1] c", "* ENABLED QRESYNC", "* FLAGS ()", "* FLAGS NIL", "* SEARCH", "* SEARCH 1 0 4294967295",
	"* ESEARCH (TAG \"a1\") UID ALL 1:4294967295", "* VANISHED (EARLIER) 1:3", "* VANISHED 1:*", "* MAILBOX x", "* 1 COPY", "* 1 STORE", "+", "+ ", "+ more", "",
	"* X-UNKNOWN {3}\r\na\r\n b", "* X {4294967295}", "* X {4294967296}", "* 1 FETCH ()", "* 1 FETCH (FLAGS (\\Seen own))", "* 1 FETCH (UID 1 FLAGS ())",
	"* 2 FETCH (UID 1)", "* 0 FETCH (UID 5 FLAGS ())", "* 1 FETCH (UID 0 RFC822.SIZE 3)", "* 1 FETCH (UID 4294967295 RFC822.SIZE 3 FLAGS ())",
	"* 1 FETCH (ENVELOPE NIL BODYSTRUCTURE ((((NIL)))) MODSEQ (5))", "* 1 FETCH FLAGS (\\Deleted)", "* 3 FETCH (INTERNALDATE NIL)", "* 3 FETCH (RFC822.SIZE 9223372036854775807 UID 3)",
	"* STATUS INBOX ()", "* STATUS \"Archive\" (MESSAGES 4294967295 UIDNEXT 0 X (1 2))", "* QUOTA \"\" (STORAGE 9223372036854775807 1)", "* QUOTA \"\" (STORAGE 5 0)", "* LIST () NIL NIL",
	"a0 OK", "a1 OK again", "a99999999999999999999 OK", "b1 OK",
}

// hostileSync is what may come of RFC 7162 and RFC 4731.
var hostileSync = [...]string{
	"* VANISHED 1", "* VANISHED 1:3,2", "* VANISHED (EARLIER) 4294967295:1,0", "* VANISHED (LATER) 2", "* VANISHED 1:4294967295",
	"* OK [HIGHESTMODSEQ 1] m", "* OK [NOMODSEQ] none", "* ENABLED", "* ESEARCH (TAG \"a2\") UID", "* 1 FETCH (UID 1 FLAGS (later) MODSEQ (18446744073709551615))",
}

// untagged is a line that nobody asked for. The highest octets mean hostileSync, so
// that programs from before there was any mean what they did.
func (p *steps) untagged() string {
	b := int(p.next())
	if i := 254 - b; 0 <= i && i < len(hostileSync) { // 255 ends a part
		return hostileSync[i]
	}
	return hostileUntagged[b%len(hostileUntagged)]
}

// hostileNames are listed beside the true ones.
var hostileNames = [...]string{
	`"/" ".."`, `"/" "."`, `"/" "../../etc/passwd"`, `"/" "a/../b"`, `"/" "a//b"`, `"/" "/"`, `"/" "//"`, `"/" ""`, `NIL "x/y"`, `"." "x/y.z"`, `"/" "%2F"`, `"/" "&AC8-"`,
	`"/" "&-"`, `"/" "&bogus"`, `"/" "1"`, `"/" "Archive/1"`, `"/" "inbox"`, `"/" "Inbox/x"`, `"/" {3}` + "\r\na\x00b", `"/" {4}` + "\r\na\r\nb", `"\\" "a\\b"`, `"" "x"`, `"ab" "xaby"`,
	`"/" "` + strings.Repeat("n", 300) + `"`, `"/" "` + strings.Repeat("d/", 100) + `"`, `"/" "` + "\xff\xfe" + `"`, `"/" .mh_sequences`, `"/" Archive/`, `{1}` + "\r\n/ x", `"/" NIL`,
}

// hostileDone stand behind the tag.
var hostileDone = [...]string{"NO no", "BAD bad", "BYE bye", "OK", "OK [EXPUNGEISSUED] x", "NO [UNAVAILABLE] later", "NO [OVERQUOTA] x", "NO [NONEXISTENT] x",
	"NO [AUTHENTICATIONFAILED] x", "MAYBE", "PREAUTH x", "NO [\x1b]0;title\x07] x", "OK [CAPABILITY IMAP4] x", "NO [LIMIT] x", "", "NO [INUSE] " + strings.Repeat("x", 5000)}

var hostileSizes = [...]int{0, 1, 57, 1000, 5000, 600_000}

var hostileDigits = regexp.MustCompile(`[0-9]+`)

// mutate plays the program up to its next 0. Hostile.mu is held.
func (s *hostileSession) mutate(a *hostileAnswer) {
	p := &s.steps
	for range 64 {
		op := p.next()
		at := func() int { return p.below(len(a.lines) + 1) }
		switch op % 20 {
		case 0:
			return
		case 1:
			a.lines = slices.Insert(a.lines, at(), hostileLine{line: p.untagged()})
			s.h.renumb = true
		case 2:
			a.after = append(a.after, hostileLine{line: p.untagged()})
			s.h.renumb = true
		case 3, 4, 5, 6, 7, 8, 9:
			if len(a.lines) > 0 {
				s.mutateLine(a, op%20, p.below(len(a.lines)))
			}
		case 10:
			a.done = hostileDone[p.below(len(hostileDone))]
		case 11:
			a.cut = 1 + 8*p.below(256)
		case 12:
			s.chop = !s.chop
		case 13:
			a.silent = true
		case 14:
			a.say("* LIST " + []string{"()", `(\Noselect)`, `(\NonExistent \HasChildren)`, "NIL"}[p.below(4)] + " " + hostileNames[p.below(len(hostileNames))])
		case 15:
			s.mutateModel(p)
		case 16:
			n := p.below(32)
			raw := p.rest[:min(n, len(p.rest))]
			p.rest = p.rest[len(raw):]
			s.h.forged = true
			a.lines = slices.Insert(a.lines, at(), hostileLine{line: string(raw)})
		case 17:
			a.tag = []string{"a0", "*", "", "a18446744073709551616", "x", "a1"}[p.below(6)]
		case 18:
			a.plus = []string{"+", "+ ", "+ cGxlYXNl", "+ not base64"}[p.below(4)]
		case 19: // many of them
			line := p.untagged()
			for range 1 + 4*p.below(64) {
				a.lines = append(a.lines, hostileLine{line: line})
			}
			s.h.renumb = true
		}
	}
}

func (s *hostileSession) mutateLine(a *hostileAnswer, op byte, i int) {
	p := &s.steps
	l := &a.lines[i]
	switch op {
	case 3:
		a.lines = slices.Delete(a.lines, i, i+1)
		return
	case 4:
		if f := l.fetch; f != nil {
			again := *f
			a.lines = slices.Insert(a.lines, i, hostileLine{fetch: &again})
		} else {
			a.lines = slices.Insert(a.lines, i, *l)
		}
		return
	case 5:
		j := p.below(len(a.lines))
		a.lines[i], a.lines[j] = a.lines[j], a.lines[i]
		return
	}
	number := hostileNumbers[p.below(len(hostileNumbers))]
	f := l.fetch
	if f == nil {
		s.h.renumb = true
		places := hostileDigits.FindAllStringIndex(l.line, -1)
		if len(places) > 0 && !strings.Contains(l.line, "{") {
			at := places[p.below(len(places))]
			l.line = l.line[:at[0]] + number + l.line[at[1]:]
		}
		return
	}
	n, _ := strconv.ParseUint(number, 10, 64)
	switch op {
	case 6:
		s.h.renumb = true
		if f.hasUID {
			f.uid = uint32(n)
		} else {
			f.seq = uint32(n)
		}
	case 7:
		switch p.below(6) {
		case 0:
			f.said = int64(n)
		case 1:
			f.seq = uint32(n)
			s.h.renumb = true
		case 2:
			f.late = !f.late
		case 3:
			f.hasUID, f.uid = false, 0
			s.h.renumb = true
		case 4:
			f.bare = true
		case 5:
			f.flags = []string{"", `\Seen \seen`, "a b c", strings.Repeat("k", 3000), `\Recent`}[p.below(5)]
		}
	case 8:
		f.form = byte(p.below(6))
	case 9:
		switch p.below(5) {
		case 0:
			f.origin = int64(n)
			f.item = fmt.Sprintf("BODY[]<%d>", f.origin)
		case 1:
			f.count = int64(uint32(n)) % 700_000
		case 2:
			f.item, f.origin, f.count = "body[]", 0, -1
		case 3:
			f.date = []string{`"17-Jul-94 02:44:25-PDT"`, `NIL`, `"99-Foo-9999 99:99:99 +9999"`, `" 1-Jan-0001 00:00:00 +0000"`, `{3}` + "\r\nabc"}[p.below(5)]
		case 4:
			f.size = hostileSizes[p.below(len(hostileSizes))]
		}
	}
}

// mutateModel changes the mailboxes, whoever has them selected.
func (s *hostileSession) mutateModel(p *steps) {
	m := s.h.model
	b := m.boxes[m.names[p.below(len(m.names))]]
	kind := int(p.next())
	if kind < 254 { // as before there was any more
		kind %= 6
	}
	switch kind {
	case 0:
		b.add(hostileSizes[p.below(len(hostileSizes))], `\Flagged`)
	case 1:
		if n := len(b.messages); n > 0 {
			b.expunge(p.below(n))
		}
	case 2:
		b.validity += uint32(p.next())
	case 3:
		b.next = uint32(p.next())<<24 | b.next // UIDs rise, some of them very high
	case 4:
		for len(b.messages) > 0 {
			b.expunge(0)
		}
	case 5:
		for i := range b.messages {
			b.messages[i].size = hostileSizes[p.below(len(hostileSizes))]
		}
	case 254:
		if n := len(b.messages); n > 0 {
			b.flag(p.below(n), `\Answered`)
		}
	}
}

// render writes the answer. Hostile.mu is held.
func (a *hostileAnswer) render(s *hostileSession) []byte {
	var out []byte
	if a.plus != "" {
		out = append(out, a.plus+"\r\n"...)
	}
	entering := a.command == "EXAMINE"
	if entering {
		s.validity = 0
	}
	for _, l := range a.lines {
		if entering {
			s.enterLine(l.line)
		}
		out = l.render(out, s)
	}
	if entering {
		s.h.said[s.validity] = true
	}
	if a.tag != "" && a.plus == "" {
		out = append(out, a.tag+" "+a.done+"\r\n"...)
	}
	for _, l := range a.after {
		out = l.render(out, s)
	}
	return out
}

// enterLine notes which UIDVALIDITY an EXAMINE says.
func (s *hostileSession) enterLine(line string) {
	if strings.HasPrefix(line, "* OK [CLOSED]") {
		s.validity = 0
	}
	if rest, ok := strings.CutPrefix(line, "* OK [UIDVALIDITY "); ok {
		digits, _, _ := strings.Cut(rest, "]")
		if v, err := strconv.ParseUint(digits, 10, 32); err == nil {
			s.validity = uint32(v)
		}
	}
}

func (l hostileLine) render(out []byte, s *hostileSession) []byte {
	if l.fetch == nil {
		return append(out, l.line+"\r\n"...)
	}
	return l.fetch.render(out, s)
}

func (f *hostileFetch) render(out []byte, s *hostileSession) []byte {
	out = fmt.Appendf(out, "* %d FETCH ", f.seq)
	if !f.bare {
		out = append(out, '(')
	}
	begin := len(out)
	put := func(item, value string) {
		if len(out) > begin {
			out = append(out, ' ')
		}
		out = append(out, item+" "+value...)
	}
	uid := func() {
		if f.hasUID {
			put("UID", strconv.FormatUint(uint64(f.uid), 10))
		}
	}
	if !f.late {
		uid()
	}
	for _, fact := range f.facts {
		switch fact {
		case "FLAGS":
			put("FLAGS", "("+f.flags+")")
		case "MODSEQ":
			put("MODSEQ", fmt.Sprintf("(%d)", f.modSeq))
		case "RFC822.SIZE":
			put("RFC822.SIZE", strconv.FormatInt(f.said, 10))
		case "INTERNALDATE":
			date := f.date
			if date == "" {
				date = `"17-Jul-2024 02:44:25 +0200"`
			}
			put("INTERNALDATE", date)
		}
	}
	if f.item != "" {
		text := f.text(s)
		switch f.form {
		case 1:
			put(f.item, strconv.Quote(string(text[:min(len(text), 1000)])))
		case 2:
			put(f.item, "NIL")
		case 3:
			put(f.item, `""`)
		case 4:
		default:
			put(f.item, fmt.Sprintf("{%d}\r\n%s", len(text), text))
		}
	}
	if f.late {
		uid()
	}
	if !f.bare {
		out = append(out, ')')
	}
	return append(out, "\r\n"...)
}

// text is what the message holds from origin on.
func (f *hostileFetch) text(s *hostileSession) []byte {
	if f.origin < 0 || f.origin >= int64(f.size) {
		return nil
	}
	n := int64(f.size) - f.origin
	if f.count >= 0 {
		n = min(n, f.count)
	}
	unit := HostileText(s.name, s.validity, f.uid)
	if strings.HasSuffix(f.item, "[HEADER]") || f.item == "RFC822.HEADER" {
		n = min(n, int64(len(unit)))
	}
	skip := int(f.origin % int64(len(unit)))
	return bytes.Repeat([]byte(unit), int(n)/len(unit)+2)[skip:][:n]
}
