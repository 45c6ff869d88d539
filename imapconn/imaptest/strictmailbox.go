package imaptest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// list is LIST and LSUB (sections 6.3.7 and 6.3.8). `LIST "" ""` has no meaning yet:
// nothing matches.
func (se *strictSession) list(c *strictCommand) {
	c.args.space()
	reference := c.args.astring()
	c.args.space()
	pattern := c.args.listMailbox()
	if !c.whole() {
		return
	}
	match := se.s.options.matcher(reference + pattern)
	for _, b := range se.s.boxes {
		if !match.MatchString(b.name) && !(strings.EqualFold(b.name, "INBOX") && match.MatchString("INBOX")) {
			continue
		}
		if c.name == "LIST" || se.s.subscribed[b.name] {
			se.printf(`* %s () %s %s`, c.name, se.s.options.delimiterText(), wireString(b.name))
		}
	}
	se.ok(c)
}

func (o StrictOptions) delimiterText() string {
	switch o.Delimiter {
	case 0:
		return "NIL"
	case '"', '\\':
		return `"\` + string(rune(o.Delimiter)) + `"`
	}
	return `"` + string(rune(o.Delimiter)) + `"`
}

// matcher is a pattern with * and %.
func (o StrictOptions) matcher(pattern string) *regexp.Regexp {
	level := "[\x00-\xff]*"
	if o.Delimiter != 0 {
		level = "[^" + regexp.QuoteMeta(string(rune(o.Delimiter))) + "]*"
	}
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*`, "(?s:.*)")
	return regexp.MustCompile("^(?s:" + strings.ReplaceAll(quoted, "%", level) + ")$")
}

// wireString is a name as LIST gives it: a literal where it is not 7-bit.
func wireString(name string) string {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= 0x7f {
			return "{" + strconv.Itoa(len(name)) + "}\r\n" + name
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

func (se *strictSession) create(c *strictCommand) {
	c.args.space()
	name := c.args.astring()
	if !c.whole() {
		return
	}
	if d := se.s.options.Delimiter; d != 0 {
		name = strings.TrimSuffix(name, string(rune(d)))
	}
	if name == "" || se.s.find(name) != nil {
		se.printf("%s NO create failure: there is one", c.tag)
		return
	}
	se.s.create(name)
	se.tell()
	se.ok(c)
}

func (se *strictSession) delete(c *strictCommand) {
	c.args.space()
	name := c.args.astring()
	if !c.whole() {
		return
	}
	b := se.s.find(name)
	if b == nil || sameBox(name, "INBOX") {
		se.printf("%s NO delete failure", c.tag)
		return
	}
	se.s.boxes = slices.DeleteFunc(se.s.boxes, func(x *strictBox) bool { return x == b })
	se.ok(c)
}

// rename moves the mailboxes below it, too. INBOX cannot be a destination; as a
// source it gives its messages and stays.
func (se *strictSession) rename(c *strictCommand) {
	c.args.space()
	from := c.args.astring()
	c.args.space()
	to := c.args.astring()
	if !c.whole() {
		return
	}
	b := se.s.find(from)
	if b == nil || to == "" || se.s.find(to) != nil {
		se.printf("%s NO rename failure", c.tag)
		return
	}
	if sameBox(from, "INBOX") {
		moved := se.s.create(to)
		for _, m := range b.messages {
			se.s.deliver(moved, m.text, m.date, m.flags)
		}
		se.s.expunge(b, func(*strictMessage) bool { return true })
		se.ok(c)
		return
	}
	for _, x := range se.s.boxes {
		if d := se.s.options.Delimiter; d != 0 && strings.HasPrefix(x.name, from+string(rune(d))) {
			x.name = to + x.name[len(from):]
		}
	}
	b.name = to
	se.ok(c)
}

// subscribe is SUBSCRIBE and UNSUBSCRIBE.
func (se *strictSession) subscribe(c *strictCommand) {
	c.args.space()
	name := c.args.astring()
	if !c.whole() {
		return
	}
	if c.name == "SUBSCRIBE" && se.s.find(name) == nil {
		se.printf("%s NO no such mailbox", c.tag)
		return
	}
	se.s.subscribed[name] = c.name == "SUBSCRIBE"
	se.ok(c)
}
