package cache

import "imapfs/imapconn"

// comparison turns a snapshot into what a listing of UIDs and flags says, but for
// the messages that are new, while the listing comes: where nothing has changed it
// takes no memory to speak of. It is pure.
type comparison struct {
	known   *Snapshot
	rest    *cursor   // of known: behind what was listed last
	last    UID       // the highest that was listed
	next    *Snapshot // known with all edits but those below
	edits   []edit
	unknown imapconn.UIDSet
}

func newComparison(known *Snapshot) *comparison {
	return &comparison{known: known, rest: cursorOf(known), next: known}
}

// add is told of a message that is listed. Nearly all come in the order of the
// UIDs; what is said later of a message counts.
func (c *comparison) add(uid UID, flags flagID) {
	if uid <= c.last {
		c.late(uid, flags)
		return
	}
	c.last = uid
	was := c.rest.record()
	for ; was != nil && was.uid < uid; was = c.rest.record() {
		c.gone(was)
	}
	switch {
	case was == nil || was.uid > uid:
		c.unknown.Add(uid)
		return
	case was.flags != flags:
		c.edit(edit{record: record{uid: uid, flags: flags}, flagOnly: true})
	}
	c.rest.next()
}

// late is add for a message that was passed by: its removal is taken back.
func (c *comparison) late(uid UID, flags flagID) {
	was := c.known.find(uid)
	if was == nil {
		c.unknown.Add(uid)
		return
	}
	is := *was
	is.flags = flags
	c.edit(edit{record: is})
}

// gone notes that the next of what is known is not there any more.
func (c *comparison) gone(was *record) {
	c.edit(edit{record: record{uid: was.uid}, remove: true})
	c.rest.next()
}

func (c *comparison) edit(e edit) {
	if len(c.edits) == editBatch {
		c.apply()
	}
	c.edits = append(c.edits, e)
}

func (c *comparison) apply() {
	c.next, _ = c.next.apply(c.edits)
	c.edits = c.edits[:0]
}

// done gives the snapshot, and the messages that are new.
func (c *comparison) done() (next *Snapshot, unknown imapconn.UIDSet) {
	for was := c.rest.record(); was != nil; was = c.rest.record() {
		c.gone(was)
	}
	c.apply()
	return c.next, c.unknown
}
