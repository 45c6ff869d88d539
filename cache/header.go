package cache

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"imapfs/imapconn"
	"imapfs/imapconn/imapwire"
)

// headerLimit bounds a header that is fetched without its text, in octets.
const headerLimit = 1 << 20

// errDoubtfulHeader: the size that came with the header is not the recorded one.
var errDoubtfulHeader = errors.New("the header may be that of another text")

// Header gives the header of a message, the empty line behind it included. It is
// taken from the text where that is in memory, else fetched by itself. Not to
// be modified.
//
// Stale: as with Open. TooBig: it is over 1 MiB.
func (m *Mailbox) Header(ctx context.Context, v UIDValidity, uid UID) ([]byte, error) {
	m.Touch()
	h, err := m.header(ctx, v, uid)
	if err != nil {
		return nil, failure("header", m, uid, err)
	}
	return h, nil
}

func (m *Mailbox) header(ctx context.Context, v UIDValidity, uid UID) ([]byte, error) {
	if err := m.valid(v); err != nil {
		return nil, err
	}
	if b, ok := m.cached(v, uid, 0); ok {
		if h, ok := headerOf(b); ok {
			return h, nil
		}
	}
	k := blockKey{m.key(v, uid), headerBlock}
	b, l := m.load(ctx, k, func() *load { return m.newLoad(v, uid, header, headerBlock, headerBlock+1) })
	if l == nil {
		return b.data, nil
	}
	err := l.await(ctx, "header", m, uid)
	if err == nil {
		return l.got[headerBlock], nil
	}
	if !errors.Is(err, errDoubtfulHeader) {
		return nil, err
	}
	// The text has a length by which it is known.
	b, err = m.first(ctx, v, uid)
	if err != nil {
		return nil, err
	}
	if h, ok := headerOf(b); ok {
		return h, nil
	}
	return nil, imapconn.ErrTooLarge
}

// headerOf takes the header out of the first block of a text; false where it
// does not end there.
func headerOf(b block) ([]byte, bool) {
	// A text may begin with its body: then the header is the empty line.
	if bytes.HasPrefix(b.data, []byte("\r\n")) {
		return b.data[:2], true
	}
	if i := bytes.Index(b.data, []byte("\r\n\r\n")); i >= 0 {
		return b.data[:i+4], true
	}
	return b.data, int64(len(b.data)) == b.size
}

// fetchHeader fetches the header and, in the same flight, the size by which the
// server knows the message.
func (l *load) fetchHeader(c *lease) error {
	m := l.box
	set := imapwire.SetOf(l.key.uid)
	var text imapconn.Text
	var size int64
	found, sized := false, false
	var headerErr, sizeErr error
	var both sync.WaitGroup
	both.Go(func() {
		headerErr = c.client.FetchHeader(m.account.ctx, set, headerLimit, func(t imapconn.Text) {
			if t.UID == l.key.uid {
				text, found = t, true
			}
		})
	})
	both.Go(func() {
		sizeErr = c.client.FetchMeta(m.account.ctx, set, imapconn.MetaSize, func(f imapconn.Meta) {
			if f.UID == l.key.uid && f.HasSize {
				size, sized = f.Size, true
			}
		})
	})
	both.Wait()
	switch {
	case headerErr != nil || sizeErr != nil:
		return joint(headerErr, sizeErr)
	case !found || !sized:
		return errDoubtfulHeader
	case text.Nil:
		m.stir(true)
		return errExpunged
	case text.Err != nil:
		return text.Err
	}
	recorded, known := m.recorded(l.key.validity, l.key.uid)
	if !known {
		return errExpunged
	}
	if size != recorded {
		return errDoubtfulHeader
	}
	l.size, l.got = recorded, map[int32][]byte{headerBlock: bytes.Join(text.Chunks, nil)}
	return nil
}
