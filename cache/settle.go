package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// settle finds out whether the server has a text whose APPEND or REPLACE was cut off after its last
// octet: some show a message late, so it is looked for again before it is sent again.
func (d *Draft) settle(j *job, m *Mailbox, g *generation) error {
	for i, pause := range d.a.drafts.pauses.looks {
		if pause > 0 {
			j.join(d.a.ctx, pause+d.a.cfg.Timeout) // its time is for the server
			d.a.nap(nil, pause)
		}
		if i > 0 && d.a.ctx.Err() != nil {
			return errClosed
		}
		v, uid, err := m.search(d.a.ctx, j, g)
		if err != nil {
			return err
		}
		if uid != 0 {
			d.mu.Lock()
			g.checked = true // octet by octet
			d.mu.Unlock()
			d.arrive(m, g, v, uid, 0)
			return nil
		}
	}
	return g.Absent()
}

// search looks for a text among the messages that have come since it was sent and are of
// its size, and gives its UID; 0: it is not there. A text of another client's that has
// the same octets is as good.
func (m *Mailbox) search(ctx context.Context, j *job, g *generation) (UIDValidity, UID, error) {
	in := g.Info()
	return m.seek(ctx, j, sought{in.Validity, in.UIDNext, in.Length, in.Sum, g.Entry})
}

// sought is a text that may be with the server.
type sought struct {
	validity UIDValidity // on the wire, when it was sent
	next     UID         // it has no lower one
	size     int64
	sum      [sha256.Size]byte
	entry    *spool.Entry // nil: it is not from the spool
}

// seek is search for any text.
func (m *Mailbox) seek(ctx context.Context, j *job, s sought) (UIDValidity, UID, error) {
	moves := m.moves.Load()
	l, err := m.account.pool.acquire(j.ctx, want{box: m})
	if err != nil {
		return 0, 0, m.refused(j, err, moves, 0)
	}
	defer l.release()
	if err := l.client.Noop(ctx); err != nil { // alone: Dovecot hears at its end, not before a FETCH behind it
		return 0, 0, err
	}
	first := max(s.next, 1)
	if l.epoch.wire != s.validity {
		first = 1 // UIDs count anew
	}
	var equal []UID
	err = l.client.FetchMeta(ctx, imapconn.UIDSet{{First: first, Last: math.MaxUint32}}, imapconn.MetaSize, func(f imapconn.Meta) {
		if f.UID >= first && f.HasSize && f.Size == s.size {
			equal = append(equal, f.UID)
		}
	})
	if err != nil {
		return 0, 0, err
	}
	for _, uid := range equal {
		if m.account.owns(m, l.epoch.wire, uid, s.entry) {
			continue
		}
		sum, n, err := l.sum(ctx, uid, s.size)
		if err != nil {
			return 0, 0, err
		}
		if n == s.size && sum == s.sum {
			return l.epoch.wire, uid, nil
		}
	}
	return l.epoch.wire, 0, nil
}

// sumPiece is what is fetched at a time of a text that is compared, in octets.
const sumPiece = 1 << 20

// sum gives the SHA-256 of a text of about that size, and its length in octets; 0: it is
// not there.
func (l *lease) sum(ctx context.Context, uid UID, size int64) (sum [sha256.Size]byte, n int64, err error) {
	h := sha256.New()
	set := oneUID(uid)
	for part := (imapconn.Part{Octets: sumPiece}); ; part.Offset = n {
		if size <= sumPiece {
			part.Octets = 0
		}
		var got int64
		var textErr error
		err := l.client.FetchText(ctx, set, part, func(t imapconn.Text) {
			if t.UID != uid || t.Err != nil {
				textErr = t.Err
				return
			}
			for _, c := range t.Chunks {
				h.Write(c)
			}
			got += t.Octets
		})
		if errors.Is(err, imapconn.ErrNotOffered) && n == 0 && part.Octets != 0 {
			size = 0 // no parts: the whole at once
			continue
		}
		if err == nil {
			err = textErr
		}
		if err != nil {
			return sum, 0, err
		}
		n += got
		if part.Octets == 0 || got < part.Octets {
			break
		}
	}
	h.Sum(sum[:0])
	return sum, n, nil
}

// spoolRefusal makes an error of what the spool knows of a failure.
func spoolRefusal(in *spool.Info) string {
	switch {
	case in.Failure.Words != "":
		return in.Failure.Words
	case in.Damage != spool.Whole:
		return "the text is not whole: " + string(in.Damage)
	}
	return ""
}
