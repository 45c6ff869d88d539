package imapconn

import (
	"strconv"
	"strings"

	"imapfs/imapconn/imapwire"
)

// status records an untagged OK, NO, BAD, BYE or PREAUTH.
func (c *Client) status(s imapwire.Status, code imapwire.Code, text string) {
	if c.dec.Err() != nil {
		return
	}
	c.coded(s, code, text)
	c.uidsGiven(code)
	c.overflowed(s, code)
	greeted := c.greet(s, code, text)
	if s == imapwire.BYE && !greeted {
		c.fail(c.broken(&StatusError{Op: "session", Type: "BYE", Code: code.Name, Text: text}))
	}
}

// maxAlerts bounds what one connection may put in the log, in lines.
const maxAlerts = 10

// coded records what a response code says, whatever response it came with.
func (c *Client) coded(s imapwire.Status, code imapwire.Code, text string) {
	switch code.Name {
	case "CAPABILITY":
		if names := strings.Fields(code.Args); len(names) <= imapwire.MaxCaps {
			c.setCaps(imapwire.NewCaps(names...))
		}
	case "ALERT":
		if c.unproved {
			return
		}
		if c.alerts++; c.alerts <= maxAlerts {
			c.log.Warn("the server wants you to know", "server", c.host, "text", text)
		}
	}
	if s == imapwire.OK || s == imapwire.NO {
		c.selectionCoded(code)
	}
}

// codeNumber reads the number in a code's arguments; ok is false where there is
// none or it has more bits.
func codeNumber(code imapwire.Code, bits int) (n uint64, ok bool) {
	first, _, _ := strings.Cut(code.Args, " ")
	n, err := strconv.ParseUint(first, 10, bits)
	return n, err == nil
}
