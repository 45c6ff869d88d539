package cache

import (
	"errors"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// An edit of one message of the same mailbox goes by UID REPLACE (RFC 8508) where the server
// offers that: neither of the two is there beside the other, nor none, and it is one round
// trip.
//
// The old message goes before the octets of the new one could be compared. So it is done only
// for a text in which a check could find nothing but another size (no NUL, no 8-bit octets in
// the header). If the size is another one all the same the server has what it made of the
// text, and no longer the old one; but that was to go, by the wish of whoever wrote, and the
// text as it was written stays in the spool (Changed), as after an APPEND. Until the size
// is known the spool keeps it in any case.
//
// Whether a REPLACE was done whose answer is lost is found out by the same search as for an
// APPEND. If it was not, it is sent again: as an APPEND where the old message is gone.

// maxReplacing bounds a text that is sent by REPLACE, in octets: the connection is one of
// those few that change the mailbox, and a large text would hold up who removes something.
const maxReplacing = 1 << 20

// uplink gives the connection that a text is to be sent over: where it may take the place of
// its message in one command, one that has the mailbox selected for changes.
func (d *Draft) uplink(j *job, m *Mailbox, g *generation) (*lease, error) {
	l, err := m.beside(j)
	if err != nil || !l.client.Caps().Has("REPLACE") {
		return l, err
	}
	old, v := d.replaceable(m, g.Info(), d.earlier(g))
	if old == 0 {
		return l, nil
	}
	l.release()
	if w, err := m.writing(j, v); err == nil {
		return w, nil
	}
	return m.beside(j) // who may not delete may add all the same
}

// earlier gives the messages that the generations before g have become.
func (d *Draft) earlier(g *generation) (all []spool.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.gens {
		if o == g {
			break
		}
		if in := o.Info(); in.State == spool.Done && in.UID != 0 {
			all = append(all, in.Where())
		}
	}
	return all
}

// replaceable gives the message that a text may replace by one command, and its UIDVALIDITY: the
// only one of those that it takes the place of which is there still. 0: there is none, or it
// is not to be done so. more are to be replaced besides those of in.
func (d *Draft) replaceable(m *Mailbox, in *spool.Info, more []spool.Message) (UID, UIDValidity) {
	e, s := m.current.Load(), m.snap.Load()
	switch {
	case d.a.cfg.OnDelete != DeleteExpunge, d.a.drafts.noReplace.Load(), in.NUL, in.EightBit, in.Length > maxReplacing:
		return 0, 0
	case e == nil || s == nil || s.validity != e.validity:
		return 0, 0
	}
	var old UID
	for _, all := range [][]spool.Message{in.Replaces, more} {
		for _, r := range all {
			shown := s.visible().find(r.UID) != nil
			switch {
			case r.Mailbox != m.WireName(), r.Validity != e.wire, shown != (s.find(r.UID) != nil):
				return 0, 0
			case shown && old != 0 && old != r.UID:
				return 0, 0
			case shown:
				old = r.UID
			}
		}
	}
	return old, e.validity
}

// upload sends a text: by REPLACE of old over l, which has the mailbox selected; by APPEND where
// old is 0. The error is an *imapconn.AppendError.
func (d *Draft) upload(l *lease, m *Mailbox, g *generation, old UID) (imapconn.AppendData, error) {
	out, err := g.Outgoing()
	if err != nil {
		return imapconn.AppendData{}, &imapconn.AppendError{State: imapconn.NotSent, Err: err}
	}
	defer out.Close()
	in := g.Info()
	text := imapconn.NewMessage{
		Text: &counted{out: out, n: &d.a.drafts.octets}, Size: out.Length, Flags: in.Flags, Date: d.dated(g), Binary: in.NUL,
	}
	if old != 0 {
		return l.client.Replace(d.a.ctx, old, m.WireName(), text)
	}
	return l.client.Append(d.a.ctx, m.WireName(), text)
}

// deliverOver sends a text over l: by REPLACE where that may be done and the server lets us, by
// APPEND else. It gives the message that was replaced; 0: none.
func (d *Draft) deliverOver(l *lease, m *Mailbox, g *generation) (data imapconn.AppendData, old UID, err error) {
	if l.hear != nil && l.hear.write {
		var v UIDValidity
		if old, v = d.replaceable(m, g.Info(), nil); v != l.epoch.validity {
			old = 0
		}
	}
	data, err = d.upload(l, m, g, old)
	if old == 0 || !refusesReplace(err) {
		return data, old, err
	}
	if there, e := isThere(d.a.ctx, l, old); e == nil && !there {
		m.removed(l.epoch, old) // by another client: no fault of the command
	} else if e == nil && !d.a.drafts.noReplace.Swap(true) {
		d.a.log.Info("the server offers REPLACE and refuses it; texts are appended, and the old ones deleted", "mailbox", m.full(), "err", err)
	}
	data, err = d.upload(l, m, g, 0)
	return data, 0, err
}

// refusesReplace reports whether an APPEND may do what a REPLACE could not: the server has not
// stored the text, and does not say that it has no room for it or no time.
func refusesReplace(err error) bool {
	var what *imapconn.AppendError
	if !errors.As(err, &what) {
		return false
	}
	switch KindOf(err) {
	case Quota, TooBig, Busy:
		return false
	}
	return what.State == imapconn.Refused || errors.Is(err, imapconn.ErrNotOffered)
}
