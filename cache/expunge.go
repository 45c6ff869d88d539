package cache

import "context"

// Expunge removes all messages of m that are marked \Deleted, whoever has marked them
// (RFC 3501 §6.4.3), if confirm, which is called with those that are known, says so.
// Those that are hidden (Snapshot has them not) are among them.
// What another client marks meanwhile goes with them. It is the only way to be rid of
// what Delete has hidden. Where there is none, confirm is not called.
func (a *Account) Expunge(ctx context.Context, m *Mailbox, confirm func(UIDValidity, []Message) bool) error {
	m.news.Store(true) // SEARCH DELETED is stale on some servers: this asks for flags
	if _, err := m.Load(ctx); err != nil {
		return err
	}
	s := m.snap.Load()
	var marked []Message
	for i := range s.Len() {
		if msg := s.At(i); has(msg.Flags, `\Deleted`) {
			marked = append(marked, msg)
		}
	}
	if len(marked) == 0 || !confirm(s.validity, marked) {
		return nil
	}
	return a.change(ctx, "expunge", m, 0, func(j *job) error {
		err := m.expungeAll(j, s.validity)
		for j.again(err) {
			err = m.expungeAll(j, s.validity)
		}
		m.doubt()
		return err
	})
}

func (m *Mailbox) expungeAll(j *job, v UIDValidity) error {
	l, err := m.writing(j, v)
	if err != nil {
		return err
	}
	defer l.release()
	return l.client.ExpungeAll(m.account.ctx)
}

// MailboxCalled gives the mailbox that has this name on the wire; nil: there is none.
func (a *Account) MailboxCalled(wire string) *Mailbox { return a.byWire(wire) }
