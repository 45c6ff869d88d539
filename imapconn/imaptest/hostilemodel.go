package imaptest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// hostileModel is the account that a Hostile server has when it is honest.
type hostileModel struct {
	names []string
	boxes map[string]*hostileBox
}

type hostileBox struct {
	validity, next uint32
	messages       []hostileMessage // in UID order
	modSeq         uint64           // of the last change
	gone           []hostileMessage // what went, in that order
}

type hostileMessage struct {
	uid    uint32
	size   int
	flags  string
	modSeq uint64
}

func newHostileModel() *hostileModel {
	m := &hostileModel{boxes: make(map[string]*hostileBox)}
	for i, name := range []string{"INBOX", "Archive", "Archive/2023"} {
		b := &hostileBox{validity: uint32(100 + i), next: 1}
		for k := range 3 {
			b.add(40+20*k, `\Seen`)
		}
		m.names = append(m.names, name)
		m.boxes[name] = b
	}
	return m
}

func (b *hostileBox) add(size int, flags string) {
	b.modSeq++
	b.messages = append(b.messages, hostileMessage{b.next, size, flags, b.modSeq})
	b.next++
}

func (b *hostileBox) message(uid uint32) (hostileMessage, bool) {
	i, ok := slices.BinarySearchFunc(b.messages, uid, func(m hostileMessage, uid uint32) int { return int(int64(m.uid) - int64(uid)) })
	if !ok {
		return hostileMessage{}, false
	}
	return b.messages[i], true
}

// status is STATUS of a mailbox that there is.
func (m *hostileModel) status(name string) string {
	b := m.boxes[name]
	return fmt.Sprintf("* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN 0 HIGHESTMODSEQ %d)", strconv.Quote(name), len(b.messages), b.next, b.validity, b.modSeq)
}

// hostileCaps are what it may offer; the program chooses at each connection.
var hostileCaps = [...]string{
	"IMAP4rev1 LITERAL+ IDLE UNSELECT QUOTA", "IMAP4", "IMAP4rev1", "IMAP4rev2 IMAP4rev1 IDLE ID ENABLE CONDSTORE",
	"IMAP4rev1 IDLE LITERAL- NAMESPACE UIDPLUS LIST-EXTENDED LIST-STATUS STATUS=SIZE NOTIFY CONDSTORE QRESYNC ESEARCH ENABLE",
}

func (s *hostileSession) caps() string { return hostileCaps[int(s.steps.next())%len(hostileCaps)] }

// honest answers a command as a good server does.
func (s *hostileSession) honest(tag, rest string) *hostileAnswer {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	name, args, _ := strings.Cut(rest, " ")
	if name == "UID" {
		sub, more, _ := strings.Cut(args, " ")
		name, args = "UID "+sub, more
	}
	a := &hostileAnswer{command: name, tag: tag, done: "OK done"}
	switch strings.ToUpper(name) {
	case "CAPABILITY":
		a.say("* CAPABILITY " + s.caps())
	case "LIST":
		for _, n := range s.h.model.names {
			a.say(`* LIST (\HasNoChildren) "/" "` + n + `"`)
			if strings.Contains(args, "RETURN (STATUS") {
				a.say(s.h.model.status(n))
			}
		}
	case "NOTIFY":
		for _, n := range s.h.model.names {
			a.say(s.h.model.status(n), `* LIST () "/" "`+n+`" ("OLDNAME" ("old"))`)
		}
	case "LOGOUT":
		a.say("* BYE see you")
		a.bye = true
	case "EXAMINE", "SELECT":
		s.enter(a, args)
	case "NOOP":
		s.news(a)
	case "IDLE":
		a.plus = "+ idling"
		if s.idle(a) != nil {
			a.bye = true
		}
		s.news(a)
	case "STATUS":
		if name := unquoted(args); s.h.model.boxes[name] != nil {
			a.say(s.h.model.status(name))
		} else {
			a.done = "NO [NONEXISTENT] no such mailbox"
		}
	case "GETQUOTAROOT":
		a.say(`* QUOTAROOT INBOX ""`, `* QUOTA "" (STORAGE 10 512)`)
	case "UID FETCH":
		set, items, _ := strings.Cut(args, " ")
		s.fetch(a, set, items)
	case "UID SEARCH":
		s.search(a, args)
	case "ENABLE":
		a.say("* ENABLED " + args)
		s.condstore, s.qresync = true, strings.Contains(args, "QRESYNC")
	case "PARTIAL":
		s.partial(a, args)
	}
	return a
}

// unquoted is the first string of a command's arguments.
func unquoted(args string) string {
	rest, isQuoted := strings.CutPrefix(args, `"`)
	if !isQuoted {
		first, _, _ := strings.Cut(args, " ")
		return first
	}
	var name []byte
	for i := 0; i < len(rest) && rest[i] != '"'; i++ {
		if rest[i] == '\\' && i+1 < len(rest) {
			i++
		}
		name = append(name, rest[i])
	}
	return string(name)
}

// hostileBoxes bounds the mailboxes that are made because somebody asked.
const hostileBoxes = 40

