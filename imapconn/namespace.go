package imapconn

import (
	"context"
	"fmt"
	"unicode/utf8"

	"imapfs/imapconn/imapwire"
)

// MaxNamespaces bounds the answer to NAMESPACE, in namespaces of all kinds;
// MaxPrefix the prefix of each, in octets.
const (
	MaxNamespaces = 1000
	MaxPrefix     = 4 << 10
)

// Namespace is a part of the names of an account (RFC 2342).
type Namespace struct {
	Prefix    string // as on the wire; it may be empty and may end without a delimiter
	Delimiter rune   // 0: NIL, names have no levels
}

// Namespaces are those of an account: the user's own, those of other users, and
// those that many share.
type Namespaces struct{ Personal, Others, Shared []Namespace }

// namespaceAnswer takes the NAMESPACE response.
type namespaceAnswer struct {
	data  Namespaces
	given bool
}

func (*namespaceAnswer) confusable(other answerer) bool { return sameKind[*namespaceAnswer](other) }

// Namespaces asks for the prefixes of the account's names (RFC 2342 §5).
// ErrNotOffered where the server has no NAMESPACE.
func (c *Client) Namespaces(ctx context.Context) (Namespaces, error) {
	if have := c.Caps(); !have.Has("NAMESPACE") && !have.Has("IMAP4rev2") {
		return Namespaces{}, fmt.Errorf("namespace: %w", ErrNotOffered)
	}
	cmd := c.newCommand("NAMESPACE")
	a := &namespaceAnswer{}
	cmd.answer = a
	if err := c.do(ctx, cmd); err != nil {
		return Namespaces{}, err
	}
	if !a.given {
		return Namespaces{}, fmt.Errorf("namespace: %w", ErrNotOffered)
	}
	return a.data, nil
}

// namespacesGiven reads NAMESPACE (RFC 2342 §6).
func (c *Client) namespacesGiven() {
	var n Namespaces
	left := MaxNamespaces
	for _, kind := range []*[]Namespace{&n.Personal, &n.Others, &n.Shared} {
		c.dec.Space()
		*kind = c.namespaces(&left)
	}
	c.dec.EOL()
	if a, _ := answering[*namespaceAnswer](c); a != nil && c.dec.Err() == nil {
		a.data, a.given = n, true
	}
}

// namespaces reads those of one kind, NIL or a list: for each its prefix, its
// delimiter, and extensions, which are skipped.
func (c *Client) namespaces(left *int) (all []Namespace) {
	d := c.dec
	if !d.Accept('(') {
		d.SkipValue() // NIL
		return nil
	}
	for d.Spaces(); d.Err() == nil && !d.Accept(')'); d.Spaces() {
		if *left--; *left < 0 {
			d.Fail(&imapwire.LimitError{What: "MaxNamespaces", Limit: MaxNamespaces})
			return nil
		}
		d.Expect('(')
		prefix, _ := d.AString()
		if len(prefix) > MaxPrefix {
			d.Fail(&imapwire.LimitError{What: "MaxPrefix", Limit: MaxPrefix})
		}
		n := Namespace{Prefix: string(prefix)}
		d.Space()
		n.Delimiter = c.delimiter()
		for d.Spaces(); d.Err() == nil && !d.Accept(')'); d.Spaces() {
			d.SkipValue()
		}
		all = append(all, n)
	}
	return all
}

// delimiter reads a quoted character, or NIL: 0.
func (c *Client) delimiter() rune {
	kind, delimiter, _ := c.dec.String()
	if kind == imapwire.Literal {
		c.dec.Fail(&imapwire.SyntaxError{Want: "a delimiter", Got: "a literal"})
	}
	if kind != imapwire.Quoted || len(delimiter) == 0 {
		return 0
	}
	r, _ := utf8.DecodeRune(delimiter)
	return r
}
