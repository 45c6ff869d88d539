package spool

// What a spool may grow to. Each is in octets unless it says otherwise.
const (
	maxEntries  = 100_000        // entries of a spool: ErrFull
	maxEntry    = 64 << 10       // a file that describes a text: ErrTooLong
	maxText     = 1<<32 - 1      // a text as written and as sent (RFC 3501 §9, number): EFBIG
	maxName     = 255            // a name in the mount
	maxMailbox  = 4096           // the name of a mailbox on the wire
	maxLevels   = 64             // levels of a mailbox's name
	maxFlags    = 256            // flags of a message
	maxFlag     = 255            // a flag
	maxFollows  = 64             // generations of a text that are not settled
	maxReplaces = 32             // messages that a text takes the place of
	maxWords    = 1000           // what is kept of an error's words
	maxLine     = 16 << 10       // a line of the journal: ErrTooLong
	maxHidden   = 1 << 20        // ranges of hidden messages, of all mailboxes: ErrFull
	maxChanges  = 10_000         // moves, removals and renames in flight: ErrFull
	chunk       = int64(1 << 20) // what is read of a text at once
)
