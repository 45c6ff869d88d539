package fs

import (
	"slices"
	"time"

	"imapfs/cache"
)

// What follows is the state of names and edits of a writable mount: what each
// program has called a message, which files the server does not have yet, and what
// a system call means to the server. It is pure: no I/O, no lock, no clock. A method
// is told what happened, and what is to be done comes back as a change (plan.go),
// one step at a time. Whoever calls holds one lock over all of it, and lets go
// of it while a step is done.
//
// # Names
//
//	a message               its number, or the one name a program gave it (create, rename,
//	                        link), until unmount or refresh. Then its number is no name: two
//	                        names would let rm of one take the other with it
//	a number that is        the message of that number is listed escaped: %3103 for 103; where
//	another's given name    that is a given name or a mailbox, too, %253103, and so on
//	a name that is several  a given name, then a message's, then a mailbox's
//	                        (%3103, and the alias 103 of package doc)
//	a hidden message        not there: the view does not have it
//
// # Files
//
// A file is a text that is, or was a moment ago, the mount's own: new, an edit of
// a message (its base), or scratch. A message is put aside when a scratch file stands
// for it: the base of that file, listed under its name and no other.
//
//	create                  an empty file, not sent
//	open a message to write a file over it, whose text is fetched at the first write
//	flush, fsync            nothing for: no change, no octet, scratch, no name, an equal text.
//	                        Else the text is sent; in place of the base if that is the same
//	                        message, or the file was not cut to zero; else beside it
//	  the base is gone      sent as new: the text is not to be lost
//	  it fails              owed: listed under its name until sent, written anew or removed
//	last release            unsent: sent behind it. Empty: the cut is undone; what was created
//	                        empty stays a file of this mount. No change: the message again
//	cut of an unsent text   kept until the next octet (file.kept), and back at the last release
//	unlink  message         deleted; the name goes when the server has done it
//	  unsent text           discarded; its base is deleted, as that is what the name meant
//	  being sent, no base   discarded at once; what arrives is deleted
//	  put aside             the message is deleted; but if a text waits under its old name, that
//	                        one will replace it, be it the same message or not
//	  other scratch         discarded
//	link    message         copied. Anything else, or a scratch name: EPERM
//	utimens unsent          its date
//	  sent a moment ago     sent again with the date, in place of itself (until forget)
//	  other message         nothing if it has that date, else EPERM
//
// # Rename
//
// A file with no change counts as its message; one with a change and a base is
// committed first, and then is one.
//
//	message → free name         given name
//	message → scratch name      put aside; EPERM in another mailbox. Its text is fetched first
//	put aside → ordinary name   as the message: nothing happened to it
//	message → unsent file       as to its base; the unsent text is discarded, once the server
//	                            has said that the message is there
//	message → message           compared. Equal: the renamed one is deleted. The same message:
//	                            sent again with the flags and the date of the old (an APPEND is the
//	                            only way to set a date), in place of both, so that at each moment
//	                            one is there. Another: the name is given, nothing is removed
//	message → other mailbox     moved, beside whatever has that name, also where it is the same: a
//	                            message is replaced only in its own mailbox. An unsent file
//	                            keeps its name, and the moved message has its number
//	scratch → ordinary name     sent; compared first with the message of that name, or the one put
//	                            aside from it. If it fails, nothing is renamed and nothing owed
//	unsent  → message           the same
//	unsent  → free name         a name; sent when it would have been
//	unsent  → unsent            the same; the other text is discarded
//	unsent  → scratch name      not sent any more
//	empty   → unsent            EPERM: nothing is replaced by zero octets
//	empty   → message           the name; the message is beside it, escaped
//
// # From outside
//
//	another client expunges     the given name is nobody's; an edit of it is sent as new
//	new UIDVALIDITY             given names die, and so do bases; files stay
//	refresh                     given names of messages die; files stay
//	mailbox removed             its names die; texts that only the spool has stay in it
//	crash                       given names die; texts of the spool are adopted as they were

// boxID names a mailbox for as long as the mount lasts: directory.number, which
// a rename does not change.
type boxID uint32

// place is a name in a mailbox.
type place struct {
	box  boxID
	name string
}

// ref is a message, for ever. The zero value is none; UID 0 with a
// validity is one whose UID is not known yet.
type ref struct {
	box      boxID
	validity cache.UIDValidity
	uid      cache.UID
}

// presence is what a view knows of a message.
type presence uint8

const (
	unheard presence = iota // not loaded, or newer than the last listing
	here
	gone
)

