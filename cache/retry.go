package cache

import (
	"errors"
	"fmt"
	"time"

	"imapfs/cache/spool"
)

// start sees to it that somebody sends what is to be sent. mu is held.
func (d *Draft) start() {
	if d.working || d.held || d.due() == nil {
		return
	}
	d.working = d.a.spawn(d.work)
}

// due gives the generation that is to be sent or looked for next; nil: none is. mu is held.
func (d *Draft) due() *generation {
	for _, g := range d.gens {
		switch in := g.Info(); {
		case g.same || g.Gone():
		case in.State == spool.Unknown:
			return g
		case in.State == spool.Done && in.UID == 0:
			return nil // checkDrafts looks for it; a later one is to replace it
		case d.discarded:
		case in.State == spool.Ready:
			return g
		case in.State == spool.Refused && in.Damage == spool.Whole && d.refusal(g) == nil:
			return g
		}
	}
	return nil
}

// work sends until nothing is left to be sent: again after a pause that grows where
// that fails.
func (d *Draft) work() {
	pauses := &d.a.drafts.pauses
	pause := pauses.first
	for {
		d.mu.Lock()
		g := d.due()
		if g == nil || d.a.ctx.Err() != nil {
			d.working = false
			d.mu.Unlock()
			d.a.drafts.tell()
			return
		}
		d.mu.Unlock()

		err := d.deliver(g)
		if err != nil {
			d.safe(g)
		}

		d.mu.Lock()
		d.failure, d.next = err, time.Time{}
		if err == nil {
			pause, d.said = pauses.first, 0
		} else {
			d.failures++
			d.next = time.Now().Add(pause)
		}
		again := d.due() != nil
		d.mu.Unlock()
		d.a.drafts.tell()
		if err == nil {
			continue
		}
		d.complain(g, err, again)
		if again && d.a.ctx.Err() == nil {
			d.a.nap(d.kick, pause)
			pause = min(2*pause, pauses.last)
		}
	}
}

// complain says that a text has not arrived: to the log once for each cause.
func (d *Draft) complain(g *generation, err error, again bool) {
	in := g.Info()
	what := "it is tried again, and imapfs pending lists it"
	if !again {
		what = "it is not tried again; imapfs pending lists, exports and discards it"
	}
	k := KindOf(err)
	d.mu.Lock()
	said := d.said == k
	d.said = k
	box := d.box
	d.mu.Unlock()
	if d.a.ctx.Err() == nil && !said {
		d.a.log.Warn("a text has not reached the server and lies in the spool: "+what+wayOut(k),
			"mailbox", pathOf(in.Mailbox), "name", in.Name, "err", err)
	}
	d.a.crier.cryDraft(func(o DraftObserver) { o.DraftFailed(d, sendFailure(box, err)) })
}

// wayOut says what a user can do about a failure to send.
func wayOut(k Kind) string {
	switch k {
	case Quota:
		return " (make room: delete mail, or have the quota raised)"
	case TooBig:
		return " (the server takes no message so large)"
	case NotExist:
		return " (make the mailbox again, or move the file)"
	case Access, ReadOnly:
		return " (you may not add mail to this mailbox; move the file)"
	}
	return ""
}

// deliver brings a generation to the server, or says why not. Lost connections are
// worth another try while there is time.
func (d *Draft) deliver(g *generation) error {
	j := d.a.newJob()
	defer func() { j.finish(nil) }()
	for {
		state := g.Info().State
		err := d.step(j, g)
		switch {
		case errors.Is(err, spool.ErrGone), errors.Is(err, spool.ErrSuperseded):
			return nil // another text takes its place
		case err == nil && g.Info().State.InFlight(), err == nil && g.Info().State == spool.Ready:
			if state == spool.Unknown { // sent anew with all the time that there is
				j.finish(nil)
				j = d.a.newJob()
			}
		case err == nil:
			return nil
		case !j.again(err):
			return err
		}
	}
}

// step does what is next for a generation.
func (d *Draft) step(j *job, g *generation) error {
	d.mu.Lock()
	m := d.mailbox()
	discarded := d.discarded
	in := g.Info()
	d.mu.Unlock()
	if m == nil {
		return d.refuse(g, errGone)
	}
	if err := d.follow(m, g); err != nil {
		return err
	}
	switch in.State {
	case spool.Refused:
		return g.Retry()
	case spool.Ready:
		if discarded {
			return g.Entry.Discard()
		}
		return d.append(j, m, g)
	case spool.Unknown:
		return d.settle(j, m, g)
	}
	return fmt.Errorf("a text is %v and is to be sent", in.State)
}

// follow has the spool know a mailbox by the name that it has now.
func (d *Draft) follow(m *Mailbox, g *generation) error {
	was, is := g.Info().Mailbox, m.place()
	if was.Wire == is.Wire || was.Wire == "" {
		return nil
	}
	return d.a.spool.RenameMailbox(was, is, 0)
}

// refuse notes that a text cannot be with the server, and why. It gives the cause.
func (d *Draft) refuse(g *generation, err error) error {
	if s := g.Info().State; s == spool.Unknown || s == spool.Refused {
		return err
	}
	kind := KindOf(err).String()
	if errors.Is(err, errNUL) {
		kind = failedInvalid
	}
	d.noted(g, g.Refuse(spool.Failure{Kind: kind, Words: err.Error()}))
	return err
}

// noted says that the spool's disk has failed where the state is known all the same.
func (d *Draft) noted(g *generation, err error) {
	if err != nil && !errors.Is(err, spool.ErrGone) {
		d.a.log.Error("the spool's disk fails; a text may be lost if the machine stops", "name", g.Info().Name, "err", err)
	}
}
