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

// blocks is an LRU bounded in octets. It is not safe for concurrent use.
type blocks struct {
	limit, octets int64
	lru           *simplelru.LRU[blockKey, block]
}

func newBlocks(limit int64) *blocks {
	b := &blocks{limit: limit}
	lru, err := simplelru.NewLRU(math.MaxInt, func(_ blockKey, v block) { b.octets -= cost(v) })
	if err != nil {
		panic(err) // the size is not under 1
	}
	b.lru = lru
	return b
}

func cost(v block) int64 { return int64(cap(v.data)) + blockCost }

// add puts a block in and lets go of the oldest until all fit. One that is
// larger than the limit by itself is not kept.
func (b *blocks) add(k blockKey, v block) {
	b.lru.Remove(k)
	if cost(v) > b.limit {
		return
	}
	b.octets += cost(v)
	for b.octets > b.limit {
		b.lru.RemoveOldest()
	}
	b.lru.Add(k, v)
}

func (b *blocks) get(k blockKey) (block, bool) { return b.lru.Get(k) }

func (b *blocks) has(k blockKey) bool { return b.lru.Contains(k) }