// A view is what a mailbox holds as the server last said, hidden messages left
// out. It never changes.
type view interface {
	message(cache.UID) presence
	mailbox(listed string) bool // a child listed under that name
}

// names is the state of one mount.
type names struct {
	naming  naming
	boxes   map[boxID]*given
	aside   map[place]*file // the name that a message had before it was put aside
	recent  map[ref]*file   // sent a moment ago: the text is still there, for a date
	claims  map[any]*change // files, messages and places of changes under way
	last    uint64          // file.id
	pending aftermath
}

// given is the names of one mailbox.
type given struct {
	validity cache.UIDValidity // 0: not known yet
	view     view              // nil: not loaded
	names    map[string]*entry
	byUID    map[cache.UID]*entry // messages with a given name
	behind   map[cache.UID]*file  // messages for which a file is listed
	order    []*entry             // by at; some are dead
	next     uint64               // at of the next entry
	limit    int                  // len(names) at which the dead are looked for
}

// An entry is a given name: of a file, or of the message uid.
type entry struct {
	name string
	at   uint64 // its place in a listing: offLocal+at
	file *file
	uid  cache.UID
	dead bool
}

// A file is a text of this mount.
type file struct {
	id    uint64
	at    place // name "": it has none any more
	base  ref   // what the server has for it, or what it is an edit of
	opens int

	empty    bool // 0 octets
	whole    bool // its text is in the spool, not to be fetched from base
	cut      bool // to zero octets since base was its text
	sentCut  bool // so was the text that is being sent
	kept     bool // was cut to zero, and the spool has what it was
	scratch  bool // by the name it was given; with a base: put aside
	owed     bool // a commit failed, or is due behind the last release
	arrived  bool // the server has had a text of it
	ours     bool // base was sent by this mount, from this file
	instead  bool // base was removed by name, and only waits for this text
	doomed   bool // removed while it was being sent
	orphaned bool // its mailbox is gone, and the spool keeps its text
	spent    bool // and the spool was told
	equal    bool // it was not sent, as the server has had the same text

	date  time.Time // of utimens; zero: none
	wrote uint64    // counts its changes
	sent  uint64    // wrote, when the server last had it
}

// unknown says that the server has had the text, and not said as what.
func (f *file) unknown() bool { return f.base.uid == 0 && f.base.validity != 0 }

// dirty says that the server has not what the file says.
func (f *file) dirty() bool { return f.wrote != f.sent }

// unsent says that the file has a text that is mail and nowhere but in the spool.
func (f *file) unsent() bool { return f.dirty() && !f.scratch && (!f.empty || f.kept) }

// aftermath is what a caller owes when it has the lock no more, before it
// answers. Noted files that are owed are to be committed, now or later. They have what orphan says written to the journal. Spent texts leave
// the spool. An earlier stepSend of either whose outcome nobody knows is settled behind it: a
// message that came of it and is not file.base is deleted. The kernel is told of
// changed names.
type aftermath struct {
	spent   []*file
	noted   []*file
	changed []place
}

func newNames(n naming) *names {
	return &names{
		naming: n,
		boxes:  make(map[boxID]*given),
		aside:  make(map[place]*file),
		recent: make(map[ref]*file),
		claims: make(map[any]*change),
	}
}

// after hands over what is owed. Called behind each other method.
func (n *names) after() aftermath {
	a := n.pending
	n.pending = aftermath{}
	return a
}

func (n *names) note(f *file) {
	if !slices.Contains(n.pending.noted, f) {
		n.pending.noted = append(n.pending.noted, f)
	}
}

// changed records that a name may mean something else; so may the escaped name
// of a message whose number it is.
func (n *names) changed(p place) {
	n.pending.changed = append(n.pending.changed, p)
	if uid, ok := n.naming.parseMessage(p.name); ok {
		n.pending.changed = append(n.pending.changed, place{p.box, n.naming.escaped(uid, 0)})
	}
}

func (n *names) box(id boxID) *given {
	b := n.boxes[id]
	if b == nil {
		b = &given{
			names:  make(map[string]*entry),
			byUID:  make(map[cache.UID]*entry),
			behind: make(map[cache.UID]*file),
			limit:  minSweep,
		}
		n.boxes[id] = b
	}
	return b
}

// minSweep is how many names a mailbox has before those of messages that are
// gone are looked for; then again at each doubling.
const minSweep = 1024

