package imapconn

import (
	"slices"

	"imapfs/imapconn/imapwire"
)

// MaxMessages bounds the messages of one mailbox, in messages: 64 MiB of table.
const MaxMessages = 16 << 20

// seqTable knows which UID stands at which message number of the selected
// mailbox (RFC 3501 §2.3.1.2): 4 octets a message, in chunks, so that an
// EXPUNGE in a mailbox of a million moves kilobytes. Numbers whose UID was not
// said take nothing.
type seqTable struct {
	n      uint32
	chunks []seqChunk
	at     int    // the chunk used last: answers come in order
	before uint32 // messages in the chunks before it
}

type seqChunk struct {
	n    uint32
	uids []UID // n of them, 0 unknown; nil: none known
}

const seqChunkLen = 4096

// grow makes the table hold n messages; it never shrinks.
func (t *seqTable) grow(n uint32) error {
	if n > MaxMessages {
		return tooMany()
	}
	t.chunks = slices.Grow(t.chunks, int(n-min(n, t.n))/seqChunkLen+1)
	for t.n < n {
		if len(t.chunks) == 0 || t.chunks[len(t.chunks)-1].n >= seqChunkLen {
			t.chunks = append(t.chunks, seqChunk{})
		}
		last := &t.chunks[len(t.chunks)-1]
		more := min(seqChunkLen-last.n, n-t.n)
		last.n += more
		t.n += more
		if last.uids != nil {
			last.uids = append(last.uids, make([]UID, more)...)
		}
	}
	return nil
}

func tooMany() error { return &imapwire.LimitError{What: "MaxMessages", Limit: MaxMessages} }

// blank reports whether no UID was said.
func (t *seqTable) blank() bool {
	return !slices.ContainsFunc(t.chunks, func(c seqChunk) bool { return c.uids != nil })
}

// seek makes the chunk with message seq the current one and returns the
// message's place in it. seq is in 1…t.n.
func (t *seqTable) seek(seq SeqNum) uint32 {
	i := uint32(seq) - 1
	for i < t.before {
		t.at--
		t.before -= t.chunks[t.at].n
	}
	for i >= t.before+t.chunks[t.at].n {
		t.before += t.chunks[t.at].n
		t.at++
	}
	return i - t.before
}

// holds reports whether there is a message of that number.
func (t *seqTable) holds(seq SeqNum) bool { return seq > 0 && uint32(seq) <= t.n }

// uid returns the UID of a message, 0 if it was never said. The table holds seq.
func (t *seqTable) uid(seq SeqNum) UID {
	i := t.seek(seq)
	if c := &t.chunks[t.at]; c.uids != nil {
		return c.uids[i]
	}
	return 0
}

// find gives the number of the message with a UID, 0 if it was never said. UIDs
// rise with the numbers, so most chunks are passed by.
func (t *seqTable) find(uid UID) SeqNum {
	n := uint32(0)
	for _, c := range t.chunks {
		if len(c.uids) > 0 {
			first, last := c.uids[0], c.uids[len(c.uids)-1]
			if (first == 0 || first <= uid) && (last == 0 || uid <= last) {
				if i := slices.Index(c.uids, uid); i >= 0 {
					return SeqNum(n) + SeqNum(i) + 1
				}
			}
		}
		n += c.n
	}
	return 0
}

// set records the UID of a message. The table holds seq.
func (t *seqTable) set(seq SeqNum, u UID) {
	i := t.seek(seq)
	c := &t.chunks[t.at]
	if c.uids == nil {
		c.uids = make([]UID, c.n)
	}
	c.uids[i] = u
}

// expunge takes a message out and returns its UID, 0 if it was never said. The
// table holds seq.
func (t *seqTable) expunge(seq SeqNum) UID {
	i := t.seek(seq)
	c := &t.chunks[t.at]
	var u UID
	if c.uids != nil {
		u = c.uids[i]
		c.uids = slices.Delete(c.uids, int(i), int(i)+1)
	}
	c.n--
	t.n--
	if c.n == 0 {
		t.chunks = slices.Delete(t.chunks, t.at, t.at+1)
		t.at, t.before = 0, 0
	}
	return u
}
