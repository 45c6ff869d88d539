package cache

import (
	"slices"
	"strings"
	"time"
)

// Tree is one state of the mailboxes of an account. It never changes; any
// number of goroutines may read it without a lock.
type Tree struct {
	root  *Mailbox
	nodes map[*Mailbox]*treeNode
	gen   uint64
}

// treeNode is what a tree knows of a mailbox.
type treeNode struct {
	listed   *listed // its name in this tree: in a later one it may have another
	parent   *Mailbox
	children []*Mailbox // sorted by decoded name, then by wire name
	changed  time.Time
}

// Root is the directory that holds the top level. It is no mailbox of the
// server's and has no messages.
func (t *Tree) Root() *Mailbox { return t.root }

// Gen grows with each tree of an account.
func (t *Tree) Gen() uint64 { return t.gen }

// Children gives the mailboxes right below m, sorted by decoded name. Two of
// them may have one name, where the server has two spellings of it. The slice is
// not to be modified.
func (t *Tree) Children(m *Mailbox) []*Mailbox {
	if n := t.nodes[m]; n != nil {
		return n.children
	}
	return nil
}

// Child gives the mailbox of that decoded name right below m, nil if there is none.
func (t *Tree) Child(m *Mailbox, name string) *Mailbox {
	kids := t.Children(m)
	i, ok := slices.BinarySearchFunc(kids, name, func(k *Mailbox, name string) int { return strings.Compare(t.Name(k), name) })
	if !ok {
		return nil
	}
	return kids[i]
}

// Parent gives the mailbox above m: nil for the root, and for what is not in
// this tree.
func (t *Tree) Parent(m *Mailbox) *Mailbox {
	if n := t.nodes[m]; n != nil {
		return n.parent
	}
	return nil
}

// Name is the last level of m's decoded name in this tree, empty for the root and
// for what is not in it. Mailbox.Name may be a later one.
func (t *Tree) Name(m *Mailbox) string {
	if n := t.nodes[m]; n != nil {
		return n.listed.name
	}
	return ""
}

// WireName is m's name as the server gave it when this tree was made, empty for the
// root and for what is not in it.
func (t *Tree) WireName(m *Mailbox) string {
	if n := t.nodes[m]; n != nil {
		return n.listed.wire
	}
	return ""
}

// Changed is when the set of the names of m's children last changed; where it has not since
// the account was opened, when that was. It never goes back.
func (t *Tree) Changed(m *Mailbox) time.Time {
	if n := t.nodes[m]; n != nil {
		return n.changed
	}
	return time.Time{}
}

// all gives every mailbox but the root, in no order.
func (t *Tree) all(yield func(*Mailbox) bool) {
	for m := range t.nodes {
		if m != t.root && !yield(m) {
			return
		}
	}
}

// within reports whether k is m or lies below it.
func (t *Tree) within(k, m *Mailbox) bool {
	for ; k != nil; k = t.Parent(k) {
		if k == m {
			return true
		}
	}
	return false
}
