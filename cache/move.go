package cache

import (
	"context"
	"errors"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// MoveTo moves a message, known under UIDVALIDITY v, to another mailbox and gives its
// UID there; 0 where the server does not say. By MOVE (RFC 6851), else by COPY and
// what Delete does. What is cut off in between leaves the message in both, never in
// none.
//
// When it returns nil the snapshot of m is without the message; that of to has it
// if to has been loaded and the UID is known, and else to is asked about when somebody
// looks. When ctx ends first the work goes on.
//
// Errors as with Delete; NotExist, too, if to is gone (the Mailbox of the Error says
// which), Quota, TooBig. IO: the answer was lost; where it was a COPY, the message may
// have a copy now.
func (m *Mailbox) MoveTo(ctx context.Context, v UIDValidity, uid UID, to *Mailbox) (UID, error) {
	var there UID
	err := m.account.change(ctx, "move", m, uid, func(j *job) (err error) {
		there, err = m.moveTo(j, v, uid, to)
		return err
	})
	if err != nil {
		return 0, err // there may be written still
	}
	return there, nil
}

func (m *Mailbox) moveTo(j *job, v UIDValidity, uid UID, to *Mailbox) (UID, error) {
	if to == m {
		return uid, nil
	}
	r, err := m.relocation(v, uid, to)
	if err != nil {
		return 0, err
	}
	to.ours.begin()
	defer to.settle()
	err = r.move(j)
	for j.again(err) {
		err = r.move(j)
	}
	if r.lost && lostConnection(err) {
		err = r.inDoubt()
	}
	if r.note != "" {
		m.account.spool.End(r.note)
	}
	if err != nil {
		m.ours.kept(uid)
		if refused := new(imapconn.StatusError); inDoubt(err) || errors.As(err, &refused) {
			m.doubt() // a NO may come when it is half done
			to.doubt()
		}
		return 0, err
	}
	to.added(r.validity, r.record, r.flags)
	return r.record.uid, nil
}

// relocation is one message on its way to another mailbox.
type relocation struct {
	m, to  *Mailbox
	v      UIDValidity
	uid    UID
	record record // its uid is that in the other mailbox, 0 where that is not known
	flags  []string

	validity UIDValidity // of the other mailbox
	tried    bool        // a MOVE was sent, and its answer lost
	copied   bool
	note     string // in the journal: it may have been copied
	before   target // the other mailbox, before the COPY
	lost     bool   // a COPY was sent, and its answer lost
}

func (m *Mailbox) relocation(v UIDValidity, uid UID, to *Mailbox) (*relocation, error) {
	msg, known, err := m.existing(v, uid)
	if err != nil {
		return nil, err
	}
	switch {
	case to.gone.Load():
		return nil, failure("move to", to, 0, errGone)
	case !to.Selectable():
		return nil, failure("move to", to, 0, errNoMessages)
	}
	r := &relocation{m: m, to: to, v: v, uid: uid, record: *known, flags: msg.Flags}
	r.record.uid = 0
	return r, nil
}

// move does what is still to be done.
func (r *relocation) move(j *job) error {
	if err := r.settle(j); err != nil {
		return err
	}
	l, err := r.m.writing(j, r.v)
	if err != nil {
		return err
	}
	defer l.release()
	if moves(l.client.Caps()) && !r.copied {
		return r.byMove(j, l)
	}
	if err := r.copy(j, l, true); err != nil {
		return err
	}
	return r.m.erase(j, l, r.uid)
}

func (r *relocation) byMove(j *job, l *lease) error {
	m, ctx := r.m, r.m.account.ctx
	if r.tried {
		// The answer was lost: what the mailbox says counts.
		if there, err := isThere(ctx, l, r.uid); err != nil {
			return err
		} else if !there {
			m.removed(l.epoch, r.uid)
			return nil
		}
	}
	m.ours.removing(r.uid)
	data, err := l.client.Move(ctx, oneUID(r.uid), r.to.WireName())
	if err != nil {
		r.tried = r.tried || lostConnection(err)
		return r.refused(err)
	}
	for try := 0; ; try++ {
		if r.took(data) {
			m.removed(l.epoch, r.uid)
			return nil
		}
		there, err := isThere(ctx, l, r.uid)
		switch {
		case err != nil:
			r.tried = true
			return err
		case !there && expunges(l.client.Caps()):
			// A server that names copies has made none: another client was faster.
			m.removed(l.epoch, r.uid)
			return &Error{Op: "move", Mailbox: m.full(), UID: r.uid, Kind: NotExist, Err: errNoMessage}
		case !there:
			m.removed(l.epoch, r.uid)
			return nil
		case try == len(pauses) || j.over():
			m.ours.kept(r.uid)
			return errKept
		}
		j.pause(pauses[try])
	}
}

// took notes what COPYUID says of the message; false where it says nothing.
func (r *relocation) took(data imapconn.CopyData) bool {
	uid, named := data.Target(r.uid)
	if named {
		r.record.uid, r.validity = uid, data.UIDValidity
	}
	return named
}

// copy copies the message, and makes sure that it is copied, unless that is done. To
// be sure costs a question where there is no COPYUID: some say OK to the COPY of a
// message that is gone.
func (r *relocation) copy(j *job, l *lease, moving bool) error {
	if r.copied {
		return nil
	}
	ctx, a := r.m.account.ctx, r.m.account
	if moving && a.spool != nil && r.note == "" {
		var err error
		r.note, err = a.spool.BeginMove(spool.Move{From: r.m.WireName(), Validity: r.v, UIDs: oneUID(r.uid), To: r.to.WireName()})
		if err != nil {
			r.note = ""
			return err
		}
	}
	if err := r.expect(j); err != nil {
		return err
	}
	data, err := l.client.Copy(ctx, oneUID(r.uid), r.to.WireName())
	switch {
	case errors.Is(err, imapconn.ErrNotSelected):
		return err // not sent
	case lostConnection(err):
		r.lost = true
		return err
	case err != nil:
		return r.refused(err)
	}
	if r.copied = r.took(data); r.copied {
		a.drafts.own(r.to, r.validity, r.record.uid)
	} else {
		a.drafts.forget(r.to)
		there, err := isThere(ctx, l, r.uid)
		switch {
		case err != nil:
			r.lost = r.lost || lostConnection(err)
			return err
		case !there:
			r.m.learnGone(l.epoch, r.uid)
			return &Error{Op: "copy", Mailbox: r.m.full(), UID: r.uid, Kind: NotExist, Err: errNoMessage}
		}
		r.copied = true
	}
	return nil
}

// refused says which mailbox a refusal is about: a target that is gone is not m.
func (r *relocation) refused(err error) error {
	switch KindOf(err) {
	case NotExist:
		r.m.account.trees.distrust()
		return failure("move to", r.to, 0, err)
	case Stale: // EXPUNGEISSUED
		return &Error{Op: "move", Mailbox: r.m.full(), UID: r.uid, Kind: NotExist, Err: err}
	}
	return err
}
