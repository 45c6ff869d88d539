package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// texts is what is kept of the texts of an account, and the loads under way.
type texts struct {
	limit int64 // octets

	mu     sync.Mutex // held over no network; before job.mu and Account.mu
	blocks *blocks
	loads  map[blockKey]*load
	large  *simplelru.LRU[textKey, *large]
	pace   pace

	// See ahead.go.
	scans  scans
	flying int64 // octets that are asked for ahead and have not come

	// Since the account was opened, for status.go.
	hits, served   atomic.Int64 // answers from memory, and octets read so
	misses         int64        // who had to wait
	brought        int64        // texts
	fetched, ahead int64        // octets, and those that nobody had come for
}

// maxLarge bounds the large texts whose readers are remembered, in texts.
const maxLarge = 1024

func newTexts(limit int64) *texts {
	lru, err := simplelru.NewLRU[textKey, *large](maxLarge, nil)
	if err != nil {
		panic(err) // the size is not under 1
	}
	return &texts{limit: limit, blocks: newBlocks(limit), loads: make(map[blockKey]*load), large: lru}
}

// room is how much of the cache one text may be given before it is asked for.
func (t *texts) room() int64 { return t.limit / 4 }

func (m *Mailbox) key(v UIDValidity, uid UID) textKey { return textKey{m.number, v, uid} }

// valid says why UIDs under v name nothing here; nil if they do.
func (m *Mailbox) valid(v UIDValidity) error {
	e := m.current.Load()
	switch {
	case m.gone.Load():
		return errGone
	case e == nil || e.validity != v:
		return errValidity
	}
	return nil
}

// recorded is the size in the index; false where the message is not in it.
func (m *Mailbox) recorded(v UIDValidity, uid UID) (int64, bool) {
	s := m.snap.Load()
	if s == nil || s.validity != v {
		return 0, false
	}
	r := s.find(uid)
	if r == nil {
		return 0, false
	}
	return r.octets(), true
}

// Open makes sure of the size of a text, in octets, and waits for its first
// block, a small text being one block. Where the server lied about the size the
// true one is in the Snapshot before Open returns.
//
// Stale: the message is expunged, or v is not the UIDVALIDITY of now.
func (m *Mailbox) Open(ctx context.Context, v UIDValidity, uid UID) (size int64, err error) {
	m.Touch()
	b, err := m.first(ctx, v, uid)
	if err != nil {
		return 0, failure("open", m, uid, err)
	}
	return b.size, nil
}

// TryOpen is Open from memory only; ok is false where it would have to wait or
// to fail.
func (m *Mailbox) TryOpen(v UIDValidity, uid UID) (size int64, ok bool) {
	if m.valid(v) != nil {
		return 0, false
	}
	b, ok := m.cached(v, uid, 0)
	if ok {
		m.opened(v, uid, false)
		m.account.texts.hits.Add(1)
	}
	return b.size, ok
}

// cached gives a block from memory, where it is of the text that the index
// knows. A message that is no longer in the index may still be read.
func (m *Mailbox) cached(v UIDValidity, uid UID, n int32) (block, bool) {
	t := m.account.texts
	t.mu.Lock()
	defer t.mu.Unlock()
	return m.kept(blockKey{m.key(v, uid), n})
}

// kept is cached with texts.mu held.
func (m *Mailbox) kept(k blockKey) (block, bool) {
	b, ok := m.account.texts.blocks.get(k)
	if !ok {
		return block{}, false
	}
	if size, known := m.recorded(k.validity, k.uid); known && size != b.size {
		return block{}, false
	}
	return b, true
}

// first gives block 0 of a text whose size is settled.
func (m *Mailbox) first(ctx context.Context, v UIDValidity, uid UID) (block, error) {
	if err := m.valid(v); err != nil {
		return block{}, err
	}
	b, l := m.load(ctx, blockKey{m.key(v, uid), 0}, func() *load {
		return m.newLoad(v, uid, opening, 0, 1)
	})
	m.opened(v, uid, l != nil)
	if l == nil {
		return b, nil
	}
	if err := l.await(ctx, "open", m, uid); err != nil {
		return block{}, err
	}
	return block{l.got[0], l.size}, nil
}

// TryView is ReadAt of n octets from memory only, and without a copy: it appends to the
// pieces those of which the text is made. They stay as they are for as long as somebody
// holds them, whatever becomes of the cache, and are not to be modified. ok is false where
// it would have to wait or to fail.
func (m *Mailbox) TryView(v UIDValidity, uid UID, n int, off int64, pieces [][]byte) (_ [][]byte, ok bool) {
	if off < 0 || m.valid(v) != nil {
		return nil, false
	}
	size, ok := m.settledSize(v, uid)
	if !ok {
		return nil, false
	}
	for at, end := off, min(off+int64(n), size); at < end; {
		i, start := blockAt(size, at)
		b, ok := m.cached(v, uid, i)
		if !ok || b.size != size || at-start >= int64(len(b.data)) {
			return nil, false
		}
		last := min(end-start, int64(len(b.data)))
		pieces = append(pieces, b.data[at-start:last])
		if at = start + last; last == int64(len(b.data)) {
			m.handOver(v, uid, i)
		}
	}
	if off == 0 {
		m.opened(v, uid, false) // where there is no OPEN (zero-message open)
	}
	m.ahead(v, uid, size, off, int64(n), false)
	t := m.account.texts
	t.hits.Add(1)
	t.served.Add(max(0, min(int64(n), size-off)))
	return pieces, true
}

