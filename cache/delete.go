package cache

import (
	"context"
	"errors"
	"fmt"

	"imapfs/imapconn"
)

// OnDelete says what becomes of a message that is deleted.
type OnDelete int

const (
	// DeleteExpunge removes it from the server: the default. Gmail, where that would
	// only take a label off, moves it to the trash all the same.
	DeleteExpunge OnDelete = iota
	// DeleteTrash moves it to the trash: the mailbox with the attribute \Trash (RFC
	// 6154), else `Deleted Messages`, which is made where it is missing. What lies in the
	// trash is removed.
	DeleteTrash
)

// Delete deletes a message, known under UIDVALIDITY v, and no other one: by UID
// EXPUNGE (RFC 4315); where the server has only MOVE, by moving it to the trash; else it
// is marked \Deleted and hidden from then on, until another client expunges it or takes
// the mark off (hide.go). A plain EXPUNGE is never sent.
//
// The snapshot is without the message when Delete returns nil. When ctx ends first
// the work goes on, and what comes of it is published.
//
// NotExist: there is no such message any more. Stale: another UIDVALIDITY. ReadOnly,
// Access: the mailbox, or the server, does not let us. Busy: the server keeps it.
func (m *Mailbox) Delete(ctx context.Context, v UIDValidity, uid UID) error {
	return m.account.change(ctx, "delete", m, uid, func(j *job) error {
		if _, _, err := m.existing(v, uid); err != nil {
			return err
		}
		toTrash := false
		err := m.delete(j, v, uid, &toTrash)
		for j.again(err) {
			// To remove what is removed is harmless.
			err = m.delete(j, v, uid, &toTrash)
		}
		if toTrash {
			return m.toTrash(j, v, uid)
		}
		if err != nil {
			m.ours.kept(uid)
		}
		if inDoubt(err) {
			m.doubt()
		}
		return err
	})
}

// delete removes a message, or says that it is to be moved to the trash.
func (m *Mailbox) delete(j *job, v UIDValidity, uid UID, toTrash *bool) error {
	l, err := m.writing(j, v)
	if err != nil {
		return err
	}
	defer l.release()
	if m.account.cfg.OnDelete.RemovalBy(l.client.Caps()) == Trashed && !m.isTrash() {
		*toTrash = true
		return nil
	}
	return m.erase(j, l, uid)
}

// erase removes a message from m, and puts it nowhere else.
func (m *Mailbox) erase(j *job, l *lease, uid UID) error {
	if !expunges(l.client.Caps()) {
		return m.mark(l, uid)
	}
	marked := false // by another client, maybe
	if s := m.snap.Load(); s != nil {
		if r := s.find(uid); r != nil {
			marked = has(s.flags[r.flags], `\Deleted`)
		}
	}
	m.ours.removing(uid)
	for try := 0; ; try++ {
		left, err := l.client.Remove(m.account.ctx, oneUID(uid))
		switch {
		case err == nil && len(left) == 0:
			m.removed(l.epoch, uid)
			return nil
		case lostConnection(err):
			return err
		case err == nil && try < len(pauses) && !j.over():
			// Dovecot says OK and does nothing where another session is in the way.
			j.pause(pauses[try])
			continue
		case err == nil:
			err = errKept
		}
		m.ours.kept(uid)
		if !marked && !errors.Is(err, imapconn.ErrReadOnly) {
			// Lest another client's EXPUNGE take what rm has failed to remove.
			if err := l.client.RemoveFlags(m.account.ctx, oneUID(uid), `\Deleted`); err != nil {
				m.account.log.Debug("cannot take the mark off", "mailbox", m.full(), "uid", uid, "err", err)
			}
		}
		return err
	}
}

// mark marks a message \Deleted, looks that it is, and hides it.
func (m *Mailbox) mark(l *lease, uid UID) error {
	if err := l.client.AddFlags(m.account.ctx, oneUID(uid), `\Deleted`); err != nil {
		return err
	}
	flags, there, err := m.flagsOf(l, uid)
	switch {
	case err != nil:
		return err
	case !there:
		m.removed(l.epoch, uid)
		return nil
	case !has(flags, `\Deleted`):
		return fmt.Errorf("%w: the mark \\Deleted does not stay", imapconn.ErrNotOffered)
	}
	m.ours.touch()
	return m.hide(l.epoch, uid, flags)
}

// flagsOf asks for the flags of a message.
func (m *Mailbox) flagsOf(l *lease, uid UID) (flags []string, there bool, err error) {
	err = l.client.FetchMeta(m.account.ctx, oneUID(uid), imapconn.MetaFlags, func(f imapconn.Meta) {
		if f.UID == uid && f.HasFlags {
			flags, there = f.Flags, true
		}
	})
	return flags, there, err
}
