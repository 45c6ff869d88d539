package imapconn

import "strings"

// MaxObjectID is the longest identifier of RFC 8474, in octets. A longer one, or
// one of other characters, is taken for none.
const MaxObjectID = 255

// mailboxID reads the argument of the code MAILBOXID, an identifier in
// parentheses (RFC 8474 §4.2); empty if it is none. STATUS (§4.3) is not asked for it:
// Cyrus 3.6.1 answers with what its memory holds.
func mailboxID(args string) string {
	id, open := strings.CutPrefix(args, "(")
	id, closed := strings.CutSuffix(id, ")")
	if !open || !closed {
		return ""
	}
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	if len(id) > MaxObjectID || strings.ContainsFunc(id, other) {
		return ""
	}
	return id
}
