package imaptest

import (
	"slices"
	"strings"
)

// enter is SELECT and EXAMINE (sections 6.3.1 and 6.3.2). UIDVALIDITY is the only
// code that a client may count on.
func (se *strictSession) enter(c *strictCommand) {
	c.args.space()
	name := c.args.astring()
	if !c.whole() {
		return
	}
	se.leave()
	b := se.s.find(name)
	if b == nil {
		se.printf("%s NO no such mailbox", c.tag)
		return
	}
	se.box, se.readOnly, se.view = b, c.name == "EXAMINE", slices.Clone(b.messages)
	recent, unseen := 0, 0
	for i, m := range b.messages {
		if m.recent {
			recent++
		}
		if unseen == 0 && !slices.Contains(m.flags, `\Seen`) {
			unseen = i + 1
		}
	}
	se.printf(`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)`)
	se.printf("* %d EXISTS", len(b.messages))
	se.printf("* %d RECENT", recent)
	se.printf("* OK [UIDVALIDITY %d] UIDs valid", b.validity)
	if unseen > 0 {
		se.printf("* OK [UNSEEN %d] is the first", unseen)
	}
	if se.s.options.Obsolete {
		se.printf("* MAILBOX %s", b.name)
	}
	switch {
	case se.readOnly && !se.s.options.NoPermanentFlags:
		se.printf(`* OK [PERMANENTFLAGS ()] nothing can be changed`)
	case !se.s.options.NoPermanentFlags:
		se.printf(`* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft \*)] these stay`)
	}
	if se.readOnly {
		se.printf("%s OK [READ-ONLY] EXAMINE completed", c.tag)
		return
	}
	for _, m := range b.messages {
		m.recent = false
	}
	se.printf("%s OK [READ-WRITE] SELECT completed", c.tag)
}

// leave leaves the mailbox without expunging anything.
func (se *strictSession) leave() { se.box, se.view, se.changed = nil, nil, nil }

// close is CLOSE (section 6.4.2): it expunges, but not after EXAMINE.
func (se *strictSession) close(c *strictCommand) {
	if !c.whole() {
		return
	}
	if !se.readOnly {
		se.s.expunge(se.box, (*strictMessage).deleted)
	}
	se.leave()
	se.ok(c)
}

func (m *strictMessage) deleted() bool { return slices.Contains(m.flags, `\Deleted`) }

// tell says what has happened since: it goes with the answer to a command that is
// no FETCH, STORE or SEARCH (section 7.3.1).
func (se *strictSession) tell() {
	if se.box == nil {
		return
	}
	se.tellExpunged()
	se.tellExists()
	se.tellFlags()
}

func (se *strictSession) tellExpunged() {
	for i := len(se.view) - 1; i >= 0; i-- {
		if se.view[i].gone {
			se.view = slices.Delete(se.view, i, i+1)
			se.printf("* %d EXPUNGE", i+1)
		}
	}
}

// tellExists says how many messages there are, those that were expunged and not
// told of counted.
func (se *strictSession) tellExists() {
	known := len(se.view)
	last := uint64(0)
	for _, m := range se.view {
		last = max(last, uint64(m.uid))
	}
	for _, m := range se.box.messages {
		if uint64(m.uid) > last {
			se.view = append(se.view, m)
		}
	}
	if len(se.view) > known {
		se.printf("* %d EXISTS", len(se.view))
		se.printf("* %d RECENT", len(se.view)-known)
	}
}

func (se *strictSession) tellFlags() {
	for i, m := range se.view {
		if slices.Contains(se.changed, m) {
			se.answerFetch(i+1, "FLAGS ("+strings.Join(m.allFlags(), " ")+")")
		}
	}
	se.changed = nil
}
