package spool

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"imapfs/imapconn/imapwire"
)

// inFlight is what the lines of a journal come to.
type inFlight struct {
	hidden  map[place]imapwire.UIDSet
	ranges  int // of all hidden
	moves   map[string]Move
	parked  map[string]Parking
	renames map[string]renaming
}

// place is a mailbox under one UIDVALIDITY.
type place struct {
	mailbox  string
	validity UIDValidity
}

func newInFlight() *inFlight {
	return &inFlight{map[place]imapwire.UIDSet{}, 0, map[string]Move{}, map[string]Parking{}, map[string]renaming{}}
}

// apply takes one line.
func (l *inFlight) apply(c *change) {
	p := place{c.mailbox, c.validity}
	switch c.key {
	case "hide":
		l.put(p, union(l.hidden[p], c.uids))
	case "show":
		l.put(p, without(l.hidden[p], c.uids))
	case "forget":
		for k := range l.hidden {
			if k.mailbox == c.mailbox {
				l.put(k, nil)
			}
		}
	case "move":
		// A long set is parted in several lines of one ID.
		l.moves[c.id] = Move{c.mailbox, c.validity, union(l.moves[c.id].UIDs, c.uids), c.to}
	case "park":
		l.parked[c.id] = Parking{c.mailbox, c.to}
	case "rename":
		r := renaming{Mailbox{Wire: c.mailbox}, Mailbox{c.to, c.path}, c.delim}
		l.renames[c.id] = r
		l.rename(&r)
	case "end":
		delete(l.moves, c.id)
		delete(l.parked, c.id)
		delete(l.renames, c.id)
	}
}

func (l *inFlight) put(p place, set imapwire.UIDSet) {
	l.ranges += len(set) - len(l.hidden[p])
	if len(set) == 0 {
		delete(l.hidden, p)
		return
	}
	l.hidden[p] = set
}

func union(a, b imapwire.UIDSet) imapwire.UIDSet {
	all := slices.Clone(a)
	for _, r := range b {
		all.AddRange(r.First, r.Last)
	}
	return all
}

// rename gives everything the new names.
func (l *inFlight) rename(r *renaming) {
	for k, set := range maps.Clone(l.hidden) {
		if name, ok := r.rename(k.mailbox); ok {
			to := place{name, k.validity}
			l.put(k, nil)
			l.put(to, union(l.hidden[to], set))
		}
	}
	for id, m := range l.moves {
		m.From, _ = r.rename(m.From)
		m.To, _ = r.rename(m.To)
		l.moves[id] = m
	}
	for id, p := range l.parked {
		p.Old, _ = r.rename(p.Old)
		p.New, _ = r.rename(p.New)
		l.parked[id] = p
	}
}

// changes are lines that come to l, those of renames first: they rename nothing then.
func (l *inFlight) changes() []change {
	var all []change
	for _, id := range slices.Sorted(maps.Keys(l.renames)) {
		r := l.renames[id]
		all = append(all, change{key: "rename", id: id, mailbox: r.old.Wire, to: r.new.Wire, delim: r.delim, path: r.new.Path})
	}
	for p, set := range l.hidden {
		all = append(all, parted(change{key: "hide", mailbox: p.mailbox, validity: p.validity, uids: set})...)
	}
	for id, m := range l.moves {
		all = append(all, parted(change{key: "move", id: id, mailbox: m.From, validity: m.Validity, uids: m.UIDs, to: m.To})...)
	}
	for id, p := range l.parked {
		all = append(all, change{key: "park", id: id, mailbox: p.Old, to: p.New})
	}
	return all
}

// parted is a change in as many lines as its set needs.
func parted(c change) []change {
	var all []change
	for _, part := range c.uids.Split(maxSet) {
		c.uids = part
		all = append(all, c)
	}
	return all
}

const (
	// maxSet is how much of a line a set may take, in octets.
	maxSet = 4 << 10
	// roomy is how long a journal may be, in octets, before it is looked at whether
	// it is mostly past.
	roomy = 256 << 10
)

// journal is a file of lines, one for each change that begins or ends.
type journal struct {
	dir *dir

	mu     sync.Mutex // for the file; held while it is synced
	file   file       // nil: none yet
	end    int64      // of what was written whole
	begun  int64      // how long it was when it was written anew
	broken bool       // a write or sync failed: what it holds is not sure

	see  sync.RWMutex // after mu
	live *inFlight
}

// write notes changes. If durable, they are on the disk when it returns nil. If it
// returns an error nothing is noted.
func (j *journal) write(durable bool, changes ...change) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dir == nil {
		return ErrGone
	}
	var b []byte
	ranges := 0
	for i := range changes {
		from := len(b)
		if b = changes[i].append(b); len(b)-from > maxLine {
			return ErrTooLong
		}
		ranges += len(changes[i].uids)
	}
	l := j.live
	if changes[0].key != "end" && changes[0].key != "forget" &&
		(l.ranges+ranges > maxHidden || len(l.moves)+len(l.parked)+len(l.renames) >= maxChanges) {
		return ErrFull
	}
	if j.file == nil || j.broken || j.end > max(roomy, 4*j.begun) {
		if err := j.anew(); err != nil {
			return err
		}
	}
	_, err := j.file.WriteAt(b, j.end)
	if err == nil && durable {
		err = j.file.Sync()
	}
	if err != nil {
		// The kernel says it once: after a failed sync nothing in the file is sure.
		j.broken = true
		return err
	}
	j.end += int64(len(b))
	j.see.Lock()
	for i := range changes {
		l.apply(&changes[i])
	}
	j.see.Unlock()
	return nil
}

