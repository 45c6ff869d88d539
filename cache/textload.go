package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imapwire"
)

// load brings blocks of one text. There is one for a block at a time, whoever
// asks; it belongs to none of those who wait.
type load struct {
	*job
	box        *Mailbox
	key        textKey
	what       loadKind
	first, end int32 // the blocks that it answers for

	begun time.Time // when the last attempt had its connection

	// Guarded by texts.mu.
	joined bool  // somebody waits, or has
	flying int64 // octets of a batch that are counted for it in texts.flying

	// Set when the job is done without error.
	size int64 // of the whole text, the truth
	got  map[int32][]byte
}

type loadKind int

const (
	opening loadKind = iota // block 0 and what settles the size
	run                     // blocks of a large text whose size is settled
	header                  // the header alone
)

func (m *Mailbox) newLoad(v UIDValidity, uid UID, what loadKind, first, end int32) *load {
	return &load{job: m.account.newJob(), box: m, key: m.key(v, uid), what: what, first: first, end: end}
}

// load gives a block that is there, or else joins its load, or starts the one
// that begin gives. The look and the start are one step: a load that ends
// between them would be made twice.
func (m *Mailbox) load(ctx context.Context, k blockKey, begin func() *load) (block, *load) {
	t := m.account.texts
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := m.kept(k); ok {
		return b, nil
	}
	l := t.loads[k]
	if l == nil {
		l = begin()
		t.start(l)
	}
	l.joined = true
	t.misses++
	l.join(ctx, m.account.cfg.Timeout)
	return block{}, l
}

// start runs a load in a goroutine of its own. t.mu is held.
func (t *texts) start(l *load) {
	t.register(l)
	if !l.box.account.spawn(func() { t.run(l) }) {
		t.forget(l)
		l.finish(errClosed)
	}
}

// register has whoever wants its blocks find a load. t.mu is held.
func (t *texts) register(l *load) {
	for i := l.first; i < l.end; i++ {
		t.loads[blockKey{l.key, i}] = l
	}
}

// forget takes a load out of the table. t.mu is held.
func (t *texts) forget(l *load) {
	for i := l.first; i < l.end; i++ {
		delete(t.loads, blockKey{l.key, i})
	}
}

func (t *texts) run(l *load) {
	err := l.fetch()
	for l.again(err) {
		err = l.fetch()
	}
	took := time.Since(l.begun)
	t.mu.Lock()
	t.forget(l)
	if err == nil {
		t.pace.note(l.brought(), took)
		t.tally(l, !l.joined)
	}
	switch {
	case err != nil && l.what == run:
		t.large.Remove(l.key) // the next to open it settles its size anew
	case err == nil && l.box.valid(l.key.validity) == nil:
		t.keep(l)
	}
	t.mu.Unlock()
	l.finish(err)
}

// tally counts what a load has brought. t.mu is held.
func (t *texts) tally(l *load, ahead bool) {
	n := l.brought()
	t.fetched += n
	if ahead {
		t.ahead += n
	}
	if l.what == opening {
		t.brought++
	}
}

// brought is how many octets came.
func (l *load) brought() (n int64) {
	for _, b := range l.got {
		n += int64(len(b))
	}
	return n
}

// keep puts what a load has brought into the cache, the first block last, as it
// is the one that is asked for most. t.mu is held.
func (t *texts) keep(l *load) {
	if l.size > smallText && l.what == opening {
		t.large.Add(l.key, newLarge(l.size, t.limit))
	}
	for i, data := range l.got {
		if i != 0 {
			t.blocks.add(blockKey{l.key, i}, block{data, l.size})
		}
	}
	if data, ok := l.got[0]; ok {
		t.blocks.add(blockKey{l.key, 0}, block{data, l.size})
	}
}

// fetch makes one attempt; a second one in a new session where message numbers do
// not hold, by which alone RFC 1730 gives parts of texts.
func (l *load) fetch() error {
	moves := l.box.moves.Load()
	if err := l.fetchAsNamed(); err != nil {
		return l.box.refused(l.job, err, moves, verdictAge)
	}
	return nil
}

// verdictAge is how old a tree may be by which it is decided what became of a mailbox
// whose texts cannot be had: one listing a second.
const verdictAge = time.Second

func (l *load) fetchAsNamed() error {
	d, err := l.fetchIn(want{box: l.box, early: true})
	if errors.Is(err, imapconn.ErrNumbers) {
		d, err = l.fetchIn(want{box: l.box, fresh: true})
	}
	if d != nil && err == nil {
		err = l.settle(d)
	}
	return err
}

// fetchIn makes an attempt in one session. A doubt is returned where the session
// does not say that the message is gone. Whatever came is thrown away where the session
// turns out to have other messages under the UIDs.
func (l *load) fetchIn(w want) (d *doubt, err error) {
	if err := l.box.account.allowed(false); err != nil {
		return nil, err
	}
	c, err := l.box.account.pool.acquire(l.ctx, w)
	if err != nil {
		return nil, err
	}
	defer c.release()
	l.begun = time.Now()
	if err = l.showTo(c); err == nil {
		err = l.attempt(c)
	}
	if bad := c.proven(l.ctx); bad != nil {
		l.size, l.got = 0, nil
		return nil, bad
	}
	if err == nil && l.what == opening {
		l.box.account.sizes.hold()
	}
	if errors.As(err, &d) {
		err = l.ask(c)
	}
	return d, err
}

