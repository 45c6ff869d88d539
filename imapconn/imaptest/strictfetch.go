package imaptest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"imapfs/imapconn/imapwire"
)

// strictItem is one data item of a FETCH.
type strictItem struct {
	name  string // as in the answer: RFC822, BODY[0]
	part  func(text []byte) ([]byte, bool)
	seen  bool // sets \Seen
	value func(m *strictMessage) string
	none  bool // nothing is kept for it
}

// fetchAtt reads a fetch_att (section 9). With PARTIAL only texts are valid.
func (p *strictParser) fetchAtt(se *strictSession, partial bool) strictItem {
	name := p.word()
	texts := func(name string, part func([]byte) ([]byte, bool), seen bool) strictItem {
		return strictItem{name: name, part: part, seen: seen}
	}
	switch name {
	case "RFC822", "RFC822.PEEK":
		return texts("RFC822", wholeText, name == "RFC822")
	case "RFC822.TEXT", "RFC822.TEXT.PEEK":
		return texts("RFC822.TEXT", bodyText, name == "RFC822.TEXT")
	case "RFC822.HEADER":
		return texts(name, headerText, false)
	case "BODY", "BODY.PEEK":
		if p.accept('[') {
			section := p.section()
			p.expect(']')
			return texts("BODY["+section+"]", sectionText(section), name == "BODY")
		}
	}
	if partial {
		p.fail("a text")
		return strictItem{}
	}
	switch name {
	case "RFC822.HEADER.LINES", "RFC822.HEADER.LINES.NOT":
		p.space()
		names := p.headerList()
		return texts("RFC822.HEADER", headerLines(names, name == "RFC822.HEADER.LINES"), false)
	case "RFC822.SIZE":
		return strictItem{name: name, value: func(m *strictMessage) string { return fmt.Sprint(len(m.text)) }}
	case "FLAGS":
		return strictItem{name: name, value: func(m *strictMessage) string { return "(" + strings.Join(m.allFlags(), " ") + ")" }}
	case "UID":
		return strictItem{name: name, value: func(m *strictMessage) string { return fmt.Sprint(m.uid) }}
	case "INTERNALDATE":
		return strictItem{name: name, value: func(m *strictMessage) string { return se.s.options.dateText(m.date) }}
	case "BODY", "BODYSTRUCTURE", "ENVELOPE":
		return strictItem{name: name, none: true}
	}
	p.fail("a data item of RFC 1730")
	return strictItem{}
}

// section is numbers with dots, one at least; 0 only as the last.
func (p *strictParser) section() string {
	var b strings.Builder
	for p.bad == "" {
		if p.accept('0') {
			b.WriteByte('0')
			break
		}
		fmt.Fprint(&b, p.nzNumber())
		if !p.accept('.') {
			break
		}
		b.WriteByte('.')
	}
	return b.String()
}

func (o StrictOptions) dateText(t time.Time) string {
	if o.OldDates {
		return `"` + t.In(time.FixedZone("PDT", -7*3600)).Format("_2-Jan-06 15:04:05") + `-PDT"`
	}
	return `"` + imapwire.FormatDateTime(t) + `"`
}

// fetch is FETCH and UID FETCH (section 6.4.5).
func (se *strictSession) fetch(c *strictCommand) {
	p := &c.args
	p.space()
	set := p.set()
	p.space()
	var items []strictItem
	if p.accept('(') {
		for p.bad == "" {
			items = append(items, p.fetchAtt(se, false))
			if p.accept(')') {
				break
			}
			p.space()
		}
	} else {
		macro := map[string]string{"ALL": "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE",
			"FAST": "FLAGS INTERNALDATE RFC822.SIZE", "FULL": "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY"}
		if words, ok := macro[strings.ToUpper(string(p.b))]; ok {
			p.b = nil
			for word := range strings.FieldsSeq(words) {
				items = append(items, (&strictParser{b: []byte(word)}).fetchAtt(se, false))
			}
		} else {
			items = append(items, p.fetchAtt(se, false))
		}
	}
	if !c.whole() {
		return
	}
	if slices.ContainsFunc(items, func(i strictItem) bool { return i.none }) {
		se.printf("%s NO this server keeps neither envelopes nor structures", c.tag)
		return
	}
	uids := c.name == "UID FETCH"
	if uids {
		items = slices.DeleteFunc(items, func(i strictItem) bool { return i.name == "UID" })
		uid := (&strictParser{b: []byte("UID")}).fetchAtt(se, false)
		items = append(items, uid) // behind the texts, where few expect it
	}
	wanted, ok := se.wanted(set, uids)
	if !ok {
		se.printf("%s BAD no such message", c.tag)
		return
	}
	for n, m := range wanted {
		if uids && se.s.options.ExpungeInFetch && n > 0 {
			se.tellExpunged()
		}
		se.answer(m, items, nil)
	}
	se.tellExists()
	se.ok(c)
}