// stands says that a message is known, and not known to be gone.
func (n *names) stands(m ref) bool {
	if m.uid == 0 {
		return false
	}
	b := n.box(m.box)
	return m.validity == b.validity && (b.view == nil || b.view.message(m.uid) != gone)
}

// bind puts an entry in the place of whatever has that name.
func (n *names) bind(p place, f *file, uid cache.UID) {
	b := n.box(p.box)
	if e := b.names[p.name]; e != nil {
		n.drop(b, e)
	}
	if len(b.names) >= b.limit {
		n.sweep(p.box, b)
	}
	e := &entry{name: p.name, at: b.next, file: f, uid: uid}
	b.next++
	b.names[p.name] = e
	b.order = append(b.order, e)
	if f != nil {
		f.at = p
		n.note(f)
	} else {
		b.byUID[uid] = e
	}
	n.changed(p)
}

// drop takes a given name away, and nothing else.
func (n *names) drop(b *given, e *entry) {
	e.dead = true
	delete(b.names, e.name)
	if e.file == nil {
		delete(b.byUID, e.uid)
	}
	if len(b.order) > 2*len(b.names)+minSweep {
		b.order = slices.DeleteFunc(slices.Clone(b.order), func(e *entry) bool { return e.dead })
	}
}

func (n *names) sweep(box boxID, b *given) {
	for name := range b.names {
		n.entry(b, place{box, name})
	}
	b.limit = max(minSweep, 2*len(b.names))
}

// give gives a message a name, and its former name goes; but a file that has the name
// keeps it, and so does the message, if a file is listed for it.
func (n *names) give(p place, m ref) {
	if m.uid == 0 {
		return
	}
	b := n.box(p.box)
	if b.behind[m.uid] != nil && m.validity == b.validity {
		return
	}
	if e := n.entry(b, p); e != nil && (e.file != nil || e.uid == m.uid) {
		return
	} else if e != nil {
		n.drop(b, e)
		n.changed(p)
	}
	n.unname(m)
	if m.validity != b.validity {
		return
	}
	if p.name != n.naming.messageName(m.uid) {
		n.bind(p, nil, m.uid)
	}
}

// unname takes the given name of a message away: it has its number again.
func (n *names) unname(m ref) {
	b := n.box(m.box)
	if m.validity != b.validity {
		return
	}
	n.changed(place{m.box, n.naming.messageName(m.uid)})
	if e := b.byUID[m.uid]; e != nil {
		n.drop(b, e)
		n.changed(place{m.box, e.name})
	}
}

// unnameFile takes the name of a file away.
func (n *names) unnameFile(f *file) {
	if f.at.name == "" {
		return
	}
	b := n.box(f.at.box)
	if e := b.names[f.at.name]; e != nil && e.file == f {
		n.drop(b, e)
		n.changed(f.at)
	}
	f.at.name = ""
}

// setBase says what the server has for a file; the message is then listed as
// that file.
func (n *names) setBase(f *file, m ref) {
	if b := n.box(f.base.box); b.behind[f.base.uid] == f {
		delete(b.behind, f.base.uid)
		n.changed(place{f.base.box, n.naming.messageName(f.base.uid)})
	}
	f.base = m
	if m.uid == 0 {
		return
	}
	b := n.box(m.box)
	if b.validity == 0 {
		b.validity = m.validity
	}
	if m.validity != b.validity {
		f.base = ref{}
		return
	}
	n.unname(m)
	if f.at.name != "" {
		b.behind[m.uid] = f
	}
}

// vanished: the server has deleted a message, by our doing.
func (n *names) vanished(m ref) {
	if m.uid == 0 || m.validity != n.box(m.box).validity {
		return
	}
	n.unname(m)
	b := n.box(m.box)
	if f := b.behind[m.uid]; f != nil {
		n.setBase(f, ref{})
	}
	if f := n.recent[m]; f != nil {
		n.forget(f)
	}
}

// remove ends a file: its name goes, its message has its own again, its text is
// spent when nobody has it open.
func (n *names) remove(f *file) {
	n.unnameFile(f)
	n.setBase(f, ref{})
	f.owed, f.kept = false, false
	for p, g := range n.aside {
		if g == f {
			delete(n.aside, p)
		}
	}
	n.spend(f)
}

// spend lets go of a text that nobody needs, unless it is open, or part of a
// change that will do so.
func (n *names) spend(f *file) {
	if f.opens > 0 || n.claims[f] != nil || f.spent || f.orphaned {
		return
	}
	f.spent = true
	n.pending.spent = append(n.pending.spent, f)
}
