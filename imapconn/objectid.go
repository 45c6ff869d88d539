package imapconn

import "strings"

// MaxObjectID is the longest identifier of RFC 8474, in octets. A longer one, or
// one of other characters, is taken for none.
const MaxObjectID = 255

// mailboxID reads the argument of the code MAILBOXID, an identifier in
// parentheses (RFC 8474 §4); empty if it is none.
func mailboxID(args string) string {
	id, open := strings.CutPrefix(args, "(")
	id, closed := strings.CutSuffix(id, ")")
	if !open || !closed {
		return ""
	}
	return objectID(id)
}

// objectID is s where that is an identifier (RFC 8474 §7), else empty.
func objectID(s string) string {
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	if len(s) > MaxObjectID || strings.ContainsFunc(s, other) {
		return ""
	}
	return strings.Clone(s)
}

// statusMailboxID reads what STATUS says of MAILBOXID, an identifier in
// parentheses (RFC 8474 §4.3); empty if it is none.
func (c *Client) statusMailboxID() string {
	if c.dec.Peek() != '(' {
		c.dec.SkipValue()
		return ""
	}
	c.dec.Accept('(')
	if c.dec.Accept(')') {
		return ""
	}
	id := objectID(string(c.dec.Name()))
	c.dec.Expect(')')
	return id
}
