package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// OK can hide changed octets: NUL that became 0x80, 8-bit letters of a header that became
// X. So the size that the server gives for what has arrived is asked, for many messages
// at once and behind whatever is sent meanwhile; the text is compared where that is
// another or the header has such letters. Where the server gave no UID it is looked for.

// check is a text that has arrived and is to be looked at.
type check struct {
	d     *Draft
	box   *Mailbox
	g     *generation
	tries int
	after time.Time
}

const (
	// checkTries is how often a message is looked for that the server says it has.
	checkTries = 4
	// maxGathered is how many texts are gathered at most, to be checked at once.
	maxGathered = 256
	// gatherLimit is how long they are, in draftPauses.check.
	gatherLimit = 20
)

func (a *Account) queueCheck(c check) {
	ds := a.drafts
	ds.mu.Lock()
	ds.checks = append(ds.checks, c)
	ds.mu.Unlock()
	wake(ds.check)
}

// dueChecks reports whether there is something whose time has come, and else how long the
// next one has; 0: there is none.
func (ds *drafts) dueChecks() (due bool, next time.Duration) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for i := range ds.checks {
		wait := time.Until(ds.checks[i].after)
		if wait <= 0 {
			return true, 0
		}
		if next == 0 || wait < next {
			next = wait
		}
	}
	return false, next
}

// takeChecks gives those whose time has come.
func (ds *drafts) takeChecks() (now []check) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	at := time.Now()
	ds.checks = slices.DeleteFunc(ds.checks, func(c check) bool {
		if c.after.After(at) {
			return false
		}
		now = append(now, c)
		return true
	})
	return now
}

// hasten has whatever is put off be checked now.
func (ds *drafts) hasten() {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for i := range ds.checks {
		ds.checks[i].after = time.Time{}
	}
}

// checkDrafts checks what has arrived until the account is closed.
func (a *Account) checkDrafts() {
	ds := a.drafts
	for a.ctx.Err() == nil {
		if due, next := ds.dueChecks(); !due {
			a.nap(ds.check, next)
			continue
		}
		a.gather()
		for now := ds.takeChecks(); len(now) > 0; {
			m := now[0].box
			var these, rest []check
			for _, c := range now {
				if c.box == m {
					these = append(these, c)
				} else {
					rest = append(rest, c)
				}
			}
			a.checkBox(m, these)
			now = rest
		}
	}
}

// gather waits as long as more arrives that can be checked in one flight with what has.
func (a *Account) gather() {
	ds := a.drafts
	until := time.NewTimer(gatherLimit * ds.pauses.check)
	defer until.Stop()
	for a.ctx.Err() == nil && !ds.hurried() && ds.gathered() < maxGathered {
		quiet := time.NewTimer(ds.pauses.check)
		select {
		case <-ds.check:
			quiet.Stop()
			continue
		case <-quiet.C:
		case <-until.C:
		case <-ds.now:
		case <-a.ctx.Done():
		}
		quiet.Stop()
		return
	}
}

// gathered counts what has arrived and was not looked at yet.
func (ds *drafts) gathered() int {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	n := 0
	for i := range ds.checks {
		if ds.checks[i].tries == 0 {
			n++
		}
	}
	return n
}

// checkBox checks what has arrived in one mailbox; what cannot be checked now is put off.
func (a *Account) checkBox(m *Mailbox, these []check) {
	j := a.newJob()
	defer j.finish(nil)
	sizes, wire, err := m.sizes(j, these)
	for j.again(err) {
		sizes, wire, err = m.sizes(j, these)
	}
	for _, c := range these {
		done := false
		if err == nil {
			done = a.checkOne(j, c, sizes, wire)
		} else if KindOf(err) == NotExist {
			c.d.checked(c.g) // with its mailbox it went; the server had said OK
			done = true
		}
		if !done {
			a.putOff(c, err)
		}
	}
}

var errUnchecked = errors.New("the server does not show the new one yet")

// putOff has a text checked again later; err is why it could not be, nil where the server
// answers.
func (a *Account) putOff(c check, err error) {
	pauses := &a.drafts.pauses
	pause := pauses.last
	if c.tries++; c.tries < len(pauses.looks) {
		pause = pauses.looks[c.tries]
	}
	c.d.mu.Lock()
	c.d.putOffs++
	checked := c.g.checked
	if !checked {
		if c.g.kept = err; err == nil {
			c.g.kept = errUnchecked
		}
	}
	c.d.mu.Unlock()
	if a.drafts.hurried() {
		// What is not seen yet gets its time all the same: then it is judged.
		longest := pauses.looks[len(pauses.looks)-1]
		if checked {
			longest = pauses.looks[1]
		}
		pause = min(pause, longest)
	}
	c.after = time.Now().Add(pause)
	a.queueCheck(c)
	a.drafts.tell()
}

