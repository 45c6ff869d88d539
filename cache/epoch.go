package cache

import (
	"context"
	"time"

	"imapfs/imapconn"
)

// epoch is the time in which the UIDs of a mailbox mean the same messages. It
// never changes and is compared by identity.
type epoch struct {
	wire     UIDValidity // what the server calls it
	validity UIDValidity // what we call it: the same, unless the server has changed UIDs under it
	id       string      // MAILBOXID (RFC 8474); empty: not said
}

// shuffleStep is added to a UIDVALIDITY under which the server has changed UIDs:
// an odd number far from what a server would make of the old one, so that no two
// generations are the same and none is one that the server gives.
const shuffleStep = 0x9E3779B1

const (
	// lagTries and lagPause are for servers that show another session's new mail
	// a moment late: UIDNEXT has then gone back for that long.
	lagTries = 3
	lagPause = 300 * time.Millisecond
)

// examine selects the mailbox, its events going to hear, and says under which
// epoch its UIDs hold there. It is done each time, whatever the connection is
// for: where the epoch is a new one, the old one's index is out of use at once.
//
// A server that changes UIDs under one UIDVALIDITY (GNU mailutils does, to the
// newest message) is known by a UIDNEXT that has gone back or by the highest
// known UID having another size or date. So is a mailbox that another one of the same
// UIDVALIDITY has taken the name of; of a few more messages the dates are compared.
//
// This sample is asked for when EXAMINE has been answered and never behind it: that decides
// of which mailbox it is, and such commands must not share a flight (RFC 3501 §5.5). When
// it is on its way sampling is called, with the epoch that this is if the sample agrees. A
// text may be asked for in its flight, and is nobody's until this has returned that very
// epoch (lease.proven).
func (m *Mailbox) examine(ctx context.Context, c *imapconn.Client, hear *hearing, sampling func(*epoch)) (*epoch, error) {
	known := m.snap.Load()
	var data imapconn.SelectData
	var err error
	for try := range lagTries {
		if try > 0 {
			select {
			case <-time.After(lagPause):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			hear.again()
		}
		if data, err = hear.examine(ctx, c); err != nil {
			return nil, err
		}
		if known == nil || data.UIDNext == 0 || data.UIDNext >= known.uidNext {
			break
		}
	}
	m.entered.Store(time.Now().UnixNano())
	hear.begin(data)
	e := m.enter(data.UIDValidity, data.MailboxID, data.Exists == 0)
	if known == nil || known.validity != e.validity {
		return e, nil
	}
	hear.learn(known.uidNext)
	same := data.UIDNext == 0 || data.UIDNext >= known.uidNext
	if same && known.Len() > 0 && data.Exists > 0 {
		if same, err = known.isStill(ctx, c, func() { sampling(e) }); err != nil {
			return nil, err
		}
	}
	if !same {
		e = m.shuffled(e)
	}
	return e, nil
}

// enter gives the epoch of a UIDVALIDITY and MAILBOXID, a new one where it is not
// that of now. A mailbox that was empty and is empty has no UIDs that could mean
// others: some (GNU mailutils) have a UIDVALIDITY only once there is a message.
func (m *Mailbox) enter(wire UIDValidity, id string, empty bool) *epoch {
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	e := &epoch{wire: wire, validity: wire, id: id}
	if now := m.current.Load(); now != nil {
		s := m.snap.Load()
		another := id != "" && now.id != "" && id != now.id
		switch {
		case another && now.wire == wire: // UIDVALIDITY is not unique across mailboxes
			e.validity = now.validity + shuffleStep
		case another:
		case now.wire == wire, empty && s != nil && s.validity == now.validity && s.Len() == 0:
			return now
		}
	}
	m.begun(e)
	return e
}

// named makes sure that messages are known under the UIDVALIDITY of the session
// that tells of them: one that was kept while the mailbox was empty ends with the
// first message.
func (m *Mailbox) named(l *lease, s *Snapshot) error {
	if wire := l.hear.validity(); s.Len() > 0 && wire != l.epoch.wire {
		m.enter(wire, l.epoch.id, false)
		return errValidity
	}
	return nil
}

// shuffled begins a new epoch under the same UIDVALIDITY.
func (m *Mailbox) shuffled(old *epoch) *epoch {
	m.index.mu.Lock()
	defer m.index.mu.Unlock()
	return m.shuffle(old)
}

// shuffle is shuffled with index.mu held.
func (m *Mailbox) shuffle(old *epoch) *epoch {
	if e := m.current.Load(); e != old {
		return e
	}
	e := &epoch{wire: old.wire, validity: old.validity + shuffleStep, id: old.id}
	m.begun(e)
	m.account.saidShuffle.Do(func() {
		m.account.log.Warn("the server gives messages other UIDs under the same UIDVALIDITY; the mailbox is read anew each time", "mailbox", m.full())
	})
	return e
}

// begun makes e the epoch of now. index.mu is held.
func (m *Mailbox) begun(e *epoch) {
	m.index.gone = nil
	m.ours.forget()
	if m.current.Swap(e) != nil {
		m.account.log.Info("mailbox has a new UIDVALIDITY", "mailbox", m.full(), "uidvalidity", e.validity)
		m.stir(true)
	}
}
