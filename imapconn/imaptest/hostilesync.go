package imaptest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// expunge takes message i out.
func (b *hostileBox) expunge(i int) {
	b.modSeq++
	m := b.messages[i]
	m.modSeq = b.modSeq
	b.gone = append(b.gone, m)
	b.messages = slices.Delete(slices.Clone(b.messages), i, i+1)
}

// flag gives message i other flags.
func (b *hostileBox) flag(i int, flags string) {
	b.modSeq++
	b.messages[i].flags, b.messages[i].modSeq = flags, b.modSeq
}

// resync says the mod-sequence, and what has changed where EXAMINE asks for that.
func (s *hostileSession) resync(a *hostileAnswer, args string) {
	s.condstore = s.condstore || strings.HasSuffix(args, "(CONDSTORE)")
	if !s.condstore {
		return
	}
	a.say(fmt.Sprintf("* OK [HIGHESTMODSEQ %d] m", s.box.modSeq))
	_, known, _ := strings.Cut(args, " (QRESYNC (")
	validity, modSeq, _ := strings.Cut(strings.TrimSuffix(known, "))"), " ")
	since, err := strconv.ParseUint(modSeq, 10, 64)
	if err != nil || validity != strconv.FormatUint(uint64(s.box.validity), 10) {
		return
	}
	for _, m := range s.box.gone {
		if m.modSeq > since {
			a.say(fmt.Sprintf("* VANISHED (EARLIER) %d", m.uid))
		}
	}
	for i, m := range s.box.messages {
		if m.modSeq > since {
			a.lines = append(a.lines, hostileLine{fetch: &hostileFetch{
				seq: uint32(i + 1), uid: m.uid, hasUID: true, flags: m.flags, modSeq: m.modSeq, facts: []string{"FLAGS", "MODSEQ"},
			}})
		}
	}
}

// search says which messages there are.
func (s *hostileSession) search(a *hostileAnswer, args string) {
	var uids []string
	for _, uid := range s.view {
		uids = append(uids, strconv.FormatUint(uint64(uid), 10))
	}
	switch {
	case !strings.HasPrefix(args, "RETURN"):
		a.say("* SEARCH " + strings.Join(uids, " "))
	case len(uids) == 0:
		a.say(fmt.Sprintf("* ESEARCH (TAG %q) UID", a.tag))
	default:
		a.say(fmt.Sprintf("* ESEARCH (TAG %q) UID ALL %s", a.tag, strings.Join(uids, ",")))
	}
}
