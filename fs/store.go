package fs

import (
	"context"
	"time"

	"imapfs/cache"
)

// The interfaces of this file are all that fs asks of what remembers the
// account. Package cache is the one that serves; tests have another. A method
// without a context answers from memory and at once; one with a context may
// wait for the server.

type account interface {
	Tree() tree
	LoadTree(ctx context.Context) (tree, error)
	Look()
	Usage() (cache.Usage, bool)
	SizesRight() bool
}

// A tree is one immutable state of the mailboxes.
type tree interface {
	Root() mailbox
	Children(mailbox) []mailbox
	Parent(mailbox) mailbox // nil for the root and for what is not in this tree
	Name(mailbox) string    // in this tree: a mailbox may be renamed
	WireName(mailbox) string
	Gen() uint64
	Changed(mailbox) time.Time
}

// A mailbox is compared by identity: one value as long as the mailbox exists, under
// whatever name.
type mailbox interface {
	WireName() string
	Attrs() []string
	Selectable() bool

	Snapshot() *cache.Snapshot
	Load(ctx context.Context) (*cache.Snapshot, error)
	Touch()

	Open(ctx context.Context, v cache.UIDValidity, uid cache.UID) (int64, error)
	TryOpen(v cache.UIDValidity, uid cache.UID) (int64, bool)
	ReadAt(ctx context.Context, v cache.UIDValidity, uid cache.UID, p []byte, off int64) (int, error)
	TryView(v cache.UIDValidity, uid cache.UID, n int, off int64, pieces [][]byte) ([][]byte, bool)
	Header(ctx context.Context, v cache.UIDValidity, uid cache.UID) ([]byte, error)
}

var (
	_ account        = cacheAccount{}
	_ tree           = cacheTree{}
	_ mailbox        = (*cache.Mailbox)(nil)
	_ cache.Observer = observer{}
)

// cacheAccount and cacheTree only change the types of what package cache
// returns: Go has no covariance.
type cacheAccount struct{ a *cache.Account }

func (c cacheAccount) Tree() tree                 { return cacheTree{c.a.Tree()} }
func (c cacheAccount) Look()                      { c.a.Look() }
func (c cacheAccount) Usage() (cache.Usage, bool) { return c.a.Usage() }
func (c cacheAccount) SizesRight() bool           { return c.a.SizesRight() }

func (c cacheAccount) LoadTree(ctx context.Context) (tree, error) {
	t, err := c.a.LoadTree(ctx)
	if err != nil {
		return nil, err
	}
	return cacheTree{t}, nil
}

type cacheTree struct{ t *cache.Tree }

func (c cacheTree) Root() mailbox               { return c.t.Root() }
func (c cacheTree) Gen() uint64                 { return c.t.Gen() }
func (c cacheTree) Name(m mailbox) string       { return c.t.Name(m.(*cache.Mailbox)) }
func (c cacheTree) WireName(m mailbox) string   { return c.t.WireName(m.(*cache.Mailbox)) }
func (c cacheTree) Changed(m mailbox) time.Time { return c.t.Changed(m.(*cache.Mailbox)) }

func (c cacheTree) Children(m mailbox) []mailbox {
	kids := c.t.Children(m.(*cache.Mailbox))
	out := make([]mailbox, len(kids))
	for i, k := range kids {
		out[i] = k
	}
	return out
}

func (c cacheTree) Parent(m mailbox) mailbox {
	if p := c.t.Parent(m.(*cache.Mailbox)); p != nil {
		return p
	}
	return nil
}

// observer carries to the notifying side that something was published. What it
// was is not looked at: news may be told together, and what the kernel is to
// hear follows from what it was answered.
type observer struct{ s *Server }

func (o observer) MailboxChanged(m *cache.Mailbox, _, _ *cache.Snapshot) { o.s.mailboxChanged(m) }
func (o observer) TreeChanged(_, _ *cache.Tree)                          { o.s.treeChanged() }
