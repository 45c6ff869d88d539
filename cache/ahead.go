package cache

import (
	"errors"
	"slices"
	"time"

	"imapfs/imapconn"
)

// What a scan will open next is fetched in batches: one UID FETCH for many texts, and
// several of them in flight, so that the line never idles. Each text of a batch has its
// load, which whoever opens it meanwhile waits for. A text that is not what it should be,
// or does not come, is left to a load of its own (textload.go).

const (
	// maxBatch is how much is asked for in one command, in octets and messages.
	maxBatch         = 4 << 20
	maxBatchMessages = 1024
	// aheadShare of the cache may be taken by what was fetched ahead and is not read.
	aheadShare = 4
)

// batch is texts of one mailbox that are asked for together.
type batch struct {
	*job
	scan   *scan
	loads  map[UID]*load
	set    imapconn.UIDSet
	last   UID   // the highest
	octets int64 // by the index
}

// opened notes that a message is opened, and fetches ahead of who does so if that is a
// scan. missed: its text is not there yet.
func (m *Mailbox) opened(v UIDValidity, uid UID, missed bool) {
	if m.lastOpened.Swap(uint32(uid)) == uint32(uid) && !missed {
		return
	}
	s := m.snap.Load()
	if s == nil || s.validity != v {
		return
	}
	t := m.account.texts
	t.mu.Lock()
	defer t.mu.Unlock()
	sc, ended := t.scans.opened(m, s, uid, missed, time.Now())
	if ended != nil {
		t.blocks.giveUpAll(ended)
	}
	if sc == nil {
		return
	}
	for _, uid := range sc.late() {
		t.blocks.giveUp(blockKey{m.key(v, uid), 0})
	}
	t.fetchAhead(sc, s.visible())
}

// fetchAhead asks for what a scan lacks. t.mu is held.
func (t *texts) fetchAhead(sc *scan, s *Snapshot) {
	limit := min(t.pace.ahead(sc.box.account.cfg.Timeout), t.limit/aheadShare/t.scans.served(sc))
	for {
		lacks, more := sc.lacks(limit)
		if !more {
			return
		}
		b := t.gather(sc, s, min(lacks, maxBatch), limit)
		if b == nil {
			return
		}
		t.flying += b.octets
		if !sc.box.account.spawn(func() { t.runBatch(b) }) {
			t.endBatch(b, errClosed)
		}
	}
}

// gather makes a batch of the next messages of a scan; nil: there are none, or there is no
// room. A large text is part of it where such are read to the end and it is not over limit:
// the line brings it as one piece with what is around it. t.mu is held.
func (t *texts) gather(sc *scan, s *Snapshot, octets, limit int64) *batch {
	m := sc.box
	b := &batch{scan: sc, loads: make(map[UID]*load)}
	i := s.Search(sc.edge)
	if sc.dir > 0 && i < s.Len() && s.record(i).uid == sc.edge {
		i++
	} else if sc.dir < 0 {
		i--
	}
	for ; i >= 0 && i < s.Len() && b.octets < octets && len(b.loads) < maxBatchMessages; i += sc.dir {
		r := s.record(i)
		k := blockKey{m.key(sc.validity, r.uid), 0}
		size := r.octets()
		switch {
		case t.blocks.isUnread(k):
			sc.push(r.uid, size)
		case t.blocks.has(k), t.loads[k] != nil:
		case size > smallText && (!sc.whole || size > min(sc.window, limit)):
			if !t.hasRoom(2 * blockLen) {
				return t.made(b)
			}
			t.start(m.newLoad(sc.validity, r.uid, opening, 0, 1))
			sc.push(r.uid, 2*blockLen)
		case !t.hasRoom(b.octets + size):
			return t.made(b)
		default:
			b.add(t, m.newLoad(sc.validity, r.uid, opening, 0, blocksOf(size)), size)
			sc.push(r.uid, size)
		}
		sc.edge = r.uid
	}
	return t.made(b)
}

// blocksOf is how many blocks a text has.
func blocksOf(size int64) int32 {
	n, _ := blockAt(size, max(size-1, 0))
	return n + 1
}

