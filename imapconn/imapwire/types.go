package imapwire

// UID is a message's unique identifier within one mailbox under one
// UIDValidity (RFC 3501 §2.3.1.1). 0 is no UID: the wire never bears it.
type UID uint32

// UIDValidity is the number under which a mailbox's UIDs hold. When it has
// changed the mailbox is another one (RFC 3501 §2.3.1.1). It is unique only
// within one mailbox name.
type UIDValidity uint32

// SeqNum is a message's position in the selected mailbox, counted from 1. It
// changes with every EXPUNGE of a message before it (RFC 3501 §2.3.1.2).
type SeqNum uint32

// ModSeq is a mod-sequence (RFC 7162 §3.1). 0 is none.
type ModSeq uint64
