package imaptest

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imapfs/imapconn/imapwire"
)

// answer is the model: an honest server, but for what the test asked for.
func (se *session) answer(c *Call) {
	defer se.flush()
	switch c.Name {
	case "CAPABILITY":
		se.s.mu.Lock()
		caps := se.s.caps
		se.s.mu.Unlock()
		se.printf("* CAPABILITY %s", caps)
	case "LOGIN":
		if strings.ReplaceAll(c.Args, `"`, "") != se.s.User+" "+se.s.Password {
			se.printf("%s NO [AUTHENTICATIONFAILED] wrong password", c.tag)
			return
		}
	case "LOGOUT":
		se.printf("* BYE until soon")
	case "NOOP", "CHECK":
		se.s.mu.Lock()
		if se.box != nil {
			se.tell()
		}
		se.s.mu.Unlock()
	case "LIST":
		se.listAnswer(c)
	case "STATUS":
		if !se.status(c) {
			return
		}
	case "EXAMINE", "SELECT":
		se.examine(c)
		return
	case "UNSELECT":
		se.s.mu.Lock()
		se.box, se.view = nil, nil
		se.s.mu.Unlock()
	case "UID FETCH":
		se.fetch(c)
		return
	case "UID SEARCH":
		se.s.mu.Lock()
		found := "* SEARCH"
		for _, uid := range se.view {
			found += fmt.Sprintf(" %d", uid)
		}
		se.s.mu.Unlock()
		se.printf("%s", found)
	case "APPEND", "UID REPLACE", "UID STORE", "UID EXPUNGE":
		said := se.change(c)
		se.printf("%s %s", c.tag, said)
		return
	case "IDLE":
		if !se.idle() {
			return
		}
	default:
		se.printf("%s BAD unknown command", c.tag)
		return
	}
	se.printf("%s OK done", c.tag)
}

func (se *session) listAnswer(c *Call) {
	if strings.HasSuffix(c.Args, `""`) {
		se.printf(`* LIST (\Noselect) "/" ""`)
		return
	}
	if patterns, _, ok := strings.Cut(c.Args, ") RETURN (STATUS ("); ok {
		se.listStatus(strings.TrimPrefix(patterns, `"" (`))
		return
	}
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	for _, name := range se.s.names {
		se.printf(`* LIST (%s) "/" %s`, se.s.boxes[name].attrs, quoted(name))
	}
}

// patternNames finds names in quotes, without wildcards.
var patternNames = regexp.MustCompile(`"(?:[^"\\]|\\.)+"`)

// listStatus is LIST-STATUS (RFC 5819) of mailboxes that are named.
func (se *session) listStatus(patterns string) {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	for _, name := range patternNames.FindAllString(patterns, -1) {
		if b := se.find(name); b != nil {
			se.printf(`* LIST (%s) "/" %s`, b.attrs, quoted(b.name))
			se.tellStatus(b)
		}
	}
}

// find is the mailbox that a command's first argument names.
func (se *session) find(args string) *Box {
	return se.s.boxes[unquoted(args)]
}

// escaper is for what stands in quotes.
var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quoted is how a name travels: in quotes, or as a literal where these cannot
// hold it (RFC 3501 9).
func quoted(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Sprintf("{%d}\r\n%s", len(name), name)
	}
	return `"` + escaper.Replace(name) + `"`
}

func (se *session) status(c *Call) bool {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	b := se.find(c.Args)
	if b == nil {
		se.printf("%s NO [NONEXISTENT] no such mailbox", c.tag)
		return false
	}
	se.tellStatus(b)
	return true
}

// tellStatus says STATUS of a mailbox. Called with the server's lock held.
func (se *session) tellStatus(b *Box) {
	unseen := 0
	for _, m := range b.messages {
		if !strings.Contains(m.flags, `\Seen`) {
			unseen++
		}
	}
	se.printf(`* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN %d)`,
		quoted(b.name), len(b.messages), b.next, b.validity, unseen)
}

