package cache

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

const (
	// maxSending is how many texts are sent at once, at most.
	maxSending = 4
	// maxLingering is how many texts that have arrived are kept in the spool at most, for
	// whoever gives them another date.
	maxLingering = 256
)

// drafts is what an account has in its spool for the server.
type drafts struct {
	pauses draftPauses
	slots  chan struct{} // one for each text that is being sent

	noReplace atomic.Bool // the server has refused a REPLACE that it offers

	mu        sync.Mutex // held over nothing; after Draft.mu
	all       []*Draft   // in the order of their making
	targets   map[*Mailbox]*target
	octets    atomic.Int64 // of texts, that went out
	checks    []check
	lingering []*Draft
	hurry     int           // how many flush
	check     chan struct{} // wakes checkDrafts; holds one
	now       chan struct{} // has it gather no longer; holds one
	changed   chan struct{} // closed when a draft changes, and made anew
}

// draftPauses are how long is waited for what.
type draftPauses struct {
	looks       []time.Duration // before each look for a text that may be with the server
	first, last time.Duration   // before it is tried again: doubled from one to the other
	check       time.Duration   // without an arrival, until what has arrived is checked
	linger      time.Duration   // a text stays in the spool after it has arrived
}

// usualPauses: after 2, 10 and 30 s, for Cyrus and Courier show a message some tenths late.
var usualPauses = draftPauses{
	looks: []time.Duration{0, 2 * time.Second, 8 * time.Second, 20 * time.Second},
	first: time.Second, last: 5 * time.Minute, check: 500 * time.Millisecond, linger: time.Minute,
}

func newDrafts(pauses *draftPauses) *drafts {
	if pauses == nil {
		pauses = &usualPauses
	}
	return &drafts{
		pauses:  *pauses,
		slots:   make(chan struct{}, maxSending),
		targets: make(map[*Mailbox]*target),
		check:   make(chan struct{}, 1),
		now:     make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
}

func (ds *drafts) add(d *Draft) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.all = append(ds.all, d)
}

func (ds *drafts) remove(d *Draft) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	is := func(o *Draft) bool { return o == d }
	ds.all = slices.DeleteFunc(ds.all, is)
	ds.lingering = slices.DeleteFunc(ds.lingering, is)
}

func (ds *drafts) list() []*Draft {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return slices.Clone(ds.all)
}

// tell wakes whoever waits for a draft.
func (ds *drafts) tell() {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	close(ds.changed)
	ds.changed = make(chan struct{})
}

// news is closed when a draft changes.
func (ds *drafts) news() <-chan struct{} {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.changed
}

// hurried reports whether somebody flushes.
func (ds *drafts) hurried() bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.hurry > 0
}

// target is what is known of a mailbox that texts are appended to. Guarded by drafts.mu.
type target struct {
	known    bool
	validity UIDValidity // on the wire
	next     UID         // no message that is not there yet has a lower UID; 0: nothing is known
	limit    int64       // of a text, in octets
	owned    imapconn.UIDSet
}

// target gives the one of a mailbox. mu is held.
func (ds *drafts) target(m *Mailbox) *target {
	t := ds.targets[m]
	if t == nil {
		t = &target{}
		ds.targets[m] = t
	}
	return t
}

// own notes that a message is one of our texts: no other one of them is.
func (ds *drafts) own(m *Mailbox, v UIDValidity, uid UID) {
	if uid == 0 {
		return
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	t := ds.target(m)
	if t.validity != v {
		*t = target{limit: t.limit, known: t.known, validity: v}
	}
	t.owned.Add(uid)
	t.next = max(t.next, uid+1)
}

// owns reports whether a message is one of our texts, other than e.
func (a *Account) owns(m *Mailbox, v UIDValidity, uid UID, e *spool.Entry) bool {
	a.drafts.mu.Lock()
	t := a.drafts.target(m)
	owned := t.validity == v && t.owned.Contains(uid)
	a.drafts.mu.Unlock()
	if owned || a.spool == nil {
		return owned
	}
	for _, o := range a.spool.Entries() {
		in := o.Info()
		if o != e && in.UID == uid && in.Validity == v && in.Mailbox.Wire == m.WireName() {
			return true
		}
	}
	return false
}

// byWire gives the mailbox that the server calls so; nil if there is none.
func (a *Account) byWire(wire string) *Mailbox {
	if wire == "" {
		return nil
	}
	for m, n := range a.Tree().nodes {
		if n.listed.wire == wire && !m.gone.Load() {
			return m
		}
	}
	return nil
}
