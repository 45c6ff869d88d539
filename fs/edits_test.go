package fs

import (
	"testing"

	"bazil.org/fuse"
)

// A node that has passed from one file to another is not taken away by the end of the first,
// and stays until the kernel has forgotten all lookups of it, whichever file they were of.
func TestANodeMeansOneFile(t *testing.T) {
	const message, own = fuse.NodeID(1<<32 | 7), fuse.NodeID(5)
	e := newEdits(nil, naming{})
	a, b := e.list(&file{}), e.list(&file{})
	for _, id := range []fuse.NodeID{message, own} {
		e.know(a, id)
		e.know(b, id)
	}
	e.given[own] = 2
	if a.node != 0 || len(a.nodes) != 0 {
		t.Errorf("the first file has the nodes %v still", a.nodes)
	}
	e.unlist(a)
	for _, id := range []fuse.NodeID{message, own} {
		if e.nodes[id] != b {
			t.Errorf("node %v is not the second file's when the first has ended", id)
		}
	}
	e.forget(own, 1)
	if e.nodes[own] != b {
		t.Error("it is gone with one lookup of two forgotten")
	}
	e.forget(own, 1)
	if e.nodes[own] != nil || b.node != message || len(e.given) != 0 {
		t.Errorf("forgotten, it means %v; the file has node %v; %v counted", e.nodes[own], b.node, e.given)
	}
}
