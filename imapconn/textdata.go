package imapconn

import "time"

// MetaItems says which of a message's small facts FetchMeta asks for.
type MetaItems uint8

// The items, and all of them.
const (
	MetaFlags MetaItems = 1 << iota // FLAGS
	MetaDate                        // INTERNALDATE
	MetaSize                        // RFC822.SIZE

	MetaAll = MetaFlags | MetaDate | MetaSize
)

// Meta is what one FETCH answer said of a message.
type Meta struct {
	UID   UID
	Flags []string // sorted, without \Recent, shared: not to be modified
	Date  time.Time
	Size  int64 // octets

	HasFlags, HasDate, HasSize bool
}

// DefaultChunk is what Part.Chunk means where it is 0, in octets.
const DefaultChunk = 512 << 10

// DefaultTextLimit is what Part.Limit means where it is 0, in octets.
const DefaultTextLimit = 1 << 30

// Part says which octets of a text are asked for and how they are kept.
type Part struct {
	Offset, Octets int64 // Octets 0: the whole text, Offset then is 0 too
	Chunk          int   // the longest slice, in octets; 0: DefaultChunk
	Limit          int64 // the longest text taken, in octets; 0: DefaultTextLimit
}

// Text is one message's text, or part of it, as the server sent it.
type Text struct {
	UID    UID
	Offset int64    // where the octets begin, by the answer
	Octets int64    // how many there are
	Chunks [][]byte // each its own allocation
	Nil    bool     // the server answered NIL: gone, never empty
	Err    error    // ErrTooLarge: over Part.Limit, not kept
}
