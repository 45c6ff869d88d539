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
	write bool         // by SELECT, to change what is in it
	idled atomic.Int64 // since when an IDLE stands on the connection, Unix nanoseconds; 0: none

	mu      sync.Mutex // taken in callbacks; before looks.mu and Account.mu
	over    bool       // the selection has ended: nothing more will be heard
	follows bool       // the index follows it, or is about to
	listing bool       // all are being listed: nothing needs a name
	took    UID        // whoever lists has the flags of it that are heard next; of the reading goroutine
	said    imapconn.SelectData
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
	grown    bool                // more messages
	changed  bool                // something that has no name
	lost     string              // message numbers do not hold any more, and why
	ours     []imapconn.UIDRange // went because of us: no news, and not in the snapshot that is seen
	expunged []UID
	vanished []imapconn.UIDRange
	flags    heardFlags
}

var _ imapconn.Recorder = (*hearing)(nil)

func newHearing(m *Mailbox) *hearing { return &hearing{box: m} }

// answer is what the EXAMINE or SELECT said.
func (h *hearing) answer() imapconn.SelectData {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said
}

// resyncs has the EXAMINE ask for changes, where c is not nil. What is heard from
// then on counts.
func (h *hearing) resyncs(c *changes) {
	h.changes, h.follows = c, c != nil
}

// examine selects the mailbox.
func (h *hearing) examine(ctx context.Context, c *imapconn.Client) (imapconn.SelectData, error) {
	if h.write {
		return c.Select(ctx, h.box.WireName(), h)
	}
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
	h.said, h.uidNext, h.wire = d, d.UIDNext, d.UIDValidity
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
	return !h.over && !h.hasNews()
}

// hasNews reports whether something was heard that somebody should look at. What may
// be the message that we are just putting in can wait until it is in (settle). h.mu is held.
func (h *hearing) hasNews() bool {
	if h.heard.none() {
		return false
	}
	rest := h.heard
	rest.grown = false
	return !rest.none() || !h.box.ours.isAdding()
}

// none reports whether nothing is news.
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
	if len(h.heard.expunged)+len(h.heard.vanished)+len(h.heard.ours) > maxHeard {
		h.heard.expunged, h.heard.vanished, h.heard.ours, h.heard.changed = nil, nil, nil, true
	}
	follows, news := h.follows, h.hasNews()
	if !follows {
		h.heard = events{}
	}
	h.mu.Unlock()
	if news {
		h.box.stir(!follows)
	}
}

// settle says that what we have put in is in the snapshot, of which there are n
// messages now: if there are no more, none of another client's is among them.
func (h *hearing) settle(n int) {
	h.mu.Lock()
	if h.heard.grown && h.count <= n {
		h.heard.grown = false
	}
	news := h.follows && !h.over && h.hasNews()
	h.mu.Unlock()
	if news {
		h.box.stir(false)
	}
}

// Exists implements imapconn.Recorder.
func (h *hearing) Exists(n uint32) {
	h.note(func(e *events) {
		h.count, h.counted = int(n), true
		// Those that we have put in are in the snapshot before the server tells of them
		// here. One of another client's makes them more in the end.
		own := !h.listing && !h.box.busy.Load() && e.none() && h.box.ours.lately() && int(n) <= h.box.snap.Load().size()
		e.grown = e.grown || !own
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
		if h.box.ours.hasRemoved(uid, uid) {
			e.ours = append(e.ours, imapconn.UIDRange{First: uid, Last: uid})
			return
		}
		e.expunged = append(e.expunged, uid)
	})
}

// Vanished implements imapconn.Recorder.
func (h *hearing) Vanished(first, last UID) {
	h.note(func(e *events) {
		h.count -= int(last-first) + 1
		h.gone.add(first, last)
		if h.box.ours.hasRemoved(first, last) {
			e.ours = append(e.ours, imapconn.UIDRange{First: first, Last: last})
			return
		}
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
		if h.box.ours.hasRemoved(uid, uid) || !h.listing && len(e.flags.news) == 0 && h.box.isFlagged(uid, flags) {
			return
		}
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
