package cache

import (
	"math"
	"slices"
	"sort"
	"time"

	"imapfs/imapconn"
)

// The numbers of the wire.
type (
	UID         = imapconn.UID
	UIDValidity = imapconn.UIDValidity
)

// Message is what is known of a message without its text.
type Message struct {
	UID   UID
	Size  int64    // octets: what the server says, or the truth where that is known to be otherwise
	Date  int64    // INTERNALDATE, Unix seconds; 0 where the server gave none
	Flags []string // sorted, without \Recent; shared, not to be modified
}

// Snapshot is one state of the messages of a mailbox, in UID order. It never
// changes; any number of goroutines may read it without a lock.
//
// A message takes 20 octets. Two snapshots share all but what differs: a new
// message in a mailbox of a million costs one chunk and two short slices.
type Snapshot struct {
	validity UIDValidity
	uidNext  UID
	chunks   []chunk
	starts   []int // the index of each chunk's first message, and the length
	flags    [][]string
	octets   int64
	gen      uint64
	modSeq   imapconn.ModSeq // all changes up to it are in; 0: nobody knows
	changed  time.Time

	shown *Snapshot // without those that are hidden; nil: none is
}

// chunkLen is the most messages in a chunk; a chunk that falls under chunkMin
// is joined with the next where that leaves room.
const (
	chunkLen = 1024
	chunkMin = chunkLen / 4
)

// chunk is a run of messages, never empty, never modified once in a snapshot.
type chunk []record

// record is a message in 20 octets.
type record struct {
	uid    UID
	size   uint32
	date   uint32
	flags  flagID
	sizeHi uint8 // sizes up to 2⁴⁰−1
	dateHi int8  // dates some 17,000 years either way
	ours   bool  // the size is the text's true length, and not what the server says
	put    bool  // we have put it in: size and date are those that it was sent with, and not what the server says
}

const (
	maxSize = 1<<40 - 1
	maxDate = 1<<39 - 1
)

func newRecord(uid UID, size, date int64, flags flagID) record {
	r := record{uid: uid, flags: flags}
	r.setSize(size)
	date = min(max(date, -maxDate), maxDate)
	r.date, r.dateHi = uint32(date), int8(date>>32)
	return r
}

func (r *record) setSize(n int64) {
	n = min(max(n, 0), maxSize)
	r.size, r.sizeHi = uint32(n), uint8(n>>32)
}

func (r *record) octets() int64 { return int64(r.sizeHi)<<32 | int64(r.size) }
func (r *record) unix() int64   { return int64(r.dateHi)<<32 | int64(r.date) }

// NewSnapshot makes a snapshot of messages in UID order. Those of a mailbox are
// made by Mailbox.Load; this is for tests and other sources.
func NewSnapshot(v UIDValidity, next UID, messages []Message, gen uint64, changed time.Time) *Snapshot {
	flags := newFlagSets()
	records := make([]record, len(messages))
	for i, m := range messages {
		records[i] = newRecord(m.UID, m.Size, m.Date, flags.id(m.Flags))
	}
	s := snapshotOf(v, next, records)
	s.flags, s.gen, s.changed = flags.sets, gen, changed
	return s
}

// snapshotOf cuts records, in UID order, into chunks.
func snapshotOf(v UIDValidity, next UID, records []record) *Snapshot {
	var chunks []chunk
	for c := range slices.Chunk(records, chunkLen) {
		chunks = append(chunks, slices.Clone(c))
	}
	return snapshotIn(v, next, chunks)
}

// snapshotIn makes a snapshot of chunks, in UID order.
func snapshotIn(v UIDValidity, next UID, chunks []chunk) *Snapshot {
	s := &Snapshot{validity: v, uidNext: next, chunks: chunks}
	s.count()
	if h := s.highest(); h != nil {
		s.uidNext = max(s.uidNext, h.uid+1)
	}
	for _, c := range chunks {
		for i := range c {
			s.octets += c[i].octets()
		}
	}
	return s
}

// count sets starts by chunks.
func (s *Snapshot) count() {
	s.starts = make([]int, len(s.chunks)+1)
	n := 0
	for i, c := range s.chunks {
		s.starts[i] = n
		n += len(c)
	}
	s.starts[len(s.chunks)] = n
}

// Validity is the UIDVALIDITY under which the UIDs hold. Where a server changes
// UIDs under one UIDVALIDITY, it is another number, which the server never gave.
func (s *Snapshot) Validity() UIDValidity { return s.validity }

// UIDNext is at least one more than every UID there was, as far as is known.
func (s *Snapshot) UIDNext() UID { return s.uidNext }

// Gen grows with each snapshot of a mailbox.
func (s *Snapshot) Gen() uint64 { return s.gen }

// Changed is when the set of messages last changed. It never goes back. At
// the first load it is what Tree.Changed says of the mailbox: nobody knows of an
// earlier change.
func (s *Snapshot) Changed() time.Time { return s.changed }

// Len is the number of messages.
func (s *Snapshot) Len() int { return s.starts[len(s.chunks)] }

// size is Len, 0 for nil.
func (s *Snapshot) size() int {
	if s == nil {
		return 0
	}
	return s.Len()
}

// At gives message i, 0 ≤ i < Len.
func (s *Snapshot) At(i int) Message {
	return s.message(s.record(i))
}

// record gives record i, 0 ≤ i < Len.
func (s *Snapshot) record(i int) *record {
	c := sort.Search(len(s.chunks), func(c int) bool { return s.starts[c+1] > i })
	return &s.chunks[c][i-s.starts[c]]
}

// Search gives the index of the first message whose UID is uid or more; Len if
// there is none.
func (s *Snapshot) Search(uid UID) int {
	c, i := s.search(uid)
	return s.starts[c] + i
}

// Find gives the message with a UID.
func (s *Snapshot) Find(uid UID) (Message, bool) {
	if r := s.find(uid); r != nil {
		return s.message(r), true
	}
	return Message{}, false
}

// search gives the place of the first record whose UID is uid or more: a chunk
// and an index in it.
func (s *Snapshot) search(uid UID) (c, i int) {
	c = sort.Search(len(s.chunks), func(c int) bool { return s.chunks[c][len(s.chunks[c])-1].uid >= uid })
	if c == len(s.chunks) {
		return c, 0
	}
	i = sort.Search(len(s.chunks[c]), func(i int) bool { return s.chunks[c][i].uid >= uid })
	return c, i
}

func (s *Snapshot) find(uid UID) *record {
	if c, i := s.search(uid); c < len(s.chunks) && s.chunks[c][i].uid == uid {
		return &s.chunks[c][i]
	}
	return nil
}

// highest gives the record with the highest UID, nil if there is none.
func (s *Snapshot) highest() *record {
	if len(s.chunks) == 0 {
		return nil
	}
	c := s.chunks[len(s.chunks)-1]
	return &c[len(c)-1]
}

// behind gives the lowest UID that a new message may have; false where there is
// none left.
func (s *Snapshot) behind() (first UID, ok bool) {
	if h := s.highest(); h != nil {
		return h.uid + 1, h.uid < math.MaxUint32
	}
	return 1, true
}

func (s *Snapshot) message(r *record) Message {
	return Message{UID: r.uid, Size: r.octets(), Date: r.unix(), Flags: s.flags[r.flags]}
}
