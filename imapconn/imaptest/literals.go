package imaptest

import "strconv"

// literals follows one side's words and knows where a literal is.
type literals struct {
	line []byte // the end of the line under way, at most longestAnnouncement octets
	left int64  // octets of the literal under way
	size int64  // of that literal
}

// longestAnnouncement is enough for {4294967295+} and the end of its line, in octets.
const longestAnnouncement = 16

// pass follows octets. Where cut is not below 0 and the cut-th octet of a longer
// literal is among them, it says how many octets come before; else -1.
func (l *literals) pass(octets []byte, cut int64) int {
	for i := 0; i < len(octets); {
		if l.left > 0 {
			n := min(l.left, int64(len(octets)-i))
			if done := l.size - l.left; cut >= done && cut < done+n {
				return i + int(cut-done)
			}
			l.left -= n
			i += int(n)
			continue
		}
		b := octets[i]
		i++
		if len(l.line) == longestAnnouncement {
			l.line = append(l.line[:0], l.line[1:]...)
		}
		if l.line = append(l.line, b); b == '\n' {
			l.size = announcedSize(l.line)
			l.left = l.size
			l.line = l.line[:0]
		}
	}
	return -1
}

// announcedSize is n where a line ends with {n} or, as clients may (RFC 7888), {n+}; else 0.
func announcedSize(line []byte) int64 {
	end := len(line) - len("}\r\n")
	if end < 0 || string(line[end:]) != "}\r\n" {
		return 0
	}
	if end > 0 && line[end-1] == '+' {
		end--
	}
	begin := end
	for begin > 0 && line[begin-1] >= '0' && line[begin-1] <= '9' {
		begin--
	}
	if begin == 0 || line[begin-1] != '{' {
		return 0
	}
	n, err := strconv.ParseInt(string(line[begin:end]), 10, 33)
	if err != nil {
		return 0
	}
	return n
}
