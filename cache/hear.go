package cache

import (
	"context"
	"sync"
	"sync/atomic"

	"imapfs/imapconn"
)

// hearing hears what the server says of one selection. Where the index follows
// it, what it hears is what changes the index; else it is a hint that there is
// something to be looked at. It is told by the goroutine that reads the
// connection.
type hearing struct {
	box   *Mailbox
	idled atomic.Int64 // since when an IDLE stands on the connection, Unix nanoseconds; 0: none

	mu      sync.Mutex      // taken in callbacks; before looks.mu and Account.mu
	over    bool            // the selection has ended: nothing more will be heard
	follows bool            // the index follows it, or is about to
	listing bool            // all are being listed: nothing needs a name
	took    UID             // whoever lists has the flags of it that are heard next; of the reading goroutine
	count   int             // messages there are, by EXISTS and EXPUNGE
	counted bool            // EXISTS of the EXAMINE is in count
	modSeq  imapconn.ModSeq // all changes up to it have been told
	uidNext UID             // the session knows all that lies below
	wire    UIDValidity     // what the EXAMINE said
	heard   events
	gone    goneSet // every UID that went under this selection

	changes *changes // what is asked for at the EXAMINE; nil: nothing
}

// maxHeard bounds the messages that went and are not in the index yet, in messages.
// A server that names more has the mailbox listed anew, which says it shorter.
const maxHeard = 1 << 20

// events is what was heard and is not in the index yet.
type events struct {
	grown    bool   // more messages
	changed  bool   // something that has no name
	lost     string // message numbers do not hold any more, and why
	expunged []UID
	vanished []imapconn.UIDRange
	flags    heardFlags
}

var _ imapconn.Recorder = (*hearing)(nil)

func newHearing(m *Mailbox) *hearing { return &hearing{box: m} }

// resyncs has the EXAMINE ask for changes, where c is not nil. What is heard from
// then on counts.
func (h *hearing) resyncs(c *changes) {
	h.changes, h.follows = c, c != nil
}

// examine selects the mailbox.
func (h *hearing) examine(ctx context.Context, c *imapconn.Client) (imapconn.SelectData, error) {
	if h.changes == nil || !c.QResync() {
		return c.Examine(ctx, h.box.WireName(), h)
	}
	h.changes.again()
	data, err := c.ExamineSince(ctx, h.box.WireName(), h, h.changes.since())
	h.changes.told = data.Resynced
	return data, err
}

// begin says what the mailbox was like when it was selected. Some of what came
// after it may have been heard already.
func (h *hearing) begin(d imapconn.SelectData) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.uidNext, h.wire = d.UIDNext, d.UIDValidity
	if !d.NoModSeq && h.modSeq == 0 { // else a later word was heard
		h.modSeq = d.HighestModSeq
	}
	if !h.counted {
		h.count += int(d.Exists)
		h.counted = true
	}
}

// again is for a mailbox that is examined once more.
func (h *hearing) again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count, h.counted, h.heard, h.modSeq = 0, false, events{}, 0
}

// end says that the selection is over.
func (h *hearing) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// live reports whether the selection is not over.
func (h *hearing) live() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.over
}

// quiet reports whether the index has all that was heard, on a live selection.
func (h *hearing) quiet() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.over && h.heard.none()
}

func (e *events) none() bool {
	return !e.grown && !e.changed && e.lost == "" && len(e.expunged) == 0 && len(e.vanished) == 0 && len(e.flags.news) == 0
}

// startListing forgets what was heard before: what is to come says it all.
func (h *hearing) startListing() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follows, h.listing = true, true
	lost := h.heard.lost
	h.heard = events{lost: lost}
}

// endListing says that all have been listed.
func (h *hearing) endListing() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listing = false
}

// taken says that whoever lists all messages has what an answer says: then it need
// not be kept. It is called by the goroutine that reads the connection, before that
// tells of the flags in it. What answers say of some messages is heard besides, so
// that of two words on the same flags the later one counts.
func (h *hearing) taken(f imapconn.Meta) {
	if f.HasFlags {
		h.took = f.UID
	}
}

// unfollow makes what is heard a hint again.
func (h *hearing) unfollow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follows, h.heard = false, events{}
}

// take gives what was heard since, how many messages there are then, and up to
// which mod-sequence that says everything.
func (h *hearing) take() (events, int, imapconn.ModSeq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.heard
	h.heard = events{lost: e.lost}
	return e, h.count, h.modSeq
}

// messages is how many there are.
func (h *hearing) messages() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// next is one more than the highest UID that the session may have been told of:
// UIDNEXT of the EXAMINE, or what came since.
func (h *hearing) next() UID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.uidNext
}

// validity is the UIDVALIDITY that the EXAMINE said.
func (h *hearing) validity() UIDValidity {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wire
}

// learn says that the session has been told of all that lies below next.
func (h *hearing) learn(next UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.uidNext = max(h.uidNext, next)
}

// hasExpunged reports whether a message went under this selection.
func (h *hearing) hasExpunged(uid UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone.has(uid)
}

// note records what f says, and has somebody look.
func (h *hearing) note(f func(e *events)) {
	h.mu.Lock()
	f(&h.heard)
	if len(h.heard.expunged)+len(h.heard.vanished) > maxHeard {
		h.heard.expunged, h.heard.vanished, h.heard.changed = nil, nil, true
	}
	follows := h.follows
	if !follows {
		h.heard = events{}
	}
	h.mu.Unlock()
	h.box.stir(!follows)
}

// Exists implements imapconn.Recorder.
func (h *hearing) Exists(n uint32) {
	h.note(func(e *events) {
		h.count, h.counted = int(n), true
		e.grown = true
	})
}

// Expunged implements imapconn.Recorder.
func (h *hearing) Expunged(uid UID) {
	h.note(func(e *events) {
		h.count--
		if uid == 0 {
			e.changed = e.changed || !h.listing
			return
		}
		h.gone.add(uid, uid)
		e.expunged = append(e.expunged, uid)
	})
}

// Vanished implements imapconn.Recorder.
func (h *hearing) Vanished(first, last UID) {
	h.note(func(e *events) {
		h.count -= int(last-first) + 1
		h.gone.add(first, last)
		e.vanished = append(e.vanished, imapconn.UIDRange{First: first, Last: last})
	})
}

// Reached implements imapconn.Recorder. It is no news: what it is about is.
func (h *hearing) Reached(modSeq imapconn.ModSeq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.modSeq = modSeq
}

// reached is the mod-sequence up to which all changes have been told; 0: nobody
// knows.
func (h *hearing) reached() imapconn.ModSeq {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.modSeq
}

// spareFlags is how many more words on flags than messages are kept, in words.
const spareFlags = 1024

// Flags implements imapconn.Recorder.
func (h *hearing) Flags(uid UID, flags []string) {
	if h.took == uid {
		h.took = 0
		return
	}
	h.note(func(e *events) {
		if len(e.flags.news) > h.count+spareFlags || e.flags.octets > maxFlagOctets {
			// More is said than there are messages: a listing says it shorter.
			e.flags, e.changed = heardFlags{}, true
			return
		}
		e.flags.add(uid, flags)
	})
}

// Changed implements imapconn.Recorder.
func (h *hearing) Changed() {
	h.note(func(e *events) { e.changed = e.changed || !h.listing })
}

// Lost implements imapconn.Recorder.
func (h *hearing) Lost(reason string) {
	h.note(func(e *events) { e.lost = reason })
}