// showTo lets a session hear of a message that came after its EXAMINE: what it
// has not been told of it may not fetch.
func (l *load) showTo(c *lease) error {
	s := l.box.snap.Load()
	if s == nil || l.key.uid < c.hear.next() {
		return nil
	}
	if err := c.client.Noop(l.box.account.ctx); err != nil {
		return err
	}
	c.hear.learn(s.uidNext)
	return nil
}

// attempt fetches what is wanted. Where that is not as long as it should be, or
// not there, the error is a *doubt.
func (l *load) attempt(c *lease) error {
	size, known := l.box.recorded(l.key.validity, l.key.uid)
	var err error
	switch {
	case c.epoch.validity != l.key.validity:
		return errValidity
	case !known:
		return errExpunged
	case size > maxText:
		return imapconn.ErrTooLarge
	case l.what == header:
		return l.fetchHeader(c)
	case l.what == run:
		err = l.fetchRun(c, size)
	case size > smallText:
		err = l.fetchEnds(c, size)
	default:
		err = l.fetchWhole(c, size, lieLimit)
	}
	if errors.Is(err, imapconn.ErrNotOffered) { // RFC 1730, and no PARTIAL either
		err = l.fetchWhole(c, size, wholeLimit)
	}
	return err
}

// part fetches octets of the text, n of 0 being all of it. NIL is errExpunged:
// it means gone, never empty. No text at all is a *doubt.
func (l *load) part(c *lease, off, n int64, chunk int, limit int64) (imapconn.Text, error) {
	var got imapconn.Text
	found := false
	p := imapconn.Part{Offset: off, Octets: n, Chunk: chunk, Limit: limit}
	err := c.client.FetchText(l.box.account.ctx, imapwire.SetOf(l.key.uid), p, func(t imapconn.Text) {
		if t.UID == l.key.uid {
			got, found = t, true
		}
	})
	switch {
	case err != nil:
		return got, err
	case !found:
		return got, &doubt{missing: true}
	case got.Nil:
		// That the message is no longer listed is for the index to find out.
		l.box.stir(true)
		return got, errExpunged
	}
	return got, nil
}

// fetchWhole fetches a text that is said to be small.
func (l *load) fetchWhole(c *lease, size, limit int64) error {
	t, err := l.part(c, 0, 0, smallText, limit)
	switch {
	case err != nil:
		return err
	case t.Err != nil && limit == wholeLimit:
		return t.Err
	case t.Err != nil:
		return &doubt{recorded: size, said: -1}
	case t.Octets != size, size == 0, isInvented(t.Chunks):
		// Both are 0 where a session has lost sight of the message's file (GNU
		// mailutils); a message without an octet is rare.
		return &doubt{recorded: size, said: t.Octets, whole: true}
	}
	l.take(t.Chunks, size)
	return nil
}

// invented is what Courier gives for a message whose file has gone, with OK and as
// RFC822.SIZE: where it was listed in that moment even the length is right.
const invented = "From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\n" +
	"This message is no longer available on the server.\r\n"

// isInvented reports whether a text is that one, as far as anybody can see: a fresh
// session knows whether there is such a message.
func isInvented(chunks [][]byte) bool {
	n := 0
	for _, c := range chunks {
		if n+len(c) > len(invented) || string(c) != invented[n:n+len(c)] {
			return false
		}
		n += len(c)
	}
	return n == len(invented)
}

// take makes blocks of a whole text.
func (l *load) take(chunks [][]byte, size int64) {
	n := blockLen
	if size <= smallText {
		n = smallText
	}
	l.size, l.got = size, make(map[int32][]byte)
	if size == 0 {
		l.got[0] = []byte{}
	}
	for i, b := range cut(chunks, n) {
		l.got[int32(i)] = b
	}
}

// fetchEnds fetches the first block of a large text and its end, with some
// octets beyond: where these do not come, and nothing else is missing, the size
// is right. Both are in one flight.
func (l *load) fetchEnds(c *lease, size int64) error {
	tail := floor(size-tailMin, blockLen)
	asked := size - tail + beyond
	var head, end imapconn.Text
	var headErr, endErr error
	var both sync.WaitGroup
	both.Go(func() { head, headErr = l.part(c, 0, blockLen, blockLen, partLimit) })
	both.Go(func() { end, endErr = l.part(c, tail, asked, blockLen, partLimit) })
	both.Wait()
	if headErr != nil || endErr != nil {
		return joint(headErr, endErr)
	}
	if head.Err != nil || end.Err != nil {
		return joint(head.Err, end.Err)
	}
	if head.Octets != blockLen || tail+end.Octets != size {
		d := &doubt{recorded: size, said: -1}
		switch {
		case end.Octets > 0 && end.Octets < asked:
			d.said = tail + end.Octets
		case end.Octets == 0 && head.Octets < blockLen:
			d.said = head.Octets
		}
		return d
	}
	l.take(head.Chunks, size)
	first, _ := blockAt(size, tail)
	for i, b := range cut(end.Chunks, blockLen) {
		l.got[first+int32(i)] = b
	}
	return nil
}

// fetchRun fetches blocks of a text whose size is settled.
func (l *load) fetchRun(c *lease, size int64) error {
	off := int64(l.first) * blockLen
	n := min(int64(l.end)*blockLen, size) - off
	t, err := l.part(c, off, n, blockLen, partLimit)
	switch {
	case err != nil:
		return err
	case t.Err != nil:
		return t.Err
	case t.Octets != n:
		return &doubt{recorded: size, run: true}
	}
	l.size, l.got = size, make(map[int32][]byte)
	for i, b := range cut(t.Chunks, blockLen) {
		l.got[l.first+int32(i)] = b
	}
	return nil
}
