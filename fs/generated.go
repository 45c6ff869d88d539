package fs

import (
	"sync"

	"bazil.org/fuse"
)

// generated has the nodes of slot 0 but the root. They are counted, and dropped
// when the kernel has forgotten them.
type generated struct {
	mu    sync.Mutex // held for what memory can do at once
	nodes map[fuse.NodeID]*sequences
	last  fuse.NodeID
}

func (g *generated) init() {
	g.nodes = make(map[fuse.NodeID]*sequences)
	g.last = fuse.RootID
}

// next gives an ID that nothing has had.
func (g *generated) next() fuse.NodeID {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last++
	return g.last
}

// find gives the node that an ID means; nil where it is none of these.
func (g *generated) find(id fuse.NodeID) *sequences {
	if id>>32 != 0 || id == fuse.RootID {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nodes[id]
}

// forget is told how many lookups of a node the kernel has forgotten.
func (g *generated) forget(id fuse.NodeID, n uint64) {
	if id>>32 != 0 {
		return // messages and mailboxes have no record
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.nodes[id]
	if q == nil {
		return
	}
	if q.lookups -= min(n, q.lookups); q.lookups == 0 {
		delete(g.nodes, id)
		q.text = nil
	}
}

// give counts lookups of a node. g.mu is held.
func (g *generated) give(q *sequences, lookups uint64) *sequences {
	if q.lookups += lookups; q.lookups > 0 {
		g.nodes[q.id] = q
	}
	return q
}

// wanted says whether the kernel may have the name of a slot's sequences.
func (g *generated) wanted(sl *slot) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return sl.sequences != nil && sl.sequences.lookups > 0
}

func (g *generated) textOf(q *sequences) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return q.text
}