// settledSize gives the length of a text whose size is known to be true.
func (m *Mailbox) settledSize(v UIDValidity, uid UID) (int64, bool) {
	size, known := m.recorded(v, uid)
	if !known || size > smallText {
		t := m.account.texts
		t.mu.Lock()
		s, ok := t.large.Get(m.key(v, uid))
		t.mu.Unlock()
		if ok && (!known || s.size == size) {
			return s.size, true
		}
	}
	b, ok := m.cached(v, uid, 0)
	return b.size, ok
}

// ReadAt reads from a text, opened before, at an offset in octets. n is under
// len(p) only where the text ends; err is nil then too. A text is never
// served in another length than the one that is recorded: where the server
// changes it between Open and ReadAt the error is Stale.
func (m *Mailbox) ReadAt(ctx context.Context, v UIDValidity, uid UID, p []byte, off int64) (int, error) {
	n, err := m.readAt(ctx, v, uid, p, off)
	if err != nil {
		return 0, failure("read", m, uid, err)
	}
	return n, nil
}

func (m *Mailbox) readAt(ctx context.Context, v UIDValidity, uid UID, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("an offset under 0")
	}
	if err := m.valid(v); err != nil {
		return 0, err
	}
	was, known := m.recorded(v, uid)
	size, ok := m.settledSize(v, uid)
	var zero block
	if !ok {
		var err error
		if zero, err = m.first(ctx, v, uid); err != nil {
			return 0, err
		}
		size = zero.size
	}
	if known && size != was {
		return 0, errResized
	}
	n := 0
	for n < len(p) && off+int64(n) < size {
		at := off + int64(n)
		i, start := blockAt(size, at)
		b := zero
		if i > 0 || b.data == nil {
			var err error
			if b, err = m.block(ctx, v, uid, size, i, at, int64(len(p)-n)); err != nil {
				return 0, err
			}
		}
		if b.size != size || at-start >= int64(len(b.data)) {
			return 0, errResized
		}
		n += copy(p[n:], b.data[at-start:])
		if off+int64(n) == start+int64(len(b.data)) {
			m.handOver(v, uid, i)
		}
	}
	return n, nil
}

// handOver says that somebody has read a block to its end: the kernel has it now.
func (m *Mailbox) handOver(v UIDValidity, uid UID, i int32) {
	t := m.account.texts
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocks.handOver(blockKey{m.key(v, uid), i})
}

// block gives one block of a text whose size is settled, for a read of n octets
// at off.
func (m *Mailbox) block(ctx context.Context, v UIDValidity, uid UID, size int64, i int32, off, n int64) (block, error) {
	if b, ok := m.cached(v, uid, i); ok {
		m.ahead(v, uid, size, off, n, false)
		return b, nil
	}
	if size <= smallText {
		return m.first(ctx, v, uid)
	}
	m.ahead(v, uid, size, off, n, true)
	b, l := m.load(ctx, blockKey{m.key(v, uid), i}, func() *load {
		return m.newLoad(v, uid, run, i, i+1)
	})
	if l == nil {
		return b, nil
	}
	if err := l.await(ctx, "read", m, uid); err != nil {
		return block{}, err
	}
	switch data := l.got[i]; {
	case data != nil:
		return block{data, l.size}, nil
	case l.size != size:
		return block{}, errResized
	}
	// It was to come ahead as a part of the whole text, and only the ends came.
	return m.block(ctx, v, uid, size, i, off, n)
}

// ahead notes a read of a large text and starts the loads that should be under
// way for it.
func (m *Mailbox) ahead(v UIDValidity, uid UID, size, off, n int64, missing bool) {
	if size <= smallText {
		return
	}
	t := m.account.texts
	k := m.key(v, uid)
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.large.Get(k)
	if !ok || s.size != size {
		s = newLarge(size, t.limit)
		t.large.Add(k, s)
	}
	first := int64(runLen)
	if t.scans.goesOn(m, uid) {
		first = longRun // in step with the scan
	}
	for _, sp := range s.read(off, n, missing, first, t.room(), t.pace.longest(m.account.cfg.Timeout)) {
		m.loadRun(v, uid, size, sp)
	}
	if s.run > 0 {
		t.scans.readsOn(m, uid)
	}
}

// loadRun loads the blocks of a span that are neither there nor under way.
// texts.mu is held.
func (m *Mailbox) loadRun(v UIDValidity, uid UID, size int64, sp span) {
	t := m.account.texts
	k := m.key(v, uid)
	first, _ := blockAt(size, sp.first)
	end, _ := blockAt(size, sp.end+blockLen-1)
	for i := first; i < end; i++ {
		free := func(i int32) bool { return t.loads[blockKey{k, i}] == nil && !t.blocks.has(blockKey{k, i}) }
		if !free(i) {
			continue
		}
		last := i + 1
		for last < end && free(last) {
			last++
		}
		t.start(m.newLoad(v, uid, run, i, last))
		i = last - 1
	}
}
