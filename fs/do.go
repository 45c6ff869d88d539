package fs

import (
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"imapfs/cache"
)

// do does one step of a change. Whatever it did is in the snapshots when it returns.
func (s *Server) do(st step) result {
	w := s.edits.w
	switch st.kind {
	case stepWait:
		return s.await(st.on)
	case stepLoad:
		d := s.dirOf(st.box)
		if d == nil {
			return result{err: syscall.ENOENT}
		}
		_, err := d.box.Load(s.ctx)
		return result{err: err}
	case stepFetch:
		return result{err: s.fetchText(st.file, st.message)}
	case stepFind:
		return s.awaitUID(st.file)
	case stepCompare:
		v, err := s.compare(st)
		if err != nil && st.file != nil {
			s.keepText(st.file)
		}
		return result{verdict: v, err: err}
	case stepSend:
		return s.sendText(st)
	case stepDelete:
		return result{err: s.deleteMessage(st.message)}
	case stepMove, stepCopy:
		from, to := s.dirOf(st.message.box), s.dirOf(st.box)
		if from == nil || to == nil {
			return result{err: syscall.ENOENT}
		}
		f := w.MoveTo
		if st.kind == stepCopy {
			f = w.CopyTo
		}
		before := to.box.Snapshot()
		if before == nil && st.kind == stepCopy {
			// Whoever links is shown the copy, also by a server that does not say its UID.
			var err error
			if before, err = to.box.Load(s.ctx); err != nil {
				return result{err: err}
			}
		}
		uid, err := f(s.ctx, from.box, st.message.validity, st.message.uid, to.box)
		if err != nil {
			return result{err: err}
		}
		r := result{uid: uid}
		if uid == 0 {
			r.uid = s.arrivedAs(to, before)
		}
		if snap := to.box.Snapshot(); snap != nil {
			r.validity = snap.Validity()
		}
		return r
	}
	return result{}
}

// arrivedAs looks for a copy whose UID the server has not said: the one message that
// is new.
func (s *Server) arrivedAs(to *directory, before *cache.Snapshot) cache.UID {
	if before == nil {
		return 0
	}
	now, err := to.box.Load(s.ctx)
	if err != nil || now.Validity() != before.Validity() {
		return 0
	}
	next := before.UIDNext()
	if next == 0 && before.Len() > 0 {
		next = before.At(before.Len()-1).UID + 1
	}
	if i := now.Search(next); i == now.Len()-1 {
		return now.At(i).UID
	}
	return 0
}

// deleteMessage deletes a message; that it is gone already is no error.
func (s *Server) deleteMessage(m ref) error {
	d := s.dirOf(m.box)
	if d == nil {
		return nil
	}
	err := s.edits.w.Delete(s.ctx, d.box, m.validity, m.uid)
	if k := cache.KindOf(err); k == cache.NotExist || k == cache.Stale {
		if snap := d.box.Snapshot(); snap == nil || snap.Validity() == m.validity {
			if _, there := find(snap, m.uid); !there {
				return nil
			}
		}
	}
	return err
}

// fetchText gives a file the text of a message.
func (s *Server) fetchText(f *file, m ref) error {
	d := s.dirOf(m.box)
	if d == nil {
		return errStale
	}
	e := s.edits
	e.mu.Lock()
	l := e.list(f)
	name, scratch := f.at.name, f.scratch
	e.mu.Unlock()
	if name == "" {
		name, scratch = s.naming.messageName(m.uid), true
	}
	text, err := e.w.CopyText(s.ctx, d.box, m.validity, m.uid, name, scratch)
	if err != nil {
		return err
	}
	l.text.Lock()
	defer l.text.Unlock()
	if l.draft != nil { // cut meanwhile
		text.Discard()
		text.Close()
		return nil
	}
	e.mu.Lock()
	l.setText(text)
	e.drafts[text] = l
	l.copied = true
	if l.inode == 0 {
		l.inode = s.newInode(f.id)
	}
	e.mu.Unlock()
	return nil
}

// newInode is the number of a file that is no message yet: the same for as long as it is open.
func (s *Server) newInode(id uint64) uint64 {
	return notReserved(scramble(uint64(localSeed) + id))
}

// localSeed begins the inode numbers of files that no mailbox has.
const localSeed = 1 << 62

// awaitUID waits until it is known as what a text has arrived.
func (s *Server) awaitUID(f *file) result {
	e := s.edits
	limit := time.NewTimer(s.options.Timeout)
	defer limit.Stop()
	for {
		e.mu.Lock()
		l, told := e.locals[f], e.told
		e.mu.Unlock()
		if l == nil {
			return result{err: syscall.EIO}
		}
		l.text.Lock()
		text := l.draft
		l.text.Unlock()
		if text == nil {
			return result{err: syscall.EIO}
		}
		if sent := text.Sent(); sent.UID != 0 {
			return result{validity: sent.Validity, uid: sent.UID}
		}
		select {
		case <-told:
		case <-limit.C:
			return result{err: errDeadline}
		case <-s.ctx.Done():
			return result{err: errEnding}
		}
	}
}

