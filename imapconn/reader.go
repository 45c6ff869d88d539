package imapconn

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"imapfs/imapconn/imapwire"
)

// maxChallenge bounds what is kept of the words of a +, in octets.
const maxChallenge = 64 << 10

// The first octets of TLS records; no line of IMAP begins so.
const (
	tlsAlert     = 0x15
	tlsHandshake = 0x16
)

// errSpeaksTLS is what a server says in the clear that wants TLS.
var errSpeaksTLS = errors.New("server speaks TLS from the start (use imaps://)")

// readLoop reads responses until the connection is dead. It waits for nothing
// but the connection: what it learns goes into memory or to callbacks, which
// return at once.
func (c *Client) readLoop() {
	defer c.group.Done()
	for !c.dead() {
		c.dec.Begin()
		c.response()
		if err := c.dec.Err(); err != nil {
			c.fail(c.broken(err))
		}
	}
}

// response reads one response (RFC 3501 §7).
func (c *Client) response() {
	d := c.dec
	switch d.Peek() {
	case '+':
		d.Accept('+')
		d.Spaces()
		c.continued(bytes.Clone(d.Text(maxChallenge)))
	case '*':
		d.Accept('*')
		d.Spaces()
		if b := d.Peek(); b >= '0' && b <= '9' {
			c.numbered(d.Number32())
		} else {
			c.untagged()
		}
	case '\r', '\n': // an empty line says nothing
		d.EOL()
	case tlsAlert, tlsHandshake:
		d.Fail(errSpeaksTLS)
	default:
		c.tagged()
	}
}

// numbered reads a response that begins with a number.
func (c *Client) numbered(n uint32) {
	d := c.dec
	d.Spaces()
	switch name := upper(d.Name()); string(name) {
	case "EXISTS":
		d.SkipText()
		c.exists(n)
	case "EXPUNGE":
		d.SkipText()
		c.expunge(n)
	case "EXPUNGED": // GNU mailutils; whether the number is to be believed nobody knows
		d.SkipText()
		c.lost("EXPUNGED")
	case "FETCH":
		c.fetched(n)
	default: // RECENT, and COPY and STORE of RFC 1730
		d.SkipResponse()
	}
}

// untagged reads any other untagged response. An unknown one is skipped with
// its literals.
func (c *Client) untagged() {
	d := c.dec
	name := upper(d.Name())
	if s := imapwire.ParseStatus(name); s != imapwire.NoStatus {
		code, text := d.RespText()
		c.status(s, code, text)
		return
	}
	switch string(name) {
	case "CAPABILITY":
		c.setCaps(d.Caps())
	case "LIST":
		c.listed()
	case "NAMESPACE":
		c.namespacesGiven()
	case "STATUS":
		c.statusGiven()
	case "SEARCH":
		c.searched()
	case "ESEARCH":
		c.extendedSearched()
	case "FLAGS":
		c.flagsGiven()
	case "ENABLED":
		c.enabledGiven(d.Caps())
	case "QUOTA":
		c.quotaGiven()
	case "VANISHED":
		c.vanished()
	default:
		d.SkipResponse()
	}
}

// tagged reads the answer that ends a command. A tag that is nobody's means
// that we and the server have lost step.
func (c *Client) tagged() {
	d := c.dec
	tag := bytes.Clone(d.Atom())
	d.Space()
	s := imapwire.ParseStatus(d.Atom())
	code, text := d.RespText()
	if d.Err() != nil {
		return
	}
	digits, isOurs := bytes.CutPrefix(tag, []byte{'a'})
	n, err := strconv.ParseUint(string(digits), 10, 64)
	cmd := c.byTag(n)
	if !isOurs || err != nil || n == 0 || cmd == nil || s == imapwire.NoStatus || s == imapwire.PREAUTH {
		d.Fail(fmt.Errorf("unreadable answer: tagged %.20q, which no command bears", tag))
		return
	}
	c.coded(s, code, text)
	var result error
	if s != imapwire.OK {
		result = &StatusError{Op: cmd.op, Mailbox: cmd.mailbox, Type: s.String(), Code: codeOf(code, text), Text: text}
	}
	// Whoever gives the command up now waits until it has landed.
	cmd.mu.Lock()
	defer cmd.mu.Unlock()
	cmd.code = code
	if cmd.resolved != nil {
		if err := cmd.resolved(result == nil); err != nil && result == nil {
			result = err
		}
	}
	if _, texts := cmd.answer.(*textAnswer); texts {
		c.streamed()
	}
	c.land(cmd, result)
}

// upper makes ASCII letters capitals, in place.
func upper(b []byte) []byte {
	for i, ch := range b {
		if 'a' <= ch && ch <= 'z' {
			b[i] = ch - 'a' + 'A'
		}
	}
	return b
}
