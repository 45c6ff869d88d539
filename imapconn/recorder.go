package imapconn

// Recorder is told what the server says about the selected mailbox, whether it
// was asked for or not. Its methods run on the goroutine that reads the
// connection, in the order of the server's words: they return at once and take
// no lock that is held across the network, and they do not call the Client.
//
// A Recorder is told nothing before its Examine or Select was answered, and
// nothing once the next one (or Unselect) has been sent.
type Recorder interface {
	// Exists says how many messages the mailbox holds now, when that is more
	// than were known of.
	Exists(n uint32)
	// Expunged says that a message is gone. uid is 0 when the server gave a
	// number whose UID this connection never learned.
	Expunged(uid UID)
	// Vanished says that the messages from first to last are gone, all of which
	// were there: it stands for Expunged where QRESYNC is enabled.
	Vanished(first, last UID)
	// Reached says that all changes up to a mod-sequence have been told; 0: the
	// mailbox keeps none any more.
	Reached(m ModSeq)
	// Flags gives all flags of a message, in any FETCH that had them, asked for
	// or not. The slice is sorted, without \Recent, shared: it is not modified.
	Flags(uid UID, flags []string)
	// Changed says that flags changed of a message that cannot be named.
	Changed()
	// Lost says that this connection's message numbers no longer hold and what
	// the server said: Expunged and Vanished will not be called again. Examine anew.
	Lost(reason string)
}
