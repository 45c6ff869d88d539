package imaptest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// strictKey says whether a message matches; n is its number.
type strictKey func(m *strictMessage, n int) bool

// search is SEARCH and UID SEARCH (section 6.4.4).
func (se *strictSession) search(c *strictCommand) {
	p := &c.args
	p.space()
	if rest, ok := cutFold(p.b, "CHARSET "); ok {
		p.b = rest
		if charset := p.astring(); !strings.EqualFold(charset, "US-ASCII") {
			se.printf("%s NO only US-ASCII can be searched", c.tag)
			return
		}
		p.space()
	}
	key := p.searchKeys(se)
	if !c.whole() {
		return
	}
	found := "* SEARCH"
	for i, m := range se.view {
		if m.gone || !key(m, i+1) {
			continue
		}
		if c.name == "SEARCH" {
			found += fmt.Sprintf(" %d", i+1)
		} else {
			found += fmt.Sprintf(" %d", m.uid)
		}
	}
	se.printf("%s", found)
	se.tellExists()
	se.ok(c)
}

func cutFold(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || !strings.EqualFold(string(b[:len(prefix)]), prefix) {
		return b, false
	}
	return b[len(prefix):], true
}

// searchKeys are all to match.
func (p *strictParser) searchKeys(se *strictSession) strictKey {
	var keys []strictKey
	for p.bad == "" {
		keys = append(keys, p.searchKey(se))
		if p.peek() != ' ' {
			break
		}
		p.space()
	}
	return func(m *strictMessage, n int) bool {
		return !slices.ContainsFunc(keys, func(k strictKey) bool { return !k(m, n) })
	}
}

func (p *strictParser) searchKey(se *strictSession) strictKey {
	if p.accept('(') {
		key := p.searchKeys(se)
		p.expect(')')
		return key
	}
	if c := p.peek(); c == '*' || '0' <= c && c <= '9' {
		set := p.set()
		return func(_ *strictMessage, n int) bool { return set.has(uint64(n), uint64(len(se.view))) }
	}
	word := p.word()
	if flag, ok := strictFlagKeys[strings.TrimPrefix(word, "UN")]; ok {
		want := !strings.HasPrefix(word, "UN")
		return func(m *strictMessage, _ int) bool { return slices.Contains(m.allFlags(), flag) == want }
	}
	return p.searchArgument(se, word)
}

var strictFlagKeys = map[string]string{"ANSWERED": `\Answered`, "DELETED": `\Deleted`, "DRAFT": `\Draft`,
	"FLAGGED": `\Flagged`, "SEEN": `\Seen`, "RECENT": `\Recent`}

func (p *strictParser) searchArgument(se *strictSession, word string) strictKey {
	switch word {
	case "ALL":
		return func(*strictMessage, int) bool { return true }
	case "NEW":
		return func(m *strictMessage, _ int) bool { return m.recent && !slices.Contains(m.flags, `\Seen`) }
	case "OLD":
		return func(m *strictMessage, _ int) bool { return !m.recent }
	}
	p.space()
	switch word {
	case "NOT":
		key := p.searchKey(se)
		return func(m *strictMessage, n int) bool { return !key(m, n) }
	case "OR":
		a := p.searchKey(se)
		p.space()
		b := p.searchKey(se)
		return func(m *strictMessage, n int) bool { return a(m, n) || b(m, n) }
	case "UID":
		set := p.set()
		return func(m *strictMessage, _ int) bool {
			return set.has(uint64(m.uid), uint64(se.view[len(se.view)-1].uid))
		}
	case "KEYWORD", "UNKEYWORD":
		flag := p.atom()
		return func(m *strictMessage, _ int) bool {
			return slices.ContainsFunc(m.flags, func(f string) bool { return strings.EqualFold(f, flag) }) == (word == "KEYWORD")
		}
	case "LARGER", "SMALLER":
		n := int(p.number())
		return func(m *strictMessage, _ int) bool {
			return word == "LARGER" && len(m.text) > n || word == "SMALLER" && len(m.text) < n
		}
	case "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE":
		return searchDate(strings.TrimPrefix(word, "SENT"), p.date(), strings.HasPrefix(word, "SENT"))
	case "HEADER":
		field := p.astring()
		p.space()
		return searchHeader(field, p.astring())
	case "SUBJECT", "FROM", "TO", "CC", "BCC":
		return searchHeader(word, p.astring())
	case "TEXT", "BODY":
		part := wholeText
		if word == "BODY" {
			part = bodyText
		}
		sought := []byte(strings.ToLower(p.astring()))
		return func(m *strictMessage, _ int) bool {
			text, _ := part(m.text)
			return bytes.Contains(bytes.ToLower(text), sought)
		}
	}
	p.fail("a search key of RFC 1730")
	return nil
}

// searchDate compares days: of the message's arrival, or of its Date field.
func searchDate(word string, day time.Time, sent bool) strictKey {
	return func(m *strictMessage, _ int) bool {
		t := m.date
		if sent {
			line, _ := headerLines([]string{"Date"}, true)(m.text)
			_, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
			var err error
			if t, err = time.Parse(time.RFC1123Z, strings.TrimSpace(value)); err != nil {
				return false
			}
		}
		of := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		switch word {
		case "BEFORE":
			return of.Before(day)
		case "ON":
			return of.Equal(day)
		}
		return !of.Before(day)
	}
}

// searchHeader finds fields of that name that hold a text.
func searchHeader(field, text string) strictKey {
	return func(m *strictMessage, _ int) bool {
		lines, _ := headerLines([]string{field}, true)(m.text)
		_, value, there := strings.Cut(strings.TrimSpace(string(lines)), ":")
		return there && strings.Contains(strings.ToLower(value), strings.ToLower(text))
	}
}
