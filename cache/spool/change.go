package spool

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"imapfs/imapconn/imapwire"
)

// Move is messages that are being moved by COPY and a deletion.
type Move struct {
	From     string // the mailbox on the wire
	Validity UIDValidity
	UIDs     imapwire.UIDSet
	To       string
}

// Parking is a mailbox that was renamed so that it can be looked into before it is
// deleted, and must get its name back if it is not.
type Parking struct {
	Old, New string // on the wire
}

// renaming is a RENAME that the server has done. delim is that of the names, 0
// where there is none.
type renaming struct {
	old, new Mailbox
	delim    rune
}

// rename gives the new name of a mailbox: of the one renamed or one below it.
func (r *renaming) rename(wire string) (string, bool) {
	if wire == r.old.Wire && wire != "" {
		return r.new.Wire, true
	}
	if below := r.old.Wire + string(r.delim); r.delim != 0 && r.old.Wire != "" && strings.HasPrefix(wire, below) {
		return r.new.Wire + string(r.delim) + wire[len(below):], true
	}
	return wire, false
}

// change is one line of the journal.
type change struct {
	key      string // hide, show, forget, move, park, rename, end
	id       string // of move, park, rename, end
	mailbox  string // of hide, show, forget; the one that is moved from, parked, renamed
	to       string
	validity UIDValidity
	uids     imapwire.UIDSet
	delim    rune
	path     []string // of to, in rename
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append writes the line: a sum of the rest, in eight digits, and the rest.
func (c *change) append(b []byte) []byte {
	w := writer{}
	switch c.key {
	case "hide", "show":
		w.line(c.key, c.mailbox, c.validity, c.uids.String())
	case "forget":
		w.line(c.key, c.mailbox)
	case "move":
		w.line(c.key, c.id, c.mailbox, c.validity, c.uids.String(), c.to)
	case "park":
		w.line(c.key, c.id, c.mailbox, c.to)
	case "rename":
		w.line(c.key, append([]any{c.id, c.mailbox, c.to, c.delim}, anys(c.path)...)...)
	case "end":
		w.line(c.key, c.id)
	}
	return append(fmt.Appendf(b, "%08x ", crc32.Checksum(w.b, castagnoli)), w.b...)
}

// parseChange reads a line with its LF; false if it is not one that append writes.
func parseChange(line string) (change, bool) {
	if len(line) < 10 || len(line) > maxLine || line[8] != ' ' || line[len(line)-1] != '\n' {
		return change{}, false
	}
	sum, err := strconv.ParseUint(line[:8], 16, 32)
	if err != nil || uint32(sum) != crc32.Checksum([]byte(line[9:]), castagnoli) {
		return change{}, false
	}
	r := reader{rest: line[9 : len(line)-1]}
	c := change{key: r.word()}
	switch c.key {
	case "hide", "show":
		c.mailbox, c.validity, c.uids = r.text(), UIDValidity(r.number(32)), r.uids()
	case "forget":
		c.mailbox = r.text()
	case "move":
		c.id, c.mailbox, c.validity, c.uids, c.to = r.text(), r.text(), UIDValidity(r.number(32)), r.uids(), r.text()
	case "park":
		c.id, c.mailbox, c.to = r.text(), r.text(), r.text()
	case "rename":
		c.id, c.mailbox, c.to, c.delim = r.text(), r.text(), r.text(), rune(r.number(31))
		c.path = r.texts(maxLevels)
	case "end":
		c.id = r.text()
	default:
		r.failed = true
	}
	if r.failed || r.rest != "" || string(c.append(nil)) != line {
		return change{}, false
	}
	return c, true
}

// uids reads a set of UIDs in quotes.
func (r *reader) uids() imapwire.UIDSet {
	set, err := imapwire.ParseUIDSet(r.text())
	r.failed = r.failed || err != nil
	return set
}

// without is the set a without those of b.
func without(a, b imapwire.UIDSet) imapwire.UIDSet {
	var left imapwire.UIDSet
	i := 0
	for _, r := range a {
		first := uint64(r.First)
		for i < len(b) && b[i].Last < r.First {
			i++
		}
		for k := i; k < len(b) && b[k].First <= r.Last; k++ {
			if uint64(b[k].First) > first {
				left = append(left, imapwire.UIDRange{First: UID(first), Last: b[k].First - 1})
			}
			first = uint64(b[k].Last) + 1
		}
		if first <= uint64(r.Last) {
			left = append(left, imapwire.UIDRange{First: UID(first), Last: r.Last})
		}
	}
	return left
}
