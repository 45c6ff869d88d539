package cache

import (
	"slices"
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
	listing imapconn.UIDSet // being listed: their flags go to whoever lists
	count   int             // messages there are, by EXISTS and EXPUNGE
	counted bool            // EXISTS of the EXAMINE is in count
	uidNext UID             // the session knows all that lies below
	wire    UIDValidity     // what the EXAMINE said
	heard   events
	gone    goneSet // every UID that went under this selection
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
	flags    heardFlags
}

var _ imapconn.Recorder = (*hearing)(nil)

func newHearing(m *Mailbox) *hearing { return &hearing{box: m} }

// begin says what the mailbox was like when it was selected. Some of what came
// after it may have been heard already.
func (h *hearing) begin(d imapconn.SelectData) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.uidNext, h.wire = d.UIDNext, d.UIDValidity
	if !h.counted {
		h.count += int(d.Exists)
		h.counted = true
	}
}

// again is for a mailbox that is examined once more.
func (h *hearing) again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count, h.counted, h.heard = 0, false, events{}
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
	return !e.grown && !e.changed && e.lost == "" && len(e.expunged) == 0 && len(e.flags.news) == 0
}

// startListing forgets what was heard before: what is to come says it all.
func (h *hearing) startListing() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follows, h.listing = true, imapconn.AllUIDs()
	lost := h.heard.lost
	h.heard = events{lost: lost}
}

// list says that from now on only these messages are being listed. What is heard
// of the others meanwhile is news.
func (h *hearing) list(set imapconn.UIDSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listing = set
}

// unfollow makes what is heard a hint again.
func (h *hearing) unfollow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follows, h.heard = false, events{}
}

// take gives what was heard since, and how many messages there are then.
func (h *hearing) take() (events, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.heard
	h.heard = events{lost: e.lost}
	return e, h.count
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
	if len(h.heard.expunged) > maxHeard {
		h.heard.expunged, h.heard.changed = nil, true
	}
	follows := h.follows
	if !follows {
		h.heard = events{}
	}
	h.mu.Unlock()
	h.box.stir(!follows)
}

// listsAll reports whether all messages are being listed: then nothing needs a
// name. mu is held.
func (h *hearing) listsAll() bool { return slices.Equal(h.listing, imapconn.AllUIDs()) }

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
			e.changed = e.changed || !h.listsAll()
			return
		}
		h.gone.add(uid)
		e.expunged = append(e.expunged, uid)
	})
}

// spareFlags is how many more words on flags than messages are kept, in words.
const spareFlags = 1024

// Flags implements imapconn.Recorder.
func (h *hearing) Flags(uid UID, flags []string) {
	h.mu.Lock()
	listed := h.listing.Contains(uid)
	h.mu.Unlock()
	if listed {
		return // whoever lists hears it too
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
	h.note(func(e *events) { e.changed = e.changed || !h.listsAll() })
}

// Lost implements imapconn.Recorder.
func (h *hearing) Lost(reason string) {
	h.note(func(e *events) { e.lost = reason })
}
