package cache

import (
	"strings"
	"sync/atomic"
	"time"

	"imapfs/imapconn"
)

// Mailbox is a mailbox, or a place in the tree that has mailboxes below it:
// every directory is one. There is one value for each as long as it exists, also
// under another name (moved.go); one that is deleted and made again is another.
//
// Where a server has two spellings of one decoded name there are two mailboxes
// of one Path, told apart by WireName.
type Mailbox struct {
	account *Account
	number  uint32 // in the keys of texts

	listed  atomic.Pointer[listed]    // what LIST said last, the name with it
	moves   atomic.Uint32             // how often it was renamed: what was selected before counts no more
	snap    atomic.Pointer[Snapshot]  // what was published last
	follow  atomic.Pointer[hearing]   // the selection that the index follows; nil: none
	current atomic.Pointer[epoch]     // under which UIDVALIDITY the UIDs hold; nil: never examined
	touched atomic.Int64              // when it was looked into last, Unix nanoseconds; 0: never
	news    atomic.Bool               // something may have changed since it was looked at
	gone    atomic.Bool               // no longer in the tree
	byPart  atomic.Bool               // what is published was made by resync
	doubted atomic.Bool               // that is not to be done again before a listing
	checked atomic.Pointer[time.Time] // when the looking began that what is published comes from

	index     index
	looks     looks
	ours      ours
	busy      atomic.Bool  // somebody works on a snapshot that nobody sees
	saidFlags atomic.Bool  // that not all flags are kept
	entered   atomic.Int64 // when the server said last which mailbox has the name, Unix nanoseconds
	relisted  time.Time    // when it was listed last; of whoever looks, one at a time

	lastOpened atomic.Uint32 // the UID, lest each READ of a message count as an open

	strayed atomic.Int64 // when a session was given up that refused it, Unix nanoseconds

	modseq imapconn.ModSeq // that NOTIFY told last; of whoever looks at notices

	// poll's own:
	asked    time.Time // when it asked
	disputed *Snapshot // STATUS said something else
	settled  struct {  // what a listing was made for, because STATUS said it
		data imapconn.StatusData
		when time.Time
	}
}

// Path is the decoded levels of the name, none for the root. Not to be modified.
// It is another one after a rename.
func (m *Mailbox) Path() []string { return m.listed.Load().path }

// Name is the last level of the decoded name, empty for the root.
func (m *Mailbox) Name() string { return m.listed.Load().name }

// WireName is the name as the server gave it in LIST; where it named only
// mailboxes below this one, the part of their name that is this one's.
func (m *Mailbox) WireName() string { return m.listed.Load().wire }

// Attrs are the attributes of LIST (RFC 3501 §7.2.2), as the server spells them.
// Not to be modified.
func (m *Mailbox) Attrs() []string { return m.listed.Load().attrs }

// Selectable reports whether the mailbox can hold messages.
func (m *Mailbox) Selectable() bool { return m.listed.Load().selectable }

// Snapshot is the newest state that is known, from memory: nil until the
// mailbox has been loaded whole. Messages that are hidden are not in it (hide.go).
func (m *Mailbox) Snapshot() *Snapshot { return m.snap.Load().visible() }

// full is the name for errors, logs and patterns.
func (m *Mailbox) full() string { return strings.Join(m.Path(), "/") }

// Touch notes that somebody looks into the mailbox: for ten minutes it is asked
// about, and those looked into last are watched. It costs nothing and waits
// for nothing.
func (m *Mailbox) Touch() { m.account.look(m) }