// anew writes the journal anew. mu is held.
func (j *journal) anew() error {
	var b []byte
	for _, c := range j.live.changes() {
		b = c.append(b)
	}
	if err := j.dir.write(journalName, b, true, true); err != nil {
		return err
	}
	f, err := j.dir.disk.open(j.dir.file(journalName), os.O_RDWR)
	if err != nil {
		return err
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.end, j.begun, j.broken = f, int64(len(b)), int64(len(b)), false
	return nil
}

// close closes the file, and reports whether nothing is in flight.
func (j *journal) close() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		j.file.Sync() // what was ended; else it is looked at once more
		j.file.Close()
		j.file = nil
	}
	j.dir = nil
	l := j.live
	return l == nil || len(l.hidden)+len(l.moves)+len(l.parked)+len(l.renames) == 0
}

// readJournal reads the journal of a directory, a line at a time; nil: it has none.
func (s *Spool) readJournal(d *dir) (*inFlight, error) {
	f, err := d.disk.open(d.file(journalName), os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.size()
	if err != nil {
		return nil, err
	}
	l := newInFlight()
	in := bufio.NewReaderSize(io.NewSectionReader(f, 0, n), maxLine)
	for bad := 0; ; {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			c, ok := parseChange(string(line))
			if ok && l.ranges+len(c.uids) <= maxHidden {
				l.apply(&c)
			} else if bad++; bad == 1 {
				s.problem("%s: a line cannot be read; what it began may have to be undone by hand", d.file(journalName))
			}
		}
		if err == io.EOF {
			return l, nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
	}
}

// openJournal takes all journals together in ours. Mailboxes whose renaming was not
// noted everywhere get their names.
func (s *Spool) openJournal() error {
	j := &s.journal
	j.dir, j.live = s.dirs[0], newInFlight()
	var there []*dir
	for _, d := range s.dirs {
		l, err := s.readJournal(d)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		there = append(there, d)
		for _, r := range l.renames {
			for _, e := range s.Entries() {
				if e.dir == d {
					err := e.renamed(&r, true)
					if errors.Is(err, ErrTooLong) {
						s.problem("%q: the new name of its mailbox is too long", e.Info().Name)
					} else if err != nil {
						return err
					}
				}
			}
		}
		clear(l.renames)
		for _, c := range l.changes() {
			j.live.apply(&c)
		}
	}
	if len(there) == 0 {
		return nil
	}
	if err := j.anew(); err != nil {
		return err
	}
	for _, d := range there {
		if d == j.dir {
			continue
		}
		if err := d.remove(journalName); err != nil {
			return err
		}
		if err := d.sync.do(); err != nil {
			return err
		}
	}
	return nil
}

// Hide notes that messages are deleted for us, though the server has them still.
// It is on the disk when it returns nil. ErrFull, ErrTooLong, or the disk's error:
// then nothing is noted.
func (s *Spool) Hide(mailbox string, v UIDValidity, uids imapwire.UIDSet) error {
	return s.note(true, parted(change{key: "hide", mailbox: mailbox, validity: v, uids: uids})...)
}

// Show takes messages back that were hidden: they are expunged, or their mark is
// gone. A crash of the machine may hide them again. Errors as with Hide.
func (s *Spool) Show(mailbox string, v UIDValidity, uids imapwire.UIDSet) error {
	return s.note(false, parted(change{key: "show", mailbox: mailbox, validity: v, uids: uids})...)
}

// Forget takes back all that was hidden in a mailbox that is gone, under every
// UIDVALIDITY. Errors as with Hide.
func (s *Spool) Forget(mailbox string) error {
	return s.note(false, change{key: "forget", mailbox: mailbox})
}

// Hidden is the hidden messages of a mailbox. Not to be modified.
func (s *Spool) Hidden(mailbox string, v UIDValidity) imapwire.UIDSet {
	s.journal.see.RLock()
	defer s.journal.see.RUnlock()
	return s.journal.live.hidden[place{mailbox, v}]
}

// BeginMove notes that a COPY is about to be sent, after which the messages are to be
// deleted. It is on the disk when it returns nil. After a crash both may be there.
// Errors as with Hide.
func (s *Spool) BeginMove(m Move) (id string, err error) {
	id = s.newID()
	return id, s.note(true, parted(change{key: "move", id: id, mailbox: m.From, validity: m.Validity, uids: m.UIDs, to: m.To})...)
}

// BeginParking notes that a mailbox is about to be renamed, to be looked into and
// deleted. It is on the disk when it returns nil. Errors as with Hide.
func (s *Spool) BeginParking(p Parking) (id string, err error) {
	id = s.newID()
	return id, s.note(true, change{key: "park", id: id, mailbox: p.Old, to: p.New})
}

// End notes that what a Begin gave an ID for is over, or never began. A crash of the
// machine may forget it.
func (s *Spool) End(id string) error { return s.note(false, change{key: "end", id: id}) }

// Moves are the moves that have begun, by ID: after Open, those of a daemon that is gone.
func (s *Spool) Moves() map[string]Move {
	s.journal.see.RLock()
	defer s.journal.see.RUnlock()
	return maps.Clone(s.journal.live.moves)
}

// Parkings are the mailboxes that may lie under another name, by ID: after Open,
// those of a daemon that is gone.
func (s *Spool) Parkings() map[string]Parking {
	s.journal.see.RLock()
	defer s.journal.see.RUnlock()
	return maps.Clone(s.journal.live.parked)
}

// note writes changes whose names are short enough; none is nothing to do.
func (s *Spool) note(durable bool, changes ...change) error {
	for i := range changes {
		c := &changes[i]
		if len(c.mailbox) > maxMailbox || len(c.to) > maxMailbox || len(strings.Join(c.path, "")) > maxMailbox {
			return ErrTooLong
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return s.journal.write(durable, changes...)
}
