package cache

import "time"

// Fate is what is to become of a text that is committed.
type Fate struct {
	Box   *Mailbox
	Name  string    // in the mount, 1 to 255 octets: what Pending calls it
	Date  time.Time // INTERNALDATE, to the second; zero: when it is sent
	Flags []string  // \Recent is left out
	// Replaces are the messages that the text takes the place of, at most 32, which are
	// deleted when the server has the text and it is checked. Nil: those of Draft.Replaces;
	// empty: none. What the same Draft has sent before it replaces without being told.
	Replaces []MessageRef
	// Edit is for a text that was changed in place: each LF that stands alone goes as
	// CRLF. Else that is so only where the text holds no CRLF at all.
	Edit bool
}

// MessageRef names a message.
type MessageRef struct {
	Box      *Mailbox
	Validity UIDValidity
	UID      UID
}

// Sent is the message that a text has become. The zero Sent is none: nothing was
// to be sent.
type Sent struct {
	Validity UIDValidity
	UID      UID   // 0: not known yet; DraftArrived tells
	Size     int64 // octets, as sent
}

// DraftObserver is what an Observer may implement beside: it is told of drafts for which
// nobody waits. As with Observer its methods must not block.
type DraftObserver interface {
	// DraftArrived: the server has the text, under a UID that is known now. It is told
	// of each, also where Send has given the UID already.
	DraftArrived(d *Draft, box *Mailbox, s Sent)
	// DraftFailed: a text that nobody waits for has not arrived, and is tried again or
	// is refused for good.
	DraftFailed(d *Draft, err error)
}