// sendText sends the text of a file, in the place of others.
func (s *Server) sendText(st step) result {
	e, f := s.edits, st.file
	e.mu.Lock()
	l := e.list(f)
	stale := slices.ContainsFunc(st.replaces, func(m ref) bool { return m.validity != e.names.box(m.box).validity })
	if f.wrote != st.wrote || stale {
		e.mu.Unlock()
		return result{changed: true}
	}
	// sed and perl leave lines without their CR. What has a date of its own is a copy, whose
	// octets are to stay.
	edit := l.copied || st.like.uid != 0 && f.date.IsZero()
	to := fate{name: f.at.name, date: f.date, edit: edit}
	again := !f.dirty() // it has arrived, and is to have another date
	scratch := f.scratch
	e.mu.Unlock()

	d := s.dirOf(st.box)
	if d == nil {
		return result{err: syscall.ENOENT}
	}
	to.box = d.box
	l.text.Lock()
	text := l.draft
	l.text.Unlock()
	if text == nil {
		return result{err: errTextGone}
	}
	to.flags = text.Flags()
	if old := s.dirOf(st.like.box); old != nil && st.like.uid != 0 {
		if m, ok := find(old.box.Snapshot(), st.like.uid); ok {
			if !l.flagged {
				to.flags = m.Flags
			}
			if to.date.IsZero() {
				to.date = time.Unix(m.Date, 0)
			}
		}
	}
	if to.name == "" {
		to.name = s.naming.messageName(st.like.uid)
	}
	if again {
		copied, err := s.copyText(text, d.box, to.name)
		if err != nil {
			return result{err: err}
		}
		text = copied
	}
	was := text.Sent()
	for _, m := range st.replaces {
		if was.UID != 0 && m == (ref{st.box, was.Validity, was.UID}) {
			continue // it knows
		}
		if old := s.dirOf(m.box); old != nil {
			to.replaces = append(to.replaces, replaced{old.box, m.validity, m.uid})
		}
	}
	sent, err := text.Send(s.ctx, to)
	if err != nil {
		switch {
		case again:
			text.Discard()
			text.Close()
		case scratch:
			text.Move(d.box, to.name, true) // nothing is owed
		}
		return result{err: err}
	}
	if again {
		l.text.Lock()
		old := l.draft
		e.mu.Lock()
		l.setText(text)
		delete(e.drafts, old)
		e.drafts[text] = l
		e.mu.Unlock()
		l.text.Unlock()
		old.Close()
	}
	if sent.UID == 0 && sent.Validity != 0 {
		// Until it is known, it would be listed under its number, too.
		if found := s.awaitUID(f); found.err == nil {
			sent.Validity, sent.UID = found.validity, found.uid
		}
	}
	if snap := d.box.Snapshot(); snap != nil && sent.UID != 0 {
		if _, there := snap.Find(sent.UID); !there {
			d.box.Load(s.ctx) // its name is to lead to it at once
		}
	}
	r := result{validity: sent.Validity, uid: sent.UID}
	for _, m := range st.replaces {
		if m == (ref{st.box, sent.Validity, sent.UID}) {
			continue
		}
		if old := s.dirOf(m.box); old != nil {
			snap := old.box.Snapshot()
			_, there := find(snap, m.uid)
			r.left = r.left || there && snap.Validity() == m.validity // package cache goes on trying
		}
	}
	return r
}

var errTextGone = &cache.Error{Op: "write", Kind: cache.NotOffered, Err: cache.ErrDraftGone}

// copyText copies a text within the spool.
func (s *Server) copyText(from draft, box mailbox, name string) (draft, error) {
	to, err := s.edits.w.NewText(box, name, false)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.NewOffsetWriter(to, 0), io.NewSectionReader(from, 0, from.Size()))
	if err != nil {
		to.Discard()
		to.Close()
		return nil, err
	}
	return to, nil
}

// textArrived is told by package cache that the server has a text for which nobody
// may have waited.
func (s *Server) textArrived(d draft) {
	e := s.edits
	if e == nil {
		return
	}
	sent := d.Sent()
	e.mu.Lock()
	close(e.told)
	e.told = make(chan struct{})
	l := e.drafts[d]
	var c *change
	if l != nil {
		f := l.file
		dir := s.dirOf(f.at.box)
		switch {
		case f.unknown() && sent.UID != 0:
			e.names.found(f, ref{f.base.box, sent.Validity, sent.UID})
		case f.owed && f.dirty() && dir != nil:
			s.look(dir)
			c = e.names.commit(f)
		}
	}
	owed := s.owed()
	e.mu.Unlock()
	owed()
	s.finish(c)
}

// textFailed is told that a text has not arrived for which nobody waits.
func (s *Server) textFailed(d draft, err error) {
	_, name := d.Place()
	s.log.Debug("a text is not with the server yet", "name", strings.ToValidUTF8(name, "?"), "err", err)
	s.causes.report("write", err)
}