// sizes asks for the sizes of messages that have arrived, in a session that has heard
// what there is to hear.
func (m *Mailbox) sizes(j *job, these []check) (map[UID]int64, UIDValidity, error) {
	moves := m.moves.Load()
	l, err := m.account.pool.acquire(j.ctx, want{box: m})
	if err != nil {
		return nil, 0, m.refused(j, err, moves, 0)
	}
	defer l.release()
	var set imapconn.UIDSet
	for _, c := range these {
		if in := c.g.Info(); in.UID != 0 && in.Validity == l.epoch.wire {
			set.Add(in.UID)
		}
	}
	sizes := make(map[UID]int64)
	if len(set) == 0 {
		return sizes, l.epoch.wire, nil
	}
	// Alone: Dovecot hears at the end of what it was sent at once, not before a FETCH behind it.
	if err := l.client.Noop(m.account.ctx); err != nil {
		return nil, 0, err
	}
	err = l.client.FetchMeta(m.account.ctx, set, imapconn.MetaSize, func(f imapconn.Meta) {
		if f.HasSize {
			sizes[f.UID] = f.Size
		}
	})
	return sizes, l.epoch.wire, err
}

// checkOne checks one text by what the server says; false: that is not known yet.
func (a *Account) checkOne(j *job, c check, sizes map[UID]int64, wire UIDValidity) bool {
	d, m, g := c.d, c.box, c.g
	in := g.Info()
	if g.Gone() || in.State != spool.Done {
		return true
	}
	d.mu.Lock()
	checked := g.checked
	d.mu.Unlock()
	if !checked {
		size, there := sizes[in.UID]
		switch {
		case in.UID == 0:
			v, uid, err := m.search(a.ctx, j, g)
			if err != nil {
				return false
			}
			if uid == 0 {
				if c.tries < checkTries {
					return false
				}
				d.differs(g, "the server has said OK, and no message there has these octets")
				return true
			}
			d.found(m, g, v, uid)
		case in.Validity != wire, !there && c.tries >= checkTries:
			// Another client has moved or removed it, or UIDs count anew.
			_, uid, err := m.search(a.ctx, j, g)
			if err != nil {
				return false
			}
			if uid == 0 {
				d.unseen(g)
				return true
			}
		case !there:
			return false
		case size != in.Length || in.EightBit:
			same, size, err := m.sameText(j, in)
			if err != nil { // also where it has just gone: then it is looked for
				return false
			}
			if !same {
				if e := m.current.Load(); e != nil && e.wire == in.Validity {
					m.learnSize(e, in.UID, size)
				}
				d.differs(g, "the server has the message with other octets")
				return true
			}
		}
		d.checked(g)
	}
	return a.replace(d, m, g)
}

// sameText compares a message with the text that was sent, and gives its size. errExpunged: it
// has gone, and what was said of it meanwhile says nothing (Dovecot: SIZE 0 and NIL).
func (m *Mailbox) sameText(j *job, in *spool.Info) (bool, int64, error) {
	l, err := m.account.pool.acquire(j.ctx, want{box: m})
	if err != nil {
		return false, 0, err
	}
	defer l.release()
	sum, n, err := l.sum(m.account.ctx, in.UID, in.Length)
	if err != nil || n == in.Length && sum == in.Sum {
		return err == nil, n, err
	}
	there, err := isThere(m.account.ctx, l, in.UID)
	if err == nil && !there {
		err = errExpunged
	}
	return false, n, err
}

// checked notes that the server has what was sent.
func (d *Draft) checked(g *generation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g.checked = true
	d.release()
}

// unseen lets go of a text that the server has said OK to, and that is nowhere to be seen. So
// it is not known to be right, and what it was to replace stays.
func (d *Draft) unseen(g *generation) {
	if in := g.Info(); len(in.Replaces) > 0 {
		d.a.log.Warn("a message is gone again that was to replace another one, which stays", "mailbox", pathOf(in.Mailbox), "name", in.Name, "uid", in.UID)
	}
	g.Replaced()
	d.checked(g)
}

