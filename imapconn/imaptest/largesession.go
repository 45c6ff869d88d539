package imaptest

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"imapfs/imapconn/imapwire"
)

// largeSession is one connection to a Large server. All but the connection is
// guarded by the server's lock.
type largeSession struct {
	s    *Large
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer

	box    *largeBox
	told   int            // of box.news
	next   imapwire.UID   // one more than the highest UID it was told of
	gone   []imapwire.UID // those below that it was told are gone, sorted
	idling bool
	line   []byte
	tag    string

	condstore, qresync bool
}

func newLargeSession(s *Large, c net.Conn) *largeSession {
	return &largeSession{s: s, conn: c, in: bufio.NewReader(c), out: bufio.NewWriterSize(c, 64<<10)}
}

func (se *largeSession) serve() {
	defer se.conn.Close()
	fmt.Fprint(se.out, "* OK large server ready\r\n")
	for se.out.Flush() == nil {
		line, err := se.in.ReadString('\n')
		if err != nil {
			return
		}
		tag, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		name, args, _ := strings.Cut(rest, " ")
		if name == "UID" {
			var sub string
			sub, args, _ = strings.Cut(args, " ")
			name += " " + sub
		}
		se.tag = tag
		result := se.answer(name, args)
		fmt.Fprintf(se.out, "%s %s\r\n", tag, result)
		if name == "LOGOUT" {
			se.out.Flush()
			return
		}
	}
}

// answer gives a command's untagged answers, and returns its result.
func (se *largeSession) answer(name, args string) string {
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	se.s.counts[name]++
	mailbox, _, _ := strings.Cut(strings.ReplaceAll(args, `"`, ""), " ")
	switch name {
	case "CAPABILITY":
		fmt.Fprintf(se.out, "* CAPABILITY %s\r\n", se.s.caps)
	case "LOGIN":
		if strings.ReplaceAll(args, `"`, "") != se.s.User+" "+se.s.Password {
			return "NO [AUTHENTICATIONFAILED] wrong password"
		}
	case "LOGOUT":
		fmt.Fprint(se.out, "* BYE until soon\r\n")
	case "NOOP":
		se.tell()
	case "LIST":
		for _, name := range se.s.names {
			fmt.Fprintf(se.out, "* LIST (\\HasNoChildren) \"/\" %s\r\n", name)
		}
	case "STATUS":
		return se.status(se.s.boxes[mailbox], strings.Contains(args, "HIGHESTMODSEQ"))
	case "EXAMINE", "SELECT":
		return se.enter(se.s.boxes[mailbox], args)
	case "UNSELECT":
		se.box = nil
	case "UID FETCH":
		return se.fetch(args)
	case "UID SEARCH":
		return se.search(args)
	case "ENABLE":
		se.enable(args)
	case "IDLE":
		return se.idle()
	default:
		return "BAD unknown command"
	}
	return "OK done"
}

func (se *largeSession) status(b *largeBox, modSeq bool) string {
	switch {
	case modSeq && !se.s.offers("CONDSTORE"):
		return "BAD no CONDSTORE"
	case b == nil:
		return "NO [NONEXISTENT] no such mailbox"
	}
	unseen := 0
	for uid := range se.all(b) {
		if !strings.Contains(b.flagsOf(uid), `\Seen`) {
			unseen++
		}
	}
	fmt.Fprintf(se.out, "* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN %d", b.name, b.messages(), b.next, b.validity, unseen)
	if modSeq {
		fmt.Fprintf(se.out, " HIGHESTMODSEQ %d", b.modSeq())
	}
	fmt.Fprint(se.out, ")\r\n")
	return "OK done"
}

// all are the UIDs of a mailbox as it is.
func (se *largeSession) all(b *largeBox) func(func(imapwire.UID) bool) {
	return func(yield func(imapwire.UID) bool) {
		gone := b.gone
		for uid := imapwire.UID(1); uid < b.next; uid++ {
			if len(gone) > 0 && gone[0] == uid {
				gone = gone[1:]
			} else if !yield(uid) {
				return
			}
		}
	}
}

func (se *largeSession) enter(b *largeBox, args string) string {
	if se.box != nil && se.condstore {
		fmt.Fprint(se.out, "* OK [CLOSED] closed\r\n")
	}
	se.box = b
	if b == nil {
		return "NO [NONEXISTENT] no such mailbox"
	}
	se.told, se.next, se.gone = len(b.news), b.next, slices.Clone(b.gone)
	lines := []string{`* FLAGS (\Seen \Answered \Flagged \Deleted \Draft)`, fmt.Sprintf("* %d EXISTS", b.messages()), "* 0 RECENT",
		fmt.Sprintf("* OK [UIDVALIDITY %d] valid", b.validity), fmt.Sprintf("* OK [UIDNEXT %d] next", b.next)}
	more, badParameter := se.resync(b, args)
	if badParameter {
		se.box = nil
		return "BAD that parameter is not known"
	}
	lines = append(lines, more...)
	if se.s.twist != nil {
		lines = se.s.twist(lines)
	}
	for _, l := range lines {
		fmt.Fprint(se.out, l+"\r\n")
	}
	return "OK [READ-ONLY] done"
}

