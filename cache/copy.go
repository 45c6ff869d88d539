package cache

import "context"

// CopyTo copies a message to another mailbox, or to the same one (RFC 3501 §6.4.7), and
// gives the UID of the copy; 0 where the server does not say. Else as MoveTo.
func (m *Mailbox) CopyTo(ctx context.Context, v UIDValidity, uid UID, to *Mailbox) (UID, error) {
	var there UID
	err := m.account.change(ctx, "copy", m, uid, func(j *job) (err error) {
		there, err = m.copyTo(j, v, uid, to)
		return err
	})
	if err != nil {
		return 0, err
	}
	return there, nil
}

func (m *Mailbox) copyTo(j *job, v UIDValidity, uid UID, to *Mailbox) (UID, error) {
	r, err := m.relocation(v, uid, to)
	if err != nil {
		return 0, err
	}
	to.ours.begin()
	defer to.settle()
	once := func() error {
		if err := r.settle(j); err != nil || r.copied {
			return err
		}
		l, err := m.writing(j, v)
		if err != nil {
			return err
		}
		defer l.release()
		return r.copy(j, l, false)
	}
	err = once()
	for j.again(err) {
		err = once()
	}
	if r.lost && lostConnection(err) {
		err = r.inDoubt()
	}
	if inDoubt(err) {
		to.doubt()
	}
	if err != nil {
		return 0, err
	}
	to.added(r.validity, r.record, r.flags)
	return r.record.uid, nil
}
