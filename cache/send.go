package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"imapfs/cache/spool"
)

// Kinds of spool.Failure that no trying changes.
const (
	failedInvalid = "invalid"
	failedLost    = "lost" // the spool's own
)

var (
	errNotMail = errors.New("the first line is no header field, so this is no mail (see --any-text)")
	errNUL     = errors.New("the text holds NUL, which the server does not take")
)

// Send commits what was written, sends it by APPEND (RFC 3501 §6.3.11), and returns when
// the server has it. Nothing that was written: it waits for what is on its way. An
// empty text is never sent: the zero Sent. So is an edit that has changed nothing, whose
// Sent is the message that was there.
//
// The message is in the snapshot of its mailbox when Send returns nil, where that is loaded
// and the UID is known.
//
// An error says that the server does not have the text yet. It stays in the spool, is
// listed by Pending, and is tried again until it arrives, is discarded or written anew;
// so it is where ctx ends first (Interrupted, Timeout): without a deadline Send waits as
// long as octets move. Invalid: the first line is no header field and Config.AnyText is
// not set, or it holds NUL and the server takes none; that is not tried again. NotExist:
// the mailbox is gone. Quota, TooBig, Access, ReadOnly.
func (d *Draft) Send(ctx context.Context, f Fate) (Sent, error) {
	g, failures, err := d.begin(f)
	if err != nil {
		return Sent{}, sendFailure(f.Box, err)
	}
	if g == nil {
		return d.Sent(), nil
	}
	s, err := d.await(ctx, g, failures)
	return s, sendFailure(f.Box, err)
}

// Owe is Send without waiting: for what is dirty when the last program closes it.
// Its error says what Send would say at once; the rest DraftFailed tells.
func (d *Draft) Owe(f Fate) error {
	_, _, err := d.begin(f)
	return sendFailure(f.Box, err)
}

func sendFailure(m *Mailbox, err error) error {
	if known := (*Error)(nil); errors.As(err, &known) {
		return err
	}
	return failure("append", m, 0, err)
}

// begin commits what was written and sees to it that it is sent. It gives the
// generation that is to arrive, nil: none; and how often a try has failed so far.
func (d *Draft) begin(f Fate) (g *generation, failures int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.discarded {
		return nil, 0, ErrDraftGone
	}
	g = d.text.Load()
	in := g.Info()
	if in.State.Writable() {
		g, err = d.commit(g, f)
	}
	if g == nil || err != nil || g.same || g.Gone() {
		return nil, 0, err
	}
	if err := d.refusal(g); err != nil {
		return nil, 0, err
	}
	d.held = false
	d.start()
	wake(d.kick)
	return g, d.failures, nil
}

// refusal is why a text will never be sent; nil: it may be.
func (d *Draft) refusal(g *generation) error {
	in := g.Info()
	switch {
	case in.State != spool.Refused:
		return nil
	case in.Failure.Kind == failedInvalid && in.NUL && (in.Header || d.a.cfg.AnyText):
		return errNUL
	case in.Failure.Kind == failedInvalid:
		return errNotMail
	case in.Failure.Kind == failedLost:
		return spool.ErrTorn
	}
	return nil
}

// commit commits the newest generation. Where that is empty, or was not written to, it
// gives the one that was committed before; nil: none was. mu is held.
func (d *Draft) commit(g *generation, f Fate) (*generation, error) {
	scratch := g.Info().State != spool.Writing
	if g.Size() == 0 || !scratch && !g.dirty.Load() {
		if len(d.gens) == 1 {
			if d.origin != nil && d.sent == (Sent{}) && g.Size() != 0 {
				d.sent, d.where = Sent{d.origin.ref.Validity, d.origin.ref.UID, d.origin.size}, d.origin.ref.Box
			}
			return nil, nil
		}
		return d.gens[len(d.gens)-2], nil
	}
	set := func(a *spool.Attrs) { d.put(a, f) }
	var err error
	if scratch {
		err = g.ToMail(set)
	} else {
		err = g.Set(set)
	}
	if err != nil {
		return nil, err
	}
	if f.Box != nil {
		d.box = f.Box
	}
	if err := g.commit(f.Edit); err != nil {
		return nil, err
	}
	g.dirty.Store(false)
	d.prune()
	in := g.Info()
	if !in.Header && !d.a.cfg.AnyText {
		g.Refuse(spool.Failure{Kind: failedInvalid, Words: errNotMail.Error()})
		return nil, errNotMail
	}
	if o := d.origin; o != nil && len(d.gens) == 1 && o.is(in, onWire(o.ref)) {
		g.same = true
		d.sent, d.where = Sent{o.ref.Validity, o.ref.UID, o.size}, o.ref.Box
	}
	return g, nil
}

