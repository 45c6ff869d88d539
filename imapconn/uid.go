package imapconn

import "imapfs/imapconn/imapwire"

// The numbers of the wire, by their names in imapwire.
type (
	UID         = imapwire.UID
	UIDValidity = imapwire.UIDValidity
	SeqNum      = imapwire.SeqNum
	ModSeq      = imapwire.ModSeq
	UIDRange    = imapwire.UIDRange
	UIDSet      = imapwire.UIDSet
)

// AllUIDs is every UID that a mailbox may hold; it is sent as 1:*.
func AllUIDs() UIDSet {
	return UIDSet{{First: 1, Last: ^UID(0)}}
}
