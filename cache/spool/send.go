package spool

import (
	"io"
	"time"
)

// Send says that an APPEND is about to begin: Ready to Sending. It is on the disk
// when Send returns: the message may not be sent before. v and next are UIDVALIDITY and
// UIDNEXT of the mailbox; 0 where the server does not say.
//
// If an earlier generation has become a message, Attrs.Replaces of Info names
// that from now on, beside the others.
//
// ErrEarlier: an earlier generation is not settled; settle that first.
// ErrSuperseded: a later one is committed. ErrTorn: the text on the disk is not what
// was committed; it is Refused now. Else it is the disk's error. In each case
// nothing may be sent.
func (e *Entry) Send(v UIDValidity, next UID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in("send", Ready)
	if err != nil {
		return err
	}
	if n := e.next.Load(); n != nil && n.Info().State != Writing {
		return ErrSuperseded
	}
	if err := e.check(); err != nil {
		if err == ErrTorn {
			e.lose()
		}
		return err
	}
	old, open, unlock := e.older(&in)
	defer unlock()
	if open != nil {
		return ErrEarlier
	}
	in.State, in.Validity, in.UIDNext = Sending, v, next
	in.Tries, in.Tried = in.Tries+1, time.Now().Round(0)
	if err := e.put(&in, true); err != nil {
		return err
	}
	e.leave(old)
	e.follows = nil
	return nil
}

// lose notes that the committed text is lost. mu is held.
func (e *Entry) lose() {
	in := *e.Info()
	in.State = Refused
	in.fail(Failure{Kind: "lost", Words: ErrTorn.Error()})
	if e.put(&in, true) != nil {
		e.info.Store(&in)
	}
}

// Outgoing gives the text as it is sent: from Ready on, while it is there. ErrTorn:
// the octets on the disk are not those that were committed.
func (e *Entry) Outgoing() (*Outgoing, error) {
	e.mu.Lock()
	in, err := e.in("read", Ready, Sending, Unknown, Done, Refused, Changed)
	if err == nil {
		err = e.check()
	}
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f, err := e.own()
	if err != nil {
		return nil, err
	}
	return &Outgoing{Length: in.Length, left: in.Length, file: f, raw: io.NewSectionReader(f, 0, in.Size), crlf: in.CRLF}, nil
}

// Unsent says that the last octet was not written, so that the server cannot have
// the message: Sending to Ready. Text and entry are durable when it returns nil.
//
// It, Uncertain, Refuse and Differ say what is so: the state is the new one also if
// they return the disk's error. Then a crash of the machine may lose the text, and
// one of this process at worst has it looked for on the server first.
func (e *Entry) Unsent(f Failure) error { return e.report("give back", Ready, f, Sending) }

// Uncertain says that the last octet may have been written and no tagged answer
// came: Sending to Unknown. As with Unsent.
func (e *Entry) Uncertain(f Failure) error { return e.report("doubt", Unknown, f, Sending) }

// Refuse says that the server will not have the message, or that it is not even to be
// asked: Sending or Ready to Refused. As with Unsent.
func (e *Entry) Refuse(f Failure) error { return e.report("refuse", Refused, f, Sending, Ready) }

// Differ says that the server has the message with other octets: Done to Changed.
// The text stays until it is discarded or another is written. As with Unsent.
func (e *Entry) Differ(f Failure) error { return e.report("keep", Changed, f, Done) }

func (e *Entry) report(op string, to State, f Failure, from ...State) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in(op, from...)
	if err != nil {
		return err
	}
	in.State = to
	in.fail(f)
	err = e.syncText()
	if putting := e.put(&in, true); putting != nil {
		e.info.Store(&in)
		err = putting
	}
	return err
}

// Absent says that the message has been looked for and is not with the server:
// Unknown to Ready. ErrTorn: the text is not there either, or not whole: Refused.
func (e *Entry) Absent() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in("send again", Unknown)
	if err != nil {
		return err
	}
	if err := e.check(); err != nil {
		if err == ErrTorn {
			e.lose()
		}
		return err
	}
	// On the disk it stays unknown: after a crash it is looked for again.
	in.State = Ready
	e.info.Store(&in)
	return nil
}

// Retry has a refused text sent again: Refused to Ready. ErrTorn: it is not whole.
func (e *Entry) Retry() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in("send again", Refused)
	if err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return err
	}
	in.State = Ready
	return e.put(&in, false)
}

// Done says that the server has the message: Sending or Unknown to Done, with the UID
// if that is known, else 0, and Done again when it is. v is the UIDVALIDITY of the
// UID. Nothing is synced: after a crash of the machine the message is looked for.
// The text stays until Remove. The state is Done also if the disk's error is returned.
func (e *Entry) Done(v UIDValidity, uid UID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in("finish", Sending, Unknown, Done)
	if err != nil {
		return err
	}
	if in.State == Done && in.UID != 0 {
		return stateError("finish again", in.State)
	}
	was := e.done
	if was == "" {
		was = e.name(entryExt)
	}
	in.State, in.UID = Done, uid
	if v != 0 {
		in.Validity = v
	}
	in.Failure = Failure{}
	e.info.Store(&in)
	name := doneName(in.ID, in.Validity, uid)
	if name == was {
		return nil
	}
	if err := e.dir.disk.rename(e.dir.file(was), e.dir.file(name)); err != nil {
		return err
	}
	e.done = name
	return nil
}

// Replaced says of a text that is Done that what it takes the place of is deleted, or not to be:
// Info.Replaces is empty from then on. On the disk it stays: after a crash it is looked
// at once more.
func (e *Entry) Replaced() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if in := *e.Info(); in.State == Done {
		in.Replaces, in.inherited = nil, nil
		e.info.Store(&in)
	}
}

// Remove removes a text that the server has: Done, with or without a UID. A next
// generation learns which messages it replaces; without a UID, ErrEarlier.
func (e *Entry) Remove() error {
	for {
		n := e.next.Load()
		if again, err := e.removeBefore(n); !again {
			return err
		}
	}
}

// removeBefore removes e if n is the generation after it, or nil and there is none;
// else again is true.
func (e *Entry) removeBefore(n *Entry) (again bool, err error) {
	if n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.in("remove", Done)
	if err != nil {
		return false, err
	}
	if e.next.Load() != n { // Edit or Commit was faster
		return true, nil
	}
	if n != nil && !n.gone {
		if in.UID == 0 {
			return false, ErrEarlier
		}
		to := *n.Info()
		to.Replaces = with(lacking(to.Replaces, to.inherited), with([]Message{in.Where()}, in.Replaces...)...)
		to.inherited = nil
		if err := n.put(&to, true); err != nil {
			return false, err
		}
		n.follows = nil
	}
	// Those before it that a crash has brought back.
	old, _, unlock := e.older(&in)
	e.leave(old)
	unlock()
	e.discard()
	return false, nil
}
