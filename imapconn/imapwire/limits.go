package imapwire

import "fmt"

// What a server may name or send before the connection is given up. Each is in
// octets unless it says otherwise. Nothing here is memory taken in advance.
const (
	// MaxLine bounds one response outside its literals. A SEARCH answer of a
	// million UIDs is 8 MB; it is read number by number and never held.
	MaxLine = 32 << 20
	// MaxToken bounds one atom, number or quoted string, which is held.
	MaxToken = 64 << 10
	// MaxNesting bounds lists within lists, in levels.
	MaxNesting = 100
	// MaxLiteral bounds any literal, kept or skipped: RFC 3501 numbers have 32 bits.
	MaxLiteral = 1<<32 - 1
	// MaxString bounds a literal that stands for a short string: a mailbox
	// name, a header section.
	MaxString = 64 << 10
	// MaxCodeText bounds what is kept of a response code's arguments.
	MaxCodeText = 16 << 10
	// MaxText bounds what is kept of the words meant for people.
	MaxText = 1 << 10
	// MaxFlags bounds the flags of one message or mailbox, in flags.
	MaxFlags = 4096
)

// LimitError says that a server went over one of the limits. The connection
// cannot be read on.
type LimitError struct {
	What  string // the limit's name
	Limit int64
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("server went over the limit %s (%d)", e.What, e.Limit)
}

// SyntaxError says that an answer could not be read. The connection cannot be
// read on, for nobody knows where the next answer begins.
type SyntaxError struct {
	Want string // what the grammar asks for
	Got  string // what stood there, a few octets, quoted
}

// Error names what was missing.
func (e *SyntaxError) Error() string {
	return "unreadable answer: want " + e.Want + ", got " + e.Got
}
