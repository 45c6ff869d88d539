package cache

import (
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// blockKey names a piece of a text. Block 0 of a small text is the whole of it.
type blockKey struct {
	textKey
	block int32
}

// textKey is the identity of a text in an account. A UIDVALIDITY says nothing
// without its mailbox.
type textKey struct {
	mailbox  uint32
	validity UIDValidity
	uid      UID
}

// headerBlock stands for the header where the text itself was not asked for.
const headerBlock = -1

// block is a piece of a text that is believed.
type block struct {
	data []byte // never modified
	size int64  // of the whole text, the truth
}

// blockCost is what a block takes beside its octets: list, map and slice headers.
const blockCost = 160

// blocks is what is kept of texts, bounded in octets. It is not safe for concurrent use.
//
// A block that was fetched ahead is unread until somebody wants it, and is not let go
// to make room: it would be fetched twice. One that was read to its end has been handed
// over to the kernel, which keeps it too: it goes first.
type blocks struct {
	limit, octets int64
	lru           *simplelru.LRU[blockKey, block]
	handed        *simplelru.LRU[blockKey, block]
	unread        map[blockKey]unread
	unreadOctets  int64
	unused        int64 // octets that were given up so far
}

// unread is a block that was fetched ahead of a scan.
type unread struct {
	block
	scan *scan
}

func newBlocks(limit int64) *blocks {
	b := &blocks{limit: limit, unread: make(map[blockKey]unread)}
	b.lru, b.handed = b.newLRU(), b.newLRU()
	return b
}

func (b *blocks) newLRU() *simplelru.LRU[blockKey, block] {
	lru, err := simplelru.NewLRU(math.MaxInt, func(_ blockKey, v block) { b.octets -= cost(v) })
	if err != nil {
		panic(err) // the size is not under 1
	}
	return lru
}

func cost(v block) int64 { return int64(cap(v.data)) + blockCost }

// add puts a block in and lets go of others until all fit: of what was handed over,
// then of the oldest. One that is larger than the limit by itself is not kept.
func (b *blocks) add(k blockKey, v block) {
	b.remove(k)
	if b.makeRoom(cost(v)) {
		b.put(b.lru, k, v)
	}
}

// addUnread puts in a block that was fetched ahead of a scan.
func (b *blocks) addUnread(k blockKey, v block, sc *scan) {
	b.remove(k)
	if !b.makeRoom(cost(v)) {
		return
	}
	b.unread[k] = unread{v, sc}
	b.octets += cost(v)
	b.unreadOctets += cost(v)
}

func (b *blocks) put(to *simplelru.LRU[blockKey, block], k blockKey, v block) {
	b.octets += cost(v)
	to.Add(k, v)
}

// makeRoom lets go of blocks until n octets fit; false where they never will.
func (b *blocks) makeRoom(n int64) bool {
	for b.octets+n > b.limit {
		if _, _, ok := b.handed.RemoveOldest(); ok {
			continue
		}
		if _, _, ok := b.lru.RemoveOldest(); !ok {
			return false
		}
	}
	return true
}

func (b *blocks) remove(k blockKey) {
	if !b.lru.Remove(k) && !b.handed.Remove(k) {
		b.takeUnread(k)
	}
}

func (b *blocks) takeUnread(k blockKey) (block, bool) {
	u, ok := b.unread[k]
	if ok {
		delete(b.unread, k)
		b.octets -= cost(u.block)
		b.unreadOctets -= cost(u.block)
	}
	return u.block, ok
}

// get gives a block to somebody who reads it.
func (b *blocks) get(k blockKey) (block, bool) {
	if v, ok := b.lru.Get(k); ok {
		return v, true
	}
	v, ok := b.takeUnread(k)
	if !ok {
		if v, ok = b.handed.Peek(k); !ok {
			return block{}, false
		}
		b.handed.Remove(k)
	}
	b.put(b.lru, k, v)
	return v, true
}

// handOver says that somebody has read a block to its end.
func (b *blocks) handOver(k blockKey) {
	if v, ok := b.lru.Peek(k); ok {
		b.lru.Remove(k)
		b.put(b.handed, k, v)
	}
}

// giveUp says that nobody will come for a block that was fetched ahead.
func (b *blocks) giveUp(k blockKey) {
	if v, ok := b.takeUnread(k); ok {
		b.unused += int64(len(v.data))
		b.put(b.handed, k, v)
	}
}

// giveUpAll gives up what was fetched ahead of a scan.
func (b *blocks) giveUpAll(sc *scan) {
	for k, u := range b.unread {
		if u.scan == sc {
			b.giveUp(k)
		}
	}
}

func (b *blocks) has(k blockKey) bool {
	_, unread := b.unread[k]
	return unread || b.lru.Contains(k) || b.handed.Contains(k)
}

func (b *blocks) isUnread(k blockKey) bool {
	_, ok := b.unread[k]
	return ok
}

func (b *blocks) len() int { return b.lru.Len() + b.handed.Len() + len(b.unread) }
