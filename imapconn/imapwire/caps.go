package imapwire

import (
	"slices"
	"strings"
)

// MaxCaps bounds the capabilities of a server, in capabilities; MaxToken bounds
// them together, in octets.
const MaxCaps = 1024

// Caps is an immutable set of capabilities (RFC 3501 §7.2.1). The zero value
// is the empty set.
type Caps struct{ names []string } // in capitals, sorted

// NewCaps makes a set of names, in any case.
func NewCaps(names ...string) Caps {
	c := Caps{make([]string, len(names))}
	for i, n := range names {
		c.names[i] = strings.ToUpper(n)
	}
	slices.Sort(c.names)
	c.names = slices.Compact(c.names)
	return c
}

// Has reports whether name is offered. Case does not matter.
func (c Caps) Has(name string) bool {
	_, ok := slices.BinarySearch(c.names, strings.ToUpper(name))
	return ok
}

// Known reports whether the server has said anything.
func (c Caps) Known() bool { return len(c.names) > 0 }

// Names returns the capabilities in capitals, sorted.
func (c Caps) Names() []string { return slices.Clone(c.names) }

// Literals says which literals may be sent at once.
func (c Caps) Literals() LiteralMode {
	switch {
	case c.Has("LITERAL+"):
		return NonSync
	case c.Has("LITERAL-"), c.Has("IMAP4REV2"):
		return NonSyncSmall
	}
	return Synchronizing
}

// Rev1 reports whether the server speaks RFC 2060 or later. One that does not
// is an RFC 1730 server, without BODY[].
func (c Caps) Rev1() bool { return c.Has("IMAP4REV1") || c.Has("IMAP4REV2") }

// Caps reads the capabilities of a CAPABILITY response, up to the end of line.
func (d *Decoder) Caps() Caps {
	var names []string
	octets := 0
	for d.Spaces(); !d.AtEOL(); d.Spaces() {
		name := string(d.Atom())
		names = append(names, name)
		octets += len(name)
		switch {
		case len(names) > MaxCaps:
			d.Fail(&LimitError{"MaxCaps", MaxCaps})
		case octets > MaxToken:
			d.Fail(&LimitError{"MaxToken", MaxToken})
		}
	}
	d.EOL()
	return NewCaps(names...)
}
