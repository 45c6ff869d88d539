package spool

import "strconv"

// State says what a text is to the server. The zero State is none.
type State int

// The states; doc.go has the ways between them.
const (
	_         State = iota
	Writing         // being written; not committed, never sent
	Ready           // committed; to be sent
	Sending         // an APPEND has begun; its last octet is not written
	Unknown         // all of it may be written; no tagged answer
	Done            // the server has it
	Refused         // the server, or we, will not have it as it is
	Changed         // the server has it, with other octets
	Local           // a scratch file: never mail
	Aside           // the copy of a message that was put aside: never mail
	discarded       // on disk only: half removed
)

var stateNames = [...]string{"", "writing", "ready", "sending", "unknown", "done", "refused", "changed", "local", "aside", "discarded"}

// String names the state in one word.
func (s State) String() string {
	if s <= 0 || int(s) >= len(stateNames) {
		return "state " + strconv.Itoa(int(s))
	}
	return stateNames[s]
}

// Writable reports whether a text of this state can be written to.
func (s State) Writable() bool { return s == Writing || s == Local || s == Aside }

// InFlight reports whether the server may have the text without our knowing it,
// or where.
func (s State) InFlight() bool { return s == Sending || s == Unknown }