func (se *session) examine(c *Call) {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	se.box, se.view = nil, nil
	b := se.find(c.Args)
	switch {
	case b == nil:
		se.printf("%s NO [NONEXISTENT] no such mailbox", c.tag)
		return
	case b.refused != "":
		se.printf("%s NO %s", c.tag, b.refused)
		return
	}
	se.box = b
	for _, m := range b.messages {
		se.view = append(se.view, m.uid)
	}
	se.printf(`* FLAGS (\Seen \Answered \Flagged \Deleted \Draft)`)
	se.printf("* %d EXISTS", len(se.view))
	se.printf("* 0 RECENT")
	se.printf("* OK [UIDVALIDITY %d] valid", b.validity)
	se.printf("* OK [UIDNEXT %d] next", b.next)
	if b.id != "" {
		se.printf("* OK [MAILBOXID (%s)] id", b.id)
	}
	if c.Name == "SELECT" {
		se.printf("%s OK [READ-WRITE] done", c.tag)
		return
	}
	se.printf("%s OK [READ-ONLY] done", c.tag)
}

// idle tells of news until DONE, and reports false where the client left.
func (se *session) idle() bool {
	se.printf("+ idling")
	se.s.mu.Lock()
	if se.box != nil {
		se.tell()
	}
	se.idling = true
	se.s.mu.Unlock()
	se.flush()
	line, err := se.readLine()
	se.s.mu.Lock()
	se.idling = false
	se.s.mu.Unlock()
	return err == nil && strings.EqualFold(line, "DONE")
}

var bodyItem = regexp.MustCompile(`BODY(?:\.PEEK)?\[(HEADER)?\](?:<(\d+)\.(\d+)>)?`)

func (se *session) fetch(c *Call) {
	set, items, _ := strings.Cut(c.Args, " ")
	items = strings.ToUpper(items)
	uids, err := imapwire.ParseUIDSet(strings.ReplaceAll(set, "*", strconv.FormatUint(math.MaxUint32, 10)))
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	if err != nil || se.box == nil {
		se.printf("%s BAD no set, or no mailbox", c.tag)
		return
	}
	issued := false
	for i, uid := range slices.Clone(se.view) {
		if !uids.Contains(uid) {
			continue
		}
		m := se.box.message(uid)
		how := Gone(0)
		switch {
		case m == nil:
			how = se.box.gone[uid]
			issued = issued || how == DovecotGone
			m = &scriptedMessage{uid: uid, body: goneBody(how), lie: 0}
		case m.other != nil:
			if other := se.box.message(*m.other); other != nil {
				m = other
			}
		}
		se.send(i+1, m, items)
	}
	if issued {
		se.tell()
		se.printf("%s OK [EXPUNGEISSUED] some messages are gone", c.tag)
		return
	}
	se.printf("%s OK done", c.tag)
}

func goneBody(how Gone) string {
	switch how {
	case CourierGone:
		text := "From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\n" +
			"This message is no longer available on the server.\r\n"
		return fmt.Sprintf("{%d}\r\n%s", len(text), text)
	case MailutilsGone:
		return `""`
	}
	return "NIL"
}

// send writes one FETCH answer.
func (se *session) send(seq int, m *scriptedMessage, items string) {
	out := []string{fmt.Sprintf("UID %d", m.uid)}
	if strings.Contains(items, "FLAGS") {
		out = append(out, "FLAGS ("+m.flags+")")
	}
	if strings.Contains(items, "INTERNALDATE") {
		out = append(out, `INTERNALDATE "`+imapwire.FormatDateTime(m.date.UTC())+`"`)
	}
	if strings.Contains(items, "RFC822.SIZE") {
		out = append(out, fmt.Sprintf("RFC822.SIZE %d", int64(len(m.text))+m.lie))
	}
	if part := bodyItem.FindStringSubmatch(items); part != nil {
		text, origin := m.text, ""
		if part[1] != "" {
			if end := bytes.Index(text, []byte("\r\n\r\n")); end >= 0 {
				text = text[:end+4]
			}
		}
		if part[2] != "" {
			from, _ := strconv.Atoi(part[2])
			n, _ := strconv.Atoi(part[3])
			from = min(from, len(text))
			text = text[from:min(from+n, len(text))]
			origin = "<" + part[2] + ">"
		}
		body := m.body
		if body == "" {
			body = fmt.Sprintf("{%d}\r\n%s", len(text), text)
		}
		out = append(out, "BODY["+part[1]+"]"+origin+" "+body)
	}
	se.printf("* %d FETCH (%s)", seq, strings.Join(out, " "))
}
