package cache

import "imapfs/imapconn"

// Removal is what becomes of a message that is deleted.
type Removal int

const (
	Expunged Removal = iota // it is removed from the server
	Trashed                 // it is moved to the trash; in there it is expunged, or marked
	Marked                  // it is marked \Deleted, and hidden
)

// RemovalBy is what becomes of a message on a server with these capabilities.
func (d OnDelete) RemovalBy(caps imapconn.Caps) Removal {
	switch {
	case d == DeleteTrash, caps.Has("X-GM-EXT-1"), moves(caps) && !expunges(caps):
		return Trashed
	case expunges(caps):
		return Expunged
	}
	return Marked
}

// expunges reports whether single messages can be expunged (RFC 4315).
func expunges(caps imapconn.Caps) bool { return caps.Has("UIDPLUS") || caps.Has("IMAP4rev2") }

// moves reports whether there is MOVE (RFC 6851).
func moves(caps imapconn.Caps) bool { return caps.Has("MOVE") || caps.Has("IMAP4rev2") }