// put writes into a what a Fate says. mu is held.
func (d *Draft) put(a *spool.Attrs, f Fate) {
	if f.Box != nil {
		a.Mailbox = f.Box.place()
	}
	if f.Name != "" {
		a.Name = f.Name
	}
	if !f.Date.IsZero() {
		a.Date = f.Date.Truncate(time.Second)
	}
	if f.Flags != nil {
		a.Flags = sendable(f.Flags)
	}
	if f.Replaces == nil {
		return
	}
	old := onWire(f.Replaces...)
	if len(d.gens) > 1 || d.sent != (Sent{}) { // beside what this draft has sent, or is to send before
		for _, m := range a.Replaces {
			if !slices.Contains(old, m) {
				old = append(old, m)
			}
		}
	}
	a.Replaces = old
}

// onWire is how the spool knows messages; those whose UID means nothing any more are left out.
func onWire(refs ...MessageRef) []spool.Message {
	var all []spool.Message
	for _, r := range refs {
		wire := r.Validity // nobody has entered the mailbox: it is what APPENDUID has said (known)
		if e := r.Box.current.Load(); e != nil {
			if e.validity != r.Validity {
				continue
			}
			wire = e.wire
		}
		all = append(all, spool.Message{Mailbox: r.Box.WireName(), Validity: wire, UID: r.UID})
	}
	return all
}

// Replaces are the messages that the text takes the place of, as far as they mean anything
// yet: those of mailboxes that are loaded, under the UIDVALIDITY of now.
func (d *Draft) Replaces() []MessageRef {
	var refs []MessageRef
	for _, old := range d.text.Load().Info().Replaces {
		m := d.a.byWire(old.Mailbox)
		if m == nil {
			continue
		}
		if e := m.current.Load(); e != nil && e.wire == old.Validity {
			refs = append(refs, MessageRef{m, e.validity, old.UID})
		}
	}
	return refs
}

// await waits until the server has a generation, or a later one that takes its place, or
// a try fails that was not over before.
func (d *Draft) await(ctx context.Context, g *generation, failures int) (Sent, error) {
	for {
		news := d.a.drafts.news()
		d.mu.Lock()
		s, err, over := d.outcome(g, failures)
		d.mu.Unlock()
		if over {
			return s, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			d.safe(g)
			err := context.Cause(ctx)
			if ctx.Err() == context.DeadlineExceeded {
				err = fmt.Errorf("%w: %w", errPatience, ctx.Err())
			}
			return Sent{}, err
		case <-d.a.ctx.Done():
			d.safe(g)
			return Sent{}, errClosed
		}
	}
}

// outcome says what became of a generation; over: something did. mu is held.
func (d *Draft) outcome(g *generation, failures int) (s Sent, err error, over bool) {
	switch in := g.Info(); {
	case in.State == spool.Done || in.State == spool.Changed:
		return Sent{d.sent.Validity, d.sent.UID, in.Length}, nil, g.answered
	case d.discarded:
		return Sent{}, ErrDraftGone, true
	case d.failures > failures && d.failure != nil && !g.Gone():
		return Sent{}, d.failure, true
	case g.Gone():
		// A later one has taken its place: Send waits for that.
		i := slices.IndexFunc(d.gens, func(o *generation) bool { return o != g && !o.Info().State.Writable() })
		if i < 0 {
			return Sent{}, ErrDraftGone, true
		}
		return d.outcome(d.gens[i], failures)
	}
	return Sent{}, nil, false
}

// safe makes a text durable before a program is told that the server does not have it.
func (d *Draft) safe(g *generation) {
	if s := g.Info().State; s == spool.Ready || s == spool.Sending || s == spool.Unknown {
		if err := g.Keep(); err != nil && !errors.Is(err, spool.ErrGone) {
			d.a.log.Error("a text that the server does not have may be lost if the machine stops", "name", g.Info().Name, "err", err)
		}
	}
}
