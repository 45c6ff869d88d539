package imaptest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imapfs/imapconn/imapwire"
)

// LargeSync is the capabilities of a Large server by which a client may learn what
// has changed (RFC 7162, RFC 4731).
const LargeSync = LargeCapabilities + " ENABLE CONDSTORE QRESYNC ESEARCH"

// Offer has the server offer other capabilities, from the next connection on:
// LargeSync, or fewer.
func (s *Large) Offer(capabilities string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caps = capabilities
}

// Twist has f change what the server says at each EXAMINE before the tagged answer,
// line by line. nil: nothing.
func (s *Large) Twist(f func(lines []string) []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.twist = f
}

// offers reports whether a capability is offered. The server's lock is held.
func (s *Large) offers(name string) bool { return slices.Contains(strings.Fields(s.caps), name) }

// modSeq is HIGHESTMODSEQ: each change is one more. The server's lock is held.
func (b *largeBox) modSeq() int { return 1 + len(b.news) }

// modSeqOf is the mod-sequence of a message. The server's lock is held.
func (b *largeBox) modSeqOf(uid imapwire.UID) int {
	for i, n := range slices.Backward(b.news) {
		if n.changes(uid) {
			return i + 2
		}
	}
	return 1
}

func (n *largeNews) changes(uid imapwire.UID) bool {
	return n.flags != nil && n.flags.first <= uid && uid <= n.flags.last || n.first != 0 && n.first <= uid && uid <= n.last
}

// since is what changed after a mod-sequence: messages that are there and changed,
// and those that went. The server's lock is held.
func (b *largeBox) since(modSeq int) (changed, gone imapwire.UIDSet) {
	if modSeq < 1 || modSeq > b.modSeq() {
		return nil, nil
	}
	for _, n := range b.news[modSeq-1:] {
		switch {
		case n.gone != nil:
			for _, uid := range n.gone {
				gone.Add(uid)
			}
		case n.flags != nil:
			changed.AddRange(n.flags.first, n.flags.last)
		default:
			changed.AddRange(n.first, n.last)
		}
	}
	return changed, gone
}

// enable answers ENABLE.
func (se *largeSession) enable(args string) {
	said := "* ENABLED"
	for name := range strings.FieldsSeq(args) {
		if !se.s.offers(name) || !se.s.offers("ENABLE") {
			continue
		}
		said += " " + name
		se.condstore = true
		se.qresync = se.qresync || name == "QRESYNC"
	}
	fmt.Fprint(se.out, said+"\r\n")
}

var (
	qresyncParameter = regexp.MustCompile(`\(QRESYNC \((\d+) (\d+)\)\)$`)
	changedSince     = regexp.MustCompile(` \(CHANGEDSINCE (\d+)\)$`)
)

// resync adds to what EXAMINE says: what has changed, if that was asked for.
// badParameter: it may not be.
func (se *largeSession) resync(b *largeBox, args string) (lines []string, badParameter bool) {
	m := qresyncParameter.FindStringSubmatch(args)
	switch {
	case strings.HasSuffix(args, "(CONDSTORE)") && se.s.offers("CONDSTORE"):
		se.condstore = true
	case m != nil && se.qresync:
	case strings.HasSuffix(args, ")"):
		return nil, true
	}
	if !se.condstore {
		return nil, false
	}
	lines = []string{fmt.Sprintf("* OK [HIGHESTMODSEQ %d] modseq", b.modSeq())}
	if m == nil || m[1] != strconv.Itoa(int(b.validity)) {
		return lines, false
	}
	modSeq, _ := strconv.Atoi(m[2])
	changed, gone := b.since(modSeq)
	if len(gone) > 0 {
		lines = append(lines, "* VANISHED (EARLIER) "+gone.String())
	}
	for _, r := range changed {
		for uid := r.First; uid <= r.Last; uid++ {
			if _, gone := slices.BinarySearch(b.gone, uid); !gone {
				lines = append(lines, se.flagged(b, uid))
			}
		}
	}
	return lines, false
}

// flagged is a FETCH of flags.
func (se *largeSession) flagged(b *largeBox, uid imapwire.UID) string {
	return fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s) MODSEQ (%d))", se.number(uid), uid, b.flagsOf(uid), b.modSeqOf(uid))
}

// narrowed is the part of a set that has changed, where a FETCH asks for that.
func (se *largeSession) narrowed(uids imapwire.UIDSet, items string) imapwire.UIDSet {
	m := changedSince.FindStringSubmatch(items)
	if m == nil {
		return uids
	}
	modSeq, _ := strconv.Atoi(m[1])
	changed, _ := se.box.since(modSeq)
	var both imapwire.UIDSet
	for _, r := range changed {
		for uid := r.First; uid <= r.Last; uid++ {
			if uids.Contains(uid) {
				both.Add(uid)
			}
		}
	}
	return both
}

// search answers UID SEARCH ALL.
func (se *largeSession) search(args string) string {
	if se.box == nil || !strings.HasSuffix(args, "ALL") {
		return "BAD no mailbox, or another search"
	}
	var there imapwire.UIDSet
	next := imapwire.UID(1)
	for _, gone := range append(slices.Clone(se.gone), se.next) {
		if gone > next {
			there.AddRange(next, gone-1)
		}
		next = gone + 1
	}
	switch {
	case strings.HasPrefix(args, "RETURN (ALL) ") && len(there) > 0:
		fmt.Fprintf(se.out, "* ESEARCH (TAG %q) UID ALL %s\r\n", se.tag, there)
	case strings.HasPrefix(args, "RETURN (ALL) "):
		fmt.Fprintf(se.out, "* ESEARCH (TAG %q) UID\r\n", se.tag)
	default:
		fmt.Fprint(se.out, "* SEARCH")
		for _, r := range there {
			for uid := r.First; uid <= r.Last; uid++ {
				fmt.Fprintf(se.out, " %d", uid)
			}
		}
		fmt.Fprint(se.out, "\r\n")
	}
	return "OK done"
}