func (b *batch) add(t *texts, l *load, size int64) {
	b.loads[l.key.uid] = l
	b.set.Add(l.key.uid)
	b.last = max(b.last, l.key.uid)
	b.octets += size
	l.flying = size
	t.register(l)
}

// made gives a batch that is to be fetched; nil where there is nothing in it.
func (t *texts) made(b *batch) *batch {
	if len(b.loads) == 0 {
		return nil
	}
	b.job = b.scan.box.account.newJob()
	return b
}

// hasRoom reports whether octets more may be fetched ahead. What nobody has come for for a
// while is given up for it. t.mu is held.
func (t *texts) hasRoom(octets int64) bool {
	room := t.limit / aheadShare
	fits := func() bool { return t.flying+t.blocks.unreadOctets+octets <= room }
	if fits() {
		return true
	}
	now := time.Now()
	t.scans.all = slices.DeleteFunc(t.scans.all, func(sc *scan) bool {
		if now.Sub(sc.used) < scanIdle {
			return false
		}
		sc.over = true
		t.blocks.giveUpAll(sc)
		return true
	})
	return fits()
}

// runBatch fetches a batch.
func (t *texts) runBatch(b *batch) {
	err := t.fetchBatch(b)
	b.pool.throttled(err) // nobody tries again: the next open may
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endBatch(b, err)
}

func (t *texts) fetchBatch(b *batch) error {
	m := b.scan.box
	if err := m.account.allowed(false); err != nil {
		return err
	}
	c, err := m.account.pool.acquire(b.ctx, want{box: m, bulk: true})
	if err != nil {
		return err
	}
	defer c.release()
	if c.epoch.validity != b.scan.validity {
		return errValidity
	}
	if b.last >= c.hear.next() {
		s := m.snap.Load()
		if err := c.client.Noop(m.account.ctx); err != nil {
			return err
		}
		c.hear.learn(s.uidNext)
	}
	t.mu.Lock()
	t.pace.ask(time.Now())
	t.mu.Unlock()
	err = c.client.FetchText(m.account.ctx, b.set, imapconn.Part{Chunk: smallText, Limit: max(b.octets, smallText)}, func(x imapconn.Text) { t.deliver(b, x) })
	t.mu.Lock()
	t.pace.end()
	t.mu.Unlock()
	return err
}

// deliver takes a text of a batch if it is what it should be.
func (t *texts) deliver(b *batch, x imapconn.Text) {
	l := b.loads[x.UID]
	if l == nil {
		return
	}
	size, known := l.box.recorded(l.key.validity, x.UID)
	if !known || x.Nil || x.Err != nil || x.Octets != size || size == 0 || isInvented(x.Chunks) {
		return
	}
	delete(b.loads, x.UID)
	l.box.account.sizes.hold()
	l.take(x.Chunks, size)
	t.mu.Lock()
	t.flying -= l.flying
	t.pace.came(size, time.Now())
	t.forget(l)
	t.tally(l, true)
	if l.box.valid(l.key.validity) == nil {
		t.keepAhead(b.scan, l)
	}
	t.mu.Unlock()
	l.finish(nil)
}

// keepAhead keeps a text that was fetched ahead; as one that was read, if somebody waits for
// it. t.mu is held.
func (t *texts) keepAhead(sc *scan, l *load) {
	if l.joined {
		t.keep(l)
		return
	}
	if l.size > smallText {
		t.large.Add(l.key, newLarge(l.size, t.limit))
	}
	for i, data := range l.got {
		k := blockKey{l.key, i}
		t.blocks.addUnread(k, block{data, l.size}, sc)
		if sc.over {
			t.blocks.giveUp(k)
		}
	}
}

// endBatch leaves what has not come to those who wait for it, and lets the rest be. t.mu is
// held.
func (t *texts) endBatch(b *batch, err error) {
	for _, l := range b.loads {
		t.flying -= l.flying
		if l.joined && l.box.account.spawn(func() { t.run(l) }) {
			continue
		}
		t.forget(l)
		l.finish(errNotAhead)
	}
	if err != nil {
		b.scan.lose()
	}
	b.finish(err)
}

// errNotAhead is for loads that nobody waits for.
var errNotAhead = errors.New("the text was not to be had ahead")
