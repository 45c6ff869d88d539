package cache

import (
	"context"
	"crypto/sha256"
	"time"

	"imapfs/cache/spool"
)

// EditDraft makes a draft that begins as the first octets of a message, at most keep of
// them, and replaces it once it is sent. The text streams from the server into the spool.
// Flags and date are the message's unless Fate has others. It is open once.
//
// Errors as with Mailbox.Open.
func (a *Account) EditDraft(ctx context.Context, box *Mailbox, v UIDValidity, uid UID, name string, keep int64) (*Draft, error) {
	return a.copyMessage(ctx, box, v, uid, keep, func(s *spool.Spool, at spool.Attrs) (*spool.Entry, error) {
		at.Name = name
		return s.Create(at)
	})
}

// AsideDraft copies a message to a scratch file of that name in its mailbox. The message
// stays. Errors as with EditDraft.
func (a *Account) AsideDraft(ctx context.Context, box *Mailbox, v UIDValidity, uid UID, name string) (*Draft, error) {
	return a.copyMessage(ctx, box, v, uid, maxText, func(s *spool.Spool, at spool.Attrs) (*spool.Entry, error) {
		at.Name = name
		return s.Scratch(at)
	})
}

func (a *Account) copyMessage(ctx context.Context, box *Mailbox, v UIDValidity, uid UID, keep int64, create func(*spool.Spool, spool.Attrs) (*spool.Entry, error)) (*Draft, error) {
	if err := box.valid(v); err != nil {
		return nil, failure("edit", box, uid, err)
	}
	ref := MessageRef{Box: box, Validity: v, UID: uid}
	attrs := spool.Attrs{Mailbox: box.place(), Replaces: onWire(ref)}
	if s := box.Snapshot(); s != nil && s.Validity() == v {
		if m, ok := s.Find(uid); ok {
			attrs.Flags = sendable(m.Flags)
			if m.Date != 0 {
				attrs.Date = time.Unix(m.Date, 0).UTC()
			}
		}
	}
	d, err := a.makeDraft(box, func(s *spool.Spool) (*spool.Entry, error) { return create(s, attrs) })
	if err != nil {
		return nil, err
	}
	d.origin = &original{ref: ref, date: attrs.Date}
	if keep > 0 {
		if err := d.fill(ctx, ref, keep); err != nil {
			d.Discard()
			return nil, failure("edit", box, uid, err)
		}
	}
	return d, nil
}

// fill writes the first octets of a message into a draft that nobody else knows.
func (d *Draft) fill(ctx context.Context, ref MessageRef, keep int64) error {
	size, err := ref.Box.Open(ctx, ref.Validity, ref.UID)
	if err != nil {
		return err
	}
	h := sha256.New()
	buf := make([]byte, min(blockLen, size, keep))
	g := d.text.Load()
	var off int64
	for off < min(size, keep) {
		n, err := ref.Box.ReadAt(ctx, ref.Validity, ref.UID, buf[:min(int64(len(buf)), min(size, keep)-off)], off)
		if err != nil {
			return err
		}
		if n == 0 {
			return errResized
		}
		h.Write(buf[:n])
		if _, err := g.WriteAt(buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
	d.origin.size, d.origin.all = size, off == size
	h.Sum(d.origin.sum[:0])
	return nil
}