// wanted are the messages of a set; false where a message number is none's. What is
// expunged is in it as long as the session was not told.
func (se *strictSession) wanted(set strictSet, uids bool) (found []*strictMessage, ok bool) {
	largest := uint64(len(se.view))
	if uids && largest > 0 {
		largest = uint64(se.view[largest-1].uid)
	}
	for i, m := range se.view {
		n := uint64(i + 1)
		if uids {
			n = uint64(m.uid)
		}
		if set.has(n, largest) {
			found = append(found, m)
		}
	}
	if uids {
		return found, true
	}
	for _, r := range set {
		for _, n := range []uint64{r.first, r.last} {
			if n != strictStar && n > uint64(len(se.view)) || n == strictStar && len(se.view) == 0 {
				return nil, false
			}
		}
	}
	return found, true
}

// cut is the part of a text that PARTIAL asks for.
type strictCut struct{ first, octets uint32 }

// answer writes the FETCH of one message. Of one that is expunged nothing is left.
func (se *strictSession) answer(m *strictMessage, items []strictItem, cut *strictCut) {
	seq := slices.Index(se.view, m) + 1
	if seq == 0 || m.gone {
		return
	}
	var data []string
	seen := false
	for _, item := range items {
		if item.value != nil {
			data = append(data, item.name+" "+item.value(m))
			continue
		}
		text, there := item.part(m.text)
		if !there {
			data = append(data, item.name+" NIL")
			continue
		}
		if cut != nil {
			from := min(int(cut.first)-1, len(text))
			text = text[from:min(from+int(cut.octets), len(text))]
		}
		data = append(data, fmt.Sprintf("%s {%d}\r\n%s", item.name, len(text), text))
		seen = seen || item.seen
	}
	if seen && !se.readOnly && !slices.Contains(m.flags, `\Seen`) {
		m.flags = append(m.flags, `\Seen`)
		se.s.changed(se.box, m, se)
		data = append(data, "FLAGS ("+strings.Join(m.allFlags(), " ")+")")
	}
	se.answerFetch(seq, strings.Join(data, " "))
}

// answerFetch writes FETCH data.
func (se *strictSession) answerFetch(seq int, data string) {
	if se.s.options.BareFetch {
		se.printf("* %d FETCH %s", seq, data)
	} else {
		se.printf("* %d FETCH (%s)", seq, data)
	}
}

// partial is PARTIAL (section 6.4.6). Octets count from 1.
func (se *strictSession) partial(c *strictCommand) {
	p := &c.args
	p.space()
	n := p.nzNumber()
	p.space()
	item := p.fetchAtt(se, true)
	p.space()
	first := p.number()
	p.space()
	octets := p.number()
	if !c.whole() {
		return
	}
	if first == 0 || int(n) > len(se.view) {
		se.printf("%s BAD no such octet or message", c.tag)
		return
	}
	se.answer(se.view[n-1], []strictItem{item}, &strictCut{first, octets})
	se.tell() // EXPUNGE is not forbidden here
	se.ok(c)
}

func wholeText(text []byte) ([]byte, bool) { return text, true }

// headerEnd is behind the empty line.
func headerEnd(text []byte) int {
	if bytes.HasPrefix(text, []byte("\r\n")) {
		return 2
	}
	if i := bytes.Index(text, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return len(text)
}

func headerText(text []byte) ([]byte, bool) { return text[:headerEnd(text)], true }

func bodyText(text []byte) ([]byte, bool) { return text[headerEnd(text):], true }

// sectionText is a section of a message without parts: [0] is its header, [1] its
// body.
func sectionText(section string) func([]byte) ([]byte, bool) {
	switch section {
	case "0":
		return headerText
	case "1":
		return bodyText
	}
	return func([]byte) ([]byte, bool) { return nil, false }
}

// headerLines keeps the fields that are named, or the others.
func headerLines(names []string, keep bool) func([]byte) ([]byte, bool) {
	return func(text []byte) ([]byte, bool) {
		var out []byte
		kept := false
		header, _ := headerText(text)
		for _, line := range bytes.SplitAfter(header, []byte("\r\n")) {
			if len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
				name, _, _ := bytes.Cut(line, []byte(":"))
				named := slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, string(name)) })
				kept = named == keep && len(bytes.TrimRight(line, "\r\n")) > 0
			}
			if kept {
				out = append(out, line...)
			}
		}
		return append(out, "\r\n"...), true
	}
}
