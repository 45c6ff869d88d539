package fs

import (
	"strconv"
	"strings"

	"imapfs/cache"
)

// escaped is the name of a message whose number is somebody else's name: its
// first digit written as mailboxName would, and the % of that as often again as
// is asked for: %3103, %253103, %25253103. No two messages share one.
func (n naming) escaped(uid cache.UID, again int) string {
	name := n.messageName(uid)
	var b strings.Builder
	escapeByte(&b, name[0])
	first := b.String()
	return "%" + strings.Repeat("25", again) + first[1:] + name[1:]
}

// parseEscaped is the inverse of escaped.
func (n naming) parseEscaped(name string) (cache.UID, bool) {
	rest, ok := strings.CutPrefix(name, "%")
	if !ok {
		return 0, false
	}
	for strings.HasPrefix(rest, "25") {
		rest = rest[2:]
	}
	if len(rest) < 2 || rest[0] != '3' {
		return 0, false
	}
	return n.parseMessage(rest[1:])
}

// isScratch says that a program uses a file of that name for itself: the text
// stays in this mount and never becomes mail. An empty file does, too, whatever its name.
func (n naming) isScratch(name string) bool {
	if n.suffix != "" && n.looksLikeMessage(name) {
		return false // --suffix .part
	}
	if name == "4913" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") {
		return true // vim tries with 4913 whether it may write
	}
	for _, end := range [...]string{"~", ".swp", ".tmp", ".part", "#"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// adoptedName is the i-th name for a text of the spool whose own is taken: as
// scratch as that one.
func adoptedName(name string, i int) string {
	mark := "-" + strconv.Itoa(i)
	if len(name)+len(mark) > maxName {
		name = strings.ToValidUTF8(name[:maxName-len(mark)], "")
	}
	for _, end := range [...]string{"~", ".swp", ".tmp", ".part", "#"} {
		if stem, ok := strings.CutSuffix(name, end); ok {
			return stem + mark + end
		}
	}
	return name + mark
}

// unescapeName is the inverse of mailboxName, but for names that were cut.
func unescapeName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) && isHex(name[i+1]) && isHex(name[i+2]) {
			n, _ := strconv.ParseUint(name[i+1:i+3], 16, 8)
			b.WriteByte(byte(n))
			i += 2
			continue
		}
		b.WriteByte(name[i])
	}
	return b.String()
}