// tell gives the news of the mailbox.
func (se *largeSession) tell() {
	if se.box == nil {
		return
	}
	for _, n := range se.box.news[se.told:] {
		switch {
		case n.gone != nil:
			if se.qresync {
				var gone imapwire.UIDSet
				for _, uid := range n.gone {
					gone.Add(uid)
				}
				fmt.Fprintf(se.out, "* VANISHED %s\r\n", gone)
			}
			for _, uid := range slices.Backward(n.gone) {
				if se.qresync {
					break
				}
				fmt.Fprintf(se.out, "* %d EXPUNGE\r\n", se.number(uid))
			}
			se.gone = slices.Sorted(slices.Values(slices.Concat(se.gone, n.gone)))
		case n.flags != nil:
			for uid := n.flags.first; uid <= n.flags.last; uid++ {
				if _, gone := slices.BinarySearch(se.gone, uid); !gone {
					modSeq := ""
					if se.condstore {
						modSeq = fmt.Sprintf(" MODSEQ (%d)", se.box.modSeqOf(uid))
					}
					fmt.Fprintf(se.out, "* %d FETCH (UID %d FLAGS (%s)%s)\r\n", se.number(uid), uid, n.flags.flags, modSeq)
				}
			}
		default:
			se.next = n.last + 1
			fmt.Fprintf(se.out, "* %d EXISTS\r\n", int(se.next)-1-len(se.gone))
		}
	}
	if se.condstore && se.told < len(se.box.news) {
		fmt.Fprintf(se.out, "* OK [HIGHESTMODSEQ %d] all told\r\n", se.box.modSeq())
	}
	se.told = len(se.box.news)
	se.out.Flush()
}

// number is the number of a message, before anything below it goes.
func (se *largeSession) number(uid imapwire.UID) int {
	below, _ := slices.BinarySearch(se.gone, uid)
	return int(uid) - below
}

// idle tells of news until DONE. The server's lock is held, but not meanwhile.
func (se *largeSession) idle() string {
	fmt.Fprint(se.out, "+ idling\r\n")
	se.idling = true
	se.tell()
	se.out.Flush()
	se.s.mu.Unlock()
	se.in.ReadString('\n')
	se.s.mu.Lock()
	se.idling = false
	return "OK done"
}

func (se *largeSession) fetch(args string) string {
	set, items, _ := strings.Cut(args, " ")
	uids, err := imapwire.ParseUIDSet(strings.ReplaceAll(set, "*", strconv.FormatUint(math.MaxUint32, 10)))
	if err != nil || se.box == nil {
		return "BAD no set, or no mailbox"
	}
	part := bodyItem.FindStringSubmatch(items)
	flags, date, size := strings.Contains(items, "FLAGS"), strings.Contains(items, "INTERNALDATE"), strings.Contains(items, "RFC822.SIZE")
	for _, r := range se.narrowed(uids, items) {
		below, _ := slices.BinarySearch(se.gone, r.First)
		for uid := r.First; uid <= r.Last && uid < se.next; uid++ {
			if below < len(se.gone) && se.gone[below] == uid {
				below++
				continue
			}
			if _, gone := slices.BinarySearch(se.box.gone, uid); gone {
				continue
			}
			b := append(se.line[:0], "* "...)
			b = strconv.AppendInt(b, int64(uid)-int64(below), 10)
			b = append(b, " FETCH (UID "...)
			b = strconv.AppendUint(b, uint64(uid), 10)
			if flags {
				b = append(append(append(b, " FLAGS ("...), se.box.flagsOf(uid)...), ')')
			}
			if date {
				b = append(LargeDate(uid).AppendFormat(append(b, ` INTERNALDATE "`...), imapDate), '"')
			}
			if size {
				b = strconv.AppendInt(append(b, " RFC822.SIZE "...), int64(LargeSize(uid)), 10)
			}
			if part != nil {
				b = appendPart(b, LargeText(uid), part)
			}
			b = append(b, ")\r\n"...)
			se.line = b
			se.out.Write(b)
		}
	}
	return "OK done"
}

const imapDate = "_2-Jan-2006 15:04:05 -0700"

// appendPart puts the part of a text behind that bodyItem has found.
func appendPart(b, text []byte, part []string) []byte {
	if part[1] != "" {
		text = text[:bytes.Index(text, []byte("\r\n\r\n"))+4]
	}
	origin := ""
	if part[2] != "" {
		from, _ := strconv.Atoi(part[2])
		n, _ := strconv.Atoi(part[3])
		from = min(from, len(text))
		text = text[from:min(from+n, len(text))]
		origin = "<" + part[2] + ">"
	}
	b = fmt.Appendf(b, " BODY[%s]%s {%d}\r\n", part[1], origin, len(text))
	return append(b, text...)
}

// LargeDate is the INTERNALDATE of a message of a Large server.
func LargeDate(uid imapwire.UID) time.Time {
	return time.Unix(1_000_000_000+100*int64(uid), 0).UTC()
}

// LargeSize is the length of its text, in octets.
func LargeSize(uid imapwire.UID) int { return 2000 + int(uid*7919%12_000) }

// LargeText is its text.
func LargeText(uid imapwire.UID) []byte {
	n := LargeSize(uid)
	b := fmt.Appendf(make([]byte, 0, n+80), "From: a@example.org\r\nSubject: message %d\r\n\r\n", uid)
	for len(b) < n {
		b = fmt.Appendf(b, "message %d, octet %d\r\n", uid, len(b))
	}
	copy(b[n-2:], "\r\n")
	return b[:n]
}
