package spool

import (
	"crypto/sha256"
	"slices"
	"time"

	"imapfs/imapconn/imapwire"
)

// The numbers of package imapwire, under which the rest of the program knows them.
type (
	UID         = imapwire.UID
	UIDValidity = imapwire.UIDValidity
)

// Mailbox names a mailbox: Wire as LIST gave it, which is what identifies it here,
// and the decoded levels, for people. The zero Mailbox is none.
type Mailbox struct {
	Wire string
	Path []string // not modified
}

// Message names a message of the server. The zero Message is none.
type Message struct {
	Mailbox  string // on the wire
	Validity UIDValidity
	UID      UID
}

// Attrs is what whoever makes or renames a file says of it.
type Attrs struct {
	Mailbox Mailbox   // where it belongs; none for a scratch file outside of every mailbox
	Name    string    // in the mount, 1 to 255 octets
	Date    time.Time // INTERNALDATE, with its zone; zero: none
	Flags   []string  // to be set by APPEND; not modified
	// Replaces are the messages that this one takes the place of, at most 32, which are to
	// be deleted when the server has it; for Aside: the one that it is a copy of. Not modified.
	Replaces []Message
}

// Failure is why a text is not on the server, as whoever tried says.
type Failure struct {
	Kind  string // one word
	Words string // one line, at most 1,000 octets of it are kept
	When  time.Time
}

// Damage says why a text is not whole. Such a text is never sent.
type Damage string

// The kinds of damage.
const (
	Whole       Damage = ""
	WriteFailed Damage = "a write failed"
	Interrupted Damage = "its writing was interrupted"
	Lost        Damage = "it is not what was committed"
)

// Info is what is known of an entry. It never changes; a newer one replaces it.
type Info struct {
	ID    string // 16 hexadecimal digits, of no other entry
	State State
	Attrs
	Since  time.Time // when it was made
	Size   int64     // octets as written; while it can be written to ask [Entry.Size]
	Damage Damage

	// From Commit on:
	Traits
	Length int64             // octets as sent
	Sum    [sha256.Size]byte // SHA-256 of them

	// From the first Send on, for the last one:
	Validity UIDValidity // of the mailbox
	UIDNext  UID         // of the mailbox before; 0: not known
	Tries    int         // how often Send was called
	Tried    time.Time   // when last

	UID     UID     // in Done and Changed: 0 as long as it is not known
	Failure Failure // the last one

	follows []string // the IDs of the generations before, the last first, which may be gone; not modified
	// inherited are those of Replaces that come from the generations before, as far as this
	// process knows; not modified.
	inherited []Message
	rest      bool // closed or kept since it was last written to; of what can be written to
}

// Where is the message that the text has become; none while the UID is not known.
func (in *Info) Where() Message {
	if in.UID == 0 {
		return Message{}
	}
	return Message{in.Mailbox.Wire, in.Validity, in.UID}
}

// check refuses what is over a limit.
func (a *Attrs) check() error {
	long := len(a.Name) > maxName || len(a.Mailbox.Wire) > maxMailbox || len(a.Replaces) > maxReplaces ||
		len(a.Mailbox.Path) > maxLevels || len(a.Flags) > maxFlags
	for _, m := range a.Replaces {
		long = long || len(m.Mailbox) > maxMailbox
	}
	for _, f := range a.Flags {
		long = long || len(f) > maxFlag
	}
	if long || a.Name == "" {
		return ErrTooLong
	}
	if _, err := a.Date.MarshalText(); err != nil {
		return ErrTooLong // the year has five digits
	}
	return nil
}

// sameButName reports whether two differ in nothing that is sent.
func (a *Attrs) sameButName(b *Attrs) bool {
	return a.Mailbox.Wire == b.Mailbox.Wire && a.Date.Equal(b.Date) && slices.Equal(a.Flags, b.Flags) && slices.Equal(a.Replaces, b.Replaces)
}