func (s *hostileSession) enter(a *hostileAnswer, args string) {
	s.name = unquoted(args)
	m := s.h.model
	if m.boxes[s.name] == nil && s.name != "" && len(m.boxes) < hostileBoxes { // it was listed, so it is there
		m.boxes[s.name] = &hostileBox{validity: 200, next: 1}
		m.boxes[s.name].add(50, "")
	}
	s.box, s.view = m.boxes[s.name], nil
	if s.box == nil {
		a.done = "NO [NONEXISTENT] no such mailbox"
		return
	}
	for _, m := range s.box.messages {
		s.view = append(s.view, m.uid)
	}
	if s.qresync {
		a.say("* OK [CLOSED] the other one")
	}
	a.say(`* FLAGS (\Seen \Flagged)`, fmt.Sprintf("* %d EXISTS", len(s.view)), "* 0 RECENT",
		fmt.Sprintf("* OK [UIDVALIDITY %d] v", s.box.validity), fmt.Sprintf("* OK [UIDNEXT %d] n", s.box.next))
	s.resync(a, args)
	a.done = "OK [READ-ONLY] done"
}

// news says what has changed since the view was told.
func (s *hostileSession) news(a *hostileAnswer) {
	if s.box == nil {
		return
	}
	for i := len(s.view) - 1; i >= 0; i-- {
		if _, ok := s.box.message(s.view[i]); !ok {
			if s.qresync {
				a.say(fmt.Sprintf("* VANISHED %d", s.view[i]))
			} else {
				a.say(fmt.Sprintf("* %d EXPUNGE", i+1))
			}
			s.view = slices.Delete(s.view, i, i+1)
		}
	}
	grown := false
	for _, m := range s.box.messages {
		if len(s.view) == 0 || m.uid > s.view[len(s.view)-1] {
			s.view = append(s.view, m.uid)
			grown = true
		}
	}
	if grown {
		a.say(fmt.Sprintf("* %d EXISTS", len(s.view)))
	}
	if s.condstore {
		a.say(fmt.Sprintf("* OK [HIGHESTMODSEQ %d] told", s.box.modSeq))
	}
}

// idle says what it has to say and waits for DONE.
func (s *hostileSession) idle(a *hostileAnswer) error {
	s.mutate(a)
	out := a.render(s)
	*a = hostileAnswer{command: "DONE", tag: a.tag, done: "OK done", cut: a.cut, silent: a.silent}
	s.h.mu.Unlock()
	defer s.h.mu.Lock()
	if err := s.write(out); err != nil {
		return err
	}
	_, err := s.command()
	return err
}

func (s *hostileSession) fetch(a *hostileAnswer, set, items string) {
	if s.box == nil {
		a.done = "BAD no mailbox"
		return
	}
	items, changed, _ := strings.Cut(items, " (CHANGEDSINCE ")
	since, _ := strconv.ParseUint(strings.TrimSuffix(changed, ")"), 10, 64)
	items = strings.Trim(items, "()")
	for i, uid := range s.view {
		m, ok := s.box.message(uid)
		if !ok || !inSet(set, uid) || m.modSeq <= since {
			continue
		}
		f := &hostileFetch{seq: uint32(i + 1), uid: uid, hasUID: true, size: m.size, said: int64(m.size), flags: m.flags, count: -1, modSeq: m.modSeq}
		if since > 0 {
			f.facts = append(f.facts, "MODSEQ")
		}
		for item := range strings.FieldsSeq(items) {
			switch {
			case strings.HasPrefix(item, "BODY.PEEK[]<"):
				fmt.Sscanf(item, "BODY.PEEK[]<%d.%d>", &f.origin, &f.count)
				f.item = fmt.Sprintf("BODY[]<%d>", f.origin)
			case item == "BODY.PEEK[]":
				f.item = "BODY[]"
			case strings.HasPrefix(item, "BODY.PEEK[HEADER]"), item == "RFC822.HEADER":
				f.item = strings.Replace(item, ".PEEK", "", 1)
			case item == "RFC822.PEEK":
				f.item = "RFC822"
			default:
				f.facts = append(f.facts, item)
			}
		}
		a.lines = append(a.lines, hostileLine{fetch: f})
	}
}

func (s *hostileSession) partial(a *hostileAnswer, args string) {
	s.h.partial = true
	var seq uint32
	f := &hostileFetch{item: "RFC822"}
	fmt.Sscanf(args, "%d RFC822.PEEK %d %d", &seq, &f.origin, &f.count)
	if s.box == nil || seq == 0 || int(seq) > len(s.view) || f.origin == 0 {
		a.done = "BAD no such message"
		return
	}
	f.seq, f.uid, f.origin = seq, s.view[seq-1], f.origin-1
	if m, ok := s.box.message(f.uid); ok {
		f.size = m.size
		a.lines = append(a.lines, hostileLine{fetch: f})
	}
}

// inSet reports whether a UID is in a set as imapconn writes it.
func inSet(set string, uid uint32) bool {
	for r := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(r, ":")
		if !isRange {
			last = first
		}
		a, _ := strconv.ParseUint(first, 10, 32)
		b, err := strconv.ParseUint(last, 10, 32)
		if err != nil {
			b = 1<<32 - 1
		}
		if uint64(uid) >= a && uint64(uid) <= b {
			return true
		}
	}
	return false
}
