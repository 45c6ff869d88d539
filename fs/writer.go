package fs

import (
	"context"
	"io"
	"math"
	"time"

	"imapfs/cache"
)

// A writer is an account that can be changed. Each method with a context waits for
// the server; what was begun goes on when the context ends.
type writer interface {
	CreateMailbox(ctx context.Context, parent mailbox, name string) (mailbox, error)
	RemoveMailbox(ctx context.Context, m mailbox) error
	RenameMailbox(ctx context.Context, m, parent mailbox, name string) error

	Delete(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID) error
	MoveTo(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID, to mailbox) (cache.UID, error)
	CopyTo(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID, to mailbox) (cache.UID, error)
	SetFlags(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID, add, remove []string) error

	// NewText makes an empty text in the spool, CopyText one that begins as a message, and
	// is an edit of it or scratch. Texts are what an earlier mount has left.
	NewText(box mailbox, name string, scratch bool) (draft, error)
	CopyText(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID, name string, scratch bool) (draft, error)
	Texts() []draft
}

// A draft is a text of the spool: see cache.Draft. It is compared by identity.
type draft interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Whole() bool
	Replaces() []replaced
	Size() int64
	Date() time.Time
	Flags() []string
	SetFlags([]string) error
	Place() (mailbox, string)
	Move(box mailbox, name string, scratch bool) error
	Scratch() bool
	Send(ctx context.Context, f fate) (cache.Sent, error)
	Sent() cache.Sent
	Resume()
	Open() error
	Close() error
	Discard() error
}

// A fate is what is to become of a text: see cache.Fate.
type fate struct {
	box      mailbox
	name     string
	date     time.Time
	flags    []string
	replaces []replaced // all of them, and no other
	edit     bool
}

// replaced is a message that a text takes the place of.
type replaced struct {
	box      mailbox
	validity cache.UIDValidity
	uid      cache.UID
}

var (
	_ writer              = cacheAccount{}
	_ draft               = cacheDraft{}
	_ cache.DraftObserver = observer{}
)

func (c cacheAccount) CreateMailbox(ctx context.Context, parent mailbox, name string) (mailbox, error) {
	m, err := c.a.CreateMailbox(ctx, parent.(*cache.Mailbox), name)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (c cacheAccount) RemoveMailbox(ctx context.Context, m mailbox) error {
	return c.a.RemoveMailbox(ctx, m.(*cache.Mailbox))
}

func (c cacheAccount) RenameMailbox(ctx context.Context, m, parent mailbox, name string) error {
	return c.a.RenameMailbox(ctx, m.(*cache.Mailbox), parent.(*cache.Mailbox), name)
}

func (c cacheAccount) Delete(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID) error {
	return m.(*cache.Mailbox).Delete(ctx, v, uid)
}

func (c cacheAccount) MoveTo(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID, to mailbox) (cache.UID, error) {
	return m.(*cache.Mailbox).MoveTo(ctx, v, uid, to.(*cache.Mailbox))
}

func (c cacheAccount) CopyTo(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID, to mailbox) (cache.UID, error) {
	return m.(*cache.Mailbox).CopyTo(ctx, v, uid, to.(*cache.Mailbox))
}

func (c cacheAccount) SetFlags(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID, add, remove []string) error {
	return m.(*cache.Mailbox).SetFlags(ctx, v, uid, add, remove)
}

func (c cacheAccount) NewText(box mailbox, name string, scratch bool) (draft, error) {
	create := c.a.NewDraft
	if scratch {
		create = c.a.NewScratch
	}
	d, err := create(box.(*cache.Mailbox), name)
	if err != nil {
		return nil, err
	}
	return cacheDraft{d}, nil
}

func (c cacheAccount) CopyText(ctx context.Context, m mailbox, v cache.UIDValidity, uid cache.UID, name string, scratch bool) (draft, error) {
	var d *cache.Draft
	var err error
	if scratch {
		d, err = c.a.AsideDraft(ctx, m.(*cache.Mailbox), v, uid, name)
	} else {
		d, err = c.a.EditDraft(ctx, m.(*cache.Mailbox), v, uid, name, math.MaxInt64)
	}
	if err != nil {
		return nil, err
	}
	return cacheDraft{d}, nil
}

func (c cacheAccount) Texts() []draft {
	var all []draft
	for _, d := range c.a.Drafts() {
		all = append(all, cacheDraft{d})
	}
	return all
}

// cacheDraft changes the types of what cache.Draft takes and gives.
type cacheDraft struct{ *cache.Draft }

func (d cacheDraft) Place() (mailbox, string) {
	m, name := d.Draft.Place()
	if m == nil {
		return nil, name
	}
	return m, name
}

func (d cacheDraft) Replaces() []replaced {
	var all []replaced
	for _, r := range d.Draft.Replaces() {
		all = append(all, replaced{r.Box, r.Validity, r.UID})
	}
	return all
}

func (d cacheDraft) Move(box mailbox, name string, scratch bool) error {
	return d.Draft.Move(box.(*cache.Mailbox), name, scratch)
}

func (d cacheDraft) Send(ctx context.Context, f fate) (cache.Sent, error) {
	to := cache.Fate{Box: f.box.(*cache.Mailbox), Name: f.name, Date: f.date, Flags: f.flags, Edit: f.edit, Replaces: []cache.MessageRef{}}
	for _, r := range f.replaces {
		to.Replaces = append(to.Replaces, cache.MessageRef{Box: r.box.(*cache.Mailbox), Validity: r.validity, UID: r.uid})
	}
	return d.Draft.Send(ctx, to)
}

func (o observer) DraftArrived(d *cache.Draft, _ *cache.Mailbox, _ cache.Sent) {
	o.s.textArrived(cacheDraft{d})
}

func (o observer) DraftFailed(d *cache.Draft, err error) { o.s.textFailed(cacheDraft{d}, err) }
