package cache

import (
	"crypto/sha256"
)

// expect notes before a COPY where its result can be, so that it can be looked for. It asks
// the server once for each mailbox; nothing where that does not say.
func (r *relocation) expect(j *job) error {
	to := r.to
	ds := to.account.drafts
	ds.mu.Lock()
	t := *ds.target(to)
	ds.mu.Unlock()
	if !t.known {
		asked, err := to.landingByStatus(j)
		if err != nil {
			return err
		}
		if t = asked; t.validity != 0 {
			t = ds.learn(to, t)
		}
	}
	if v, next := to.knownNext(); v == t.validity {
		t.next = max(t.next, next)
	}
	r.before = t
	return nil
}

// settle finds out whether a COPY has been done whose answer was lost, before it is sent
// again: among the messages that have come to the other mailbox since it was sent and have
// the size, by their octets. Where that cannot be told the error says so: neither a
// second copy nor none is to pass for one.
func (r *relocation) settle(j *job) error {
	switch {
	case r.copied || !r.lost:
		return nil
	case r.before.next == 0 || r.record.ours: // RFC822.SIZE is not the length there
		return r.inDoubt()
	}
	sum, there, err := r.sum(j)
	switch {
	case err != nil:
		return err
	case !there:
		return r.inDoubt()
	}
	s := sought{r.before.validity, r.before.next, r.record.octets(), sum, nil}
	for _, pause := range r.m.account.drafts.pauses.looks {
		if pause > 0 {
			j.pause(pause)
		}
		if j.over() {
			return r.inDoubt()
		}
		v, uid, err := r.to.seek(r.m.account.ctx, j, s)
		switch {
		case err != nil:
			return err
		case v != s.validity:
			return r.inDoubt()
		case uid != 0:
			r.copied, r.validity, r.record.uid = true, v, uid
			r.m.account.drafts.own(r.to, v, uid)
			return nil
		}
	}
	r.lost = false
	return nil
}

// sum gives the SHA-256 of the message that is copied; false: it is not there, or another
// session has other octets of it than are recorded.
func (r *relocation) sum(j *job) (sum [sha256.Size]byte, there bool, err error) {
	moves := r.m.moves.Load()
	l, err := r.m.account.pool.acquire(j.ctx, want{box: r.m})
	if err != nil {
		return sum, false, r.m.refused(j, err, moves, 0)
	}
	defer l.release()
	if l.epoch.validity != r.v {
		return sum, false, errValidity
	}
	sum, n, err := l.sum(r.m.account.ctx, r.uid, r.record.octets())
	return sum, n == r.record.octets(), err
}

func (r *relocation) inDoubt() error {
	return &Error{Op: "copy", Mailbox: r.m.full(), UID: r.uid, Kind: IO, Err: errLostCopy}
}
