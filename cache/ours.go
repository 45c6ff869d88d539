package cache

import (
	"sync"
	"time"

	"imapfs/imapconn"
)

const (
	// oursKept is how long it is remembered that we have removed a message, at least:
	// a session may show for a moment what another one has removed.
	oursKept = time.Minute
	// oursQuiet is how long after a change of ours hints are put off: they are most
	// likely about it.
	oursQuiet = time.Second
	// oursOldest is how long they are put off at most while we change a mailbox all the
	// time.
	oursOldest = 10 * time.Second
)

// ours is what we have changed in a mailbox ourselves. It is in the snapshot when the
// server has said so; what is heard of it later, on whatever connection, is no news.
type ours struct {
	mu     sync.Mutex // innermost
	now    imapconn.UIDSet
	before imapconn.UIDSet // removed before turned
	turned time.Time

	adding int       // how many commands are under way that put messages in
	gap    UID       // the first that may lie between those that are known and what we added; 0: none
	last   time.Time // of the last change
	put    bool      // a hint is put off
}

// removing says that we are about to remove a message.
func (o *ours) removing(uid UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Now()
	o.turn()
	o.now.Add(uid)
}

// kept says that it was not removed.
func (o *ours) kept(uid UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	one := imapconn.UIDSet{{First: uid, Last: uid}}
	o.now, o.before = o.now.Without(one), o.before.Without(one)
}

// turn forgets what is old. mu is held.
func (o *ours) turn() {
	switch age := time.Since(o.turned); {
	case age > 2*oursKept:
		o.now, o.before, o.turned = nil, nil, time.Now()
	case age > oursKept:
		o.now, o.before, o.turned = nil, o.now, time.Now()
	}
}

// removed gives those that were removed lately, in two sets, not to be modified.
func (o *ours) removed() (now, before imapconn.UIDSet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turn()
	return append(imapconn.UIDSet(nil), o.now...), o.before
}

// hasRemoved reports whether we have removed all of a range, or are about to.
func (o *ours) hasRemoved(first, last UID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := imapconn.UIDSet{{First: first, Last: last}}
	return len(r.Without(o.now).Without(o.before)) == 0
}

// forget is for another UIDVALIDITY.
func (o *ours) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now, o.before, o.gap = nil, nil, 0
}

// touch notes a change.
func (o *ours) touch() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Now()
}

// begin says that a command is under way that puts messages in, end that it is over.
func (o *ours) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.adding++
	o.last = time.Now()
}

func (o *ours) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.adding--
	o.last = time.Now()
}

func (o *ours) isAdding() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.adding > 0
}

// lately reports whether we have put something in that the server may not have told
// of yet everywhere.
func (o *ours) lately() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.adding > 0 || time.Since(o.last) < oursOldest
}

// leaves notes that messages from uid on may be unknown that lie below one of ours.
func (o *ours) leaves(uid UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gap == 0 || uid < o.gap {
		o.gap = uid
	}
}

// takeGap gives the first of these and forgets them; 0: none.
func (o *ours) takeGap() UID {
	o.mu.Lock()
	defer o.mu.Unlock()
	gap := o.gap
	o.gap = 0
	return gap
}

// putOff reports whether a hint is to wait, as we are changing the mailbox; first,
// whether it is the one to see to it.
func (o *ours) putOff() (wait, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.last) > oursQuiet {
		return false, false
	}
	first = !o.put
	o.put = true
	return true, first
}

// over reports whether we have stopped changing the mailbox.
func (o *ours) over() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.adding == 0 && time.Since(o.last) > oursQuiet
}

func (o *ours) taken() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put = false
}

// putOff has a hint wait while we change the mailbox. It reports whether it waits.
func (m *Mailbox) putOff() bool {
	wait, first := m.ours.putOff()
	if first {
		m.account.spawn(func() {
			for since := time.Now(); !m.ours.over() && time.Since(since) < oursOldest && m.account.ctx.Err() == nil; {
				m.account.nap(nil, oursQuiet)
			}
			m.ours.taken()
			m.hint()
		})
	}
	return wait
}
