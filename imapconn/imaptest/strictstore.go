package imaptest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// append is APPEND (section 6.3.10). A mailbox that is missing is TRYCREATE.
func (se *strictSession) append(c *strictCommand) {
	p := &c.args
	p.space()
	name := p.astring()
	p.space()
	var flags []string
	if p.peek() == '(' {
		flags = p.flagList()
		p.space()
	}
	date := time.Now()
	if p.peek() == '"' {
		date = p.dateTime()
		p.space()
	}
	text := bytes.Clone(p.literal())
	if !c.whole() {
		return
	}
	b := se.s.find(name)
	if b == nil {
		se.printf("%s NO [TRYCREATE] no such mailbox", c.tag)
		return
	}
	se.s.deliver(b, text, date, flags)
	se.tell()
	se.ok(c)
}

// store is STORE and UID STORE (section 6.4.6 of the grammar's store_att_flags).
func (se *strictSession) store(c *strictCommand) {
	p := &c.args
	p.space()
	set := p.set()
	p.space()
	sign := p.peek()
	if sign == '+' || sign == '-' {
		p.b = p.b[1:]
	}
	what := p.word()
	if what != "FLAGS" && what != "FLAGS.SILENT" {
		p.fail("FLAGS")
	}
	p.space()
	var flags []string
	if p.peek() == '(' {
		flags = p.flagList()
	} else {
		for p.bad == "" {
			flags = append(flags, p.flag())
			if !p.accept(' ') {
				break
			}
		}
	}
	if !c.whole() {
		return
	}
	uids := c.name == "UID STORE"
	wanted, ok := se.wanted(set, uids)
	switch {
	case !ok:
		se.printf("%s BAD no such message", c.tag)
		return
	case se.readOnly:
		se.printf("%s NO [READ-ONLY] the mailbox was examined", c.tag)
		return
	}
	for _, m := range wanted {
		if m.gone {
			continue
		}
		m.store(sign, flags)
		se.s.changed(se.box, m, se)
		if what == "FLAGS.SILENT" {
			continue
		}
		data := "FLAGS (" + strings.Join(m.allFlags(), " ") + ")"
		if uids {
			data = fmt.Sprintf("UID %d %s", m.uid, data)
		}
		seq := slices.Index(se.view, m) + 1
		se.answerFetch(seq, data)
		if se.s.options.Obsolete {
			se.printf("* %d STORE (%s)", seq, data)
		}
	}
	se.tellExists()
	se.ok(c)
}

func (m *strictMessage) store(sign byte, flags []string) {
	same := func(a string) func(string) bool { return func(b string) bool { return strings.EqualFold(a, b) } }
	if sign != '-' && sign != '+' {
		m.flags = nil
	}
	for _, f := range flags {
		m.flags = slices.DeleteFunc(m.flags, same(f))
		if sign != '-' {
			m.flags = append(m.flags, f)
		}
	}
}

// copy is COPY and UID COPY (section 6.4.8).
func (se *strictSession) copy(c *strictCommand) {
	c.args.space()
	set := c.args.set()
	c.args.space()
	name := c.args.astring()
	if !c.whole() {
		return
	}
	b := se.s.find(name)
	if b == nil {
		se.printf("%s NO [TRYCREATE] no such mailbox", c.tag)
		return
	}
	wanted, ok := se.wanted(set, c.name == "UID COPY")
	if !ok {
		se.printf("%s BAD no such message", c.tag)
		return
	}
	for _, m := range wanted {
		if m.gone {
			continue
		}
		se.s.deliver(b, m.text, m.date, m.flags)
		if se.s.options.Obsolete {
			se.printf("* %d COPY", slices.Index(se.view, m)+1)
		}
	}
	se.tell()
	se.ok(c)
}

// expunge is EXPUNGE (section 6.4.3).
func (se *strictSession) expunge(c *strictCommand) {
	if !c.whole() {
		return
	}
	if se.readOnly {
		se.printf("%s NO [READ-ONLY] the mailbox was examined", c.tag)
		return
	}
	se.s.expunge(se.box, (*strictMessage).deleted)
	se.tell()
	se.ok(c)
}
