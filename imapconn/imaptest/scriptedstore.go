package imaptest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"imapfs/imapconn/imapwire"
)

// What changes a mailbox: APPEND, UID REPLACE (RFC 8508), UID STORE and UID EXPUNGE. They
// are answered whatever is offered; APPENDUID is named only with UIDPLUS.

// change answers such a command, but for the tagged answer, which it gives.
func (se *session) change(c *Call) string {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	switch c.Name {
	case "APPEND":
		return se.append(c.Args)
	case "UID REPLACE":
		return se.replace(c.Args)
	case "UID STORE":
		return se.store(c.Args)
	}
	return se.expunge(c.Args)
}

// replace is UID REPLACE. APPENDUID comes before the EXPUNGE (RFC 8508 §4.3).
func (se *session) replace(args string) string {
	number, args, _ := strings.Cut(args, " ")
	uids, err := imapwire.ParseUIDSet(number)
	if err != nil || se.box == nil {
		return "BAD no number, or no mailbox"
	}
	old := uids[0].First
	if se.box.message(old) == nil {
		return "NO there is no such message"
	}
	said := se.append(args)
	if !strings.HasPrefix(said, "OK") {
		return said
	}
	if said != "OK done" {
		se.printf("* %s", said)
	}
	se.box.remove(old, DovecotGone)
	se.tell()
	return "OK done"
}

// append stores a message; the answer is what APPEND's would be.
func (se *session) append(args string) string {
	words := wordsOf(args)
	b := se.find(args)
	if b == nil {
		return "NO [TRYCREATE] no such mailbox"
	}
	flags, date := "", time.Now()
	for _, w := range words[1:max(1, len(words)-1)] {
		if inside, isList := strings.CutPrefix(w, "("); isList {
			flags = strings.TrimSuffix(inside, ")")
		} else if t, err := imapwire.ParseDateTime(unquoted(w)); err == nil {
			date = t
		}
	}
	m := b.add([]byte(unquoted(words[len(words)-1])), flags, date)
	if strings.Contains(" "+se.s.caps+" ", " UIDPLUS ") {
		return fmt.Sprintf("OK [APPENDUID %d %d] done", b.validity, m.uid)
	}
	return "OK done"
}

// store is UID STORE of flags that are put on or taken off.
func (se *session) store(args string) string {
	words := wordsOf(args)
	uids, err := imapwire.ParseUIDSet(words[0])
	if err != nil || se.box == nil || len(words) != 3 {
		return "BAD no set, no mailbox or no flags"
	}
	for _, flag := range strings.Fields(strings.Trim(words[2], "()")) {
		for _, m := range se.box.messages {
			if !uids.Contains(m.uid) {
				continue
			}
			flags := slices.DeleteFunc(strings.Fields(m.flags), func(f string) bool { return strings.EqualFold(f, flag) })
			if words[1][0] == '+' {
				flags = append(flags, flag)
			}
			m.flags = strings.Join(flags, " ")
		}
	}
	return "OK done"
}

// expunge is UID EXPUNGE.
func (se *session) expunge(args string) string {
	uids, err := imapwire.ParseUIDSet(args)
	if err != nil || se.box == nil {
		return "BAD no set, or no mailbox"
	}
	for _, m := range slices.Clone(se.box.messages) {
		if uids.Contains(m.uid) && strings.Contains(m.flags, `\Deleted`) {
			se.box.remove(m.uid, DovecotGone)
		}
	}
	se.tell()
	return "OK done"
}

// wordsOf splits arguments at blanks that stand in neither quotes nor parentheses.
func wordsOf(args string) []string {
	var words []string
	from, quoted, nested := 0, false, false
	for i := 0; i < len(args); i++ {
		switch b := args[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '(' || b == ')':
			nested = b == '('
		case b == ' ' && !nested:
			words = append(words, args[from:i])
			from = i + 1
		}
	}
	return append(words, args[from:])
}
