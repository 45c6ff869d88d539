package cache

import (
	"context"
	"errors"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// RenameMailbox gives a mailbox, and all below it, another name (RFC 3501 §6.3.5): name,
// decoded, one level, below parent. It stays the same value, and what is known of it
// stays known.
//
// Exists: the name is taken. Invalid: as with CreateMailbox, or parent lies within m.
// NotOffered: INBOX, which RENAME would empty and not rename. NotExist, Access.
func (a *Account) RenameMailbox(ctx context.Context, m, parent *Mailbox, name string) error {
	return a.change(ctx, "rename", m, 0, func(j *job) error { return a.renameMailbox(j, m, parent, name) })
}

var errWithin = errors.New("a mailbox cannot lie below itself")

func (a *Account) renameMailbox(j *job, m, parent *Mailbox, name string) error {
	tree := a.Tree()
	was := m.listed.Load()
	switch {
	case m == tree.Root() || was.key == inbox:
		return errInbox
	case m.gone.Load():
		return errGone
	case tree.within(parent, m):
		return &Error{Op: "rename", Mailbox: m.full(), Kind: Invalid, Err: errWithin}
	}
	if there := tree.Child(parent, name); there == m {
		return nil
	} else if there != nil {
		return &Error{Op: "rename", Mailbox: m.full(), Kind: Exists, Err: errors.New("there is a mailbox of that name")}
	}
	wire, d, err := a.childName(j, parent, name)
	if err != nil {
		return err
	}
	if d != 0 && was.delimiter != 0 && d != was.delimiter {
		return &Error{Op: "rename", Mailbox: m.full(), Kind: NotOffered, Err: errors.New("the mailbox is in another namespace (copy its messages)")}
	}
	// Dovecot ends every session that has one of these open.
	var boxes []*Mailbox
	for k := range tree.all {
		if tree.within(k, m) {
			boxes = append(boxes, k)
		}
	}
	lift, err := a.pool.bar(j.ctx, boxes)
	if err != nil {
		return err
	}
	defer lift()
	defer a.trees.hold()()
	if err := a.renameOnServer(j, was.wire, wire); err != nil {
		var refused *imapconn.StatusError
		if errors.As(err, &refused) && KindOf(err) == IO {
			// NO without a code is no verdict.
			there, lookErr := a.exist(j, wire)
			if _, taken := there[wire]; lookErr == nil && taken {
				err = &Error{Op: "rename", Mailbox: m.full(), Kind: Exists, Err: err}
			}
		}
		a.trees.distrust()
		return err
	}
	if err := a.trees.renamed(m, wire); err != nil {
		a.log.Debug("renamed, and listed before that was known", "mailbox", m.full(), "err", err)
		a.trees.distrust()
	}
	if a.spool != nil {
		to := spool.Mailbox{Wire: wire, Path: append(parent.Path()[:len(parent.Path()):len(parent.Path())], name)}
		if err := a.spool.RenameMailbox(spool.Mailbox{Wire: was.wire, Path: was.path}, to, d); err != nil {
			a.log.Warn("what waits for a renamed mailbox keeps its old name until the next mount", "mailbox", m.full(), "err", err)
		}
	}
	a.subscribe(j, was.wire, wire)
	return nil
}