// found notes the UID of a text that the server has named none for.
func (d *Draft) found(m *Mailbox, g *generation, v UIDValidity, uid UID) {
	d.noted(g, g.Done(v, uid))
	d.a.drafts.own(m, v, uid)
	m.stir(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known(m, g, v, uid)
	d.start()
}

// differs keeps a text that the server has changed.
func (d *Draft) differs(g *generation, why string) {
	in := g.Info()
	d.noted(g, g.Differ(spool.Failure{Kind: "changed", Words: why}))
	d.a.log.Warn("the server has stored a message changed; the text as it was written stays in the spool (imapfs pending exports or discards it)",
		"mailbox", pathOf(in.Mailbox), "name", in.Name, "uid", in.UID, "why", why)
	d.mu.Lock()
	d.start()
	d.mu.Unlock()
	d.a.drafts.tell()
}

// finish checks a text that has just arrived and deletes what it replaces; false: that is
// left to checkDrafts.
func (a *Account) finish(d *Draft, m *Mailbox, g *generation) bool {
	j := a.newJob()
	defer j.finish(nil)
	c := check{d: d, box: m, g: g}
	sizes, wire, err := m.sizes(j, []check{c})
	return err == nil && a.checkOne(j, c, sizes, wire)
}

// replace deletes all that a text takes the place of, which the server has and has not
// changed; and the message that it is if it was discarded meanwhile. False: not yet.
func (a *Account) replace(d *Draft, m *Mailbox, g *generation) bool {
	in := g.Info()
	d.mu.Lock()
	discarded := d.discarded
	d.mu.Unlock()
	if !discarded {
		for _, old := range in.Replaces {
			if err := a.deleteOld(old); err != nil {
				a.log.Warn("a message is replaced and the old one still there; it is tried again", "mailbox", old.Mailbox, "uid", old.UID, "err", err)
				d.mu.Lock()
				g.kept = err
				d.mu.Unlock()
				return false
			}
		}
	}
	if discarded && in.UID != 0 {
		if err := a.deleteOld(in.Where()); err != nil {
			a.log.Warn("a text that was discarded has arrived; it is tried again to delete it", "mailbox", m.full(), "uid", in.UID, "err", err)
			return false
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g.Replaced()
	d.release()
	return true
}

// deleteOld deletes a message, if it is there.
func (a *Account) deleteOld(r spool.Message) error {
	m := a.byWire(r.Mailbox)
	if m == nil {
		return nil
	}
	if s := m.snap.Load(); s == nil || s.find(r.UID) == nil {
		if _, err := m.Load(a.ctx); err != nil {
			return err
		}
	}
	e := m.current.Load()
	if e == nil || e.wire != r.Validity {
		return nil
	}
	err := m.Delete(a.ctx, e.validity, r.UID)
	switch k := KindOf(err); {
	case err == nil || k == Stale:
		return nil
	case k == NotExist:
		return m.deleteUnlisted(a.ctx, e.validity, r.UID)
	}
	return err
}

// deleteUnlisted removes a message that the snapshot does not have, if the server has it: a
// session that heard of it late may have been listed last.
func (m *Mailbox) deleteUnlisted(ctx context.Context, v UIDValidity, uid UID) error {
	err := m.account.change(ctx, "delete", m, uid, func(j *job) error {
		l, err := m.writing(j, v)
		if err != nil {
			return err
		}
		defer l.release()
		there, err := isThere(m.account.ctx, l, uid)
		if err != nil || !there {
			return err
		}
		return m.erase(j, l, uid)
	})
	if k := KindOf(err); err != nil && (k == NotExist || k == Stale) {
		return nil // with its mailbox
	}
	return err
}

// release has the spool let go of what has arrived, is checked, and of which nobody can
// want anything any more. mu is held.
func (d *Draft) release() {
	if d.past {
		return
	}
	ds := d.a.drafts
	last := d.text.Load()
	for _, g := range d.gens {
		in := g.Info()
		if g.Gone() || in.State != spool.Done || !g.checked || len(in.Replaces) > 0 {
			continue
		}
		if g == last && !d.discarded {
			if d.opens > 0 {
				continue
			}
			if left := ds.pauses.linger - time.Since(g.arrived); left > 0 && !ds.hurried() && ds.mayLinger(d, left) {
				continue
			}
		}
		if err := g.Remove(); err != nil && !errors.Is(err, spool.ErrGone) {
			d.a.log.Debug("a text that has arrived stays in the spool", "name", in.Name, "err", err)
		}
	}
	d.prune()
	ds.tell()
}

// mayLinger has a draft released again after a while; false: there are so many that it
// is to go now. Draft.mu is held.
func (ds *drafts) mayLinger(d *Draft, left time.Duration) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if slices.Contains(ds.lingering, d) {
		return true
	}
	if len(ds.lingering) >= maxLingering {
		return false
	}
	ds.lingering = append(ds.lingering, d)
	time.AfterFunc(left, func() {
		d.a.spawn(func() {
			ds.mu.Lock()
			ds.lingering = slices.DeleteFunc(ds.lingering, func(o *Draft) bool { return o == d })
			ds.mu.Unlock()
			d.mu.Lock()
			defer d.mu.Unlock()
			d.release()
		})
	})
	return true
}
