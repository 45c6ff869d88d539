package cache

import (
	"errors"
	"slices"
	"strings"
)

// deletedMessages is the trash of who has none.
const deletedMessages = "Deleted Messages"

// isTrash reports whether what is deleted elsewhere comes here.
func (m *Mailbox) isTrash() bool { return m == m.account.findTrash() || has(m.Attrs(), `\Trash`) }

// findTrash finds the trash in the tree; nil: there is none.
func (a *Account) findTrash() *Mailbox {
	tree := a.Tree()
	var marked, named []*Mailbox
	for m := range tree.all {
		switch {
		case !m.Selectable():
		case has(m.Attrs(), `\Trash`):
			marked = append(marked, m)
		case m.Name() == deletedMessages && len(m.Path()) <= 2:
			// At the top, or below INBOX, where some servers have all mailboxes.
			if parent := tree.Parent(m); parent == tree.Root() || parent.Name() == inbox {
				named = append(named, m)
			}
		}
	}
	if len(marked) == 0 {
		marked = named
	}
	slices.SortFunc(marked, func(x, y *Mailbox) int { return strings.Compare(x.full(), y.full()) })
	if len(marked) == 0 {
		return nil
	}
	return marked[0]
}

// trash gives the trash, and makes one where there is none.
func (a *Account) trash(j *job) (*Mailbox, error) {
	if m := a.findTrash(); m != nil {
		return m, nil
	}
	tree := a.Tree()
	m, err := a.createMailbox(j, tree.Root(), deletedMessages)
	if in := tree.Child(tree.Root(), inbox); err != nil && KindOf(err) != Exists && in != nil && !lostConnection(err) {
		var below error
		if m, below = a.createMailbox(j, in, deletedMessages); below == nil {
			err = nil
		}
	}
	if KindOf(err) == Exists { // another delete was faster
		if now := a.findTrash(); now != nil {
			return now, nil
		}
		return nil, errors.New("the trash is not shown in this mount (use --on-delete expunge, or do not leave it out)")
	}
	return m, err
}

// toTrash moves a message to the trash.
func (m *Mailbox) toTrash(j *job, v UIDValidity, uid UID) error {
	to, err := m.account.trash(j)
	for j.again(err) {
		to, err = m.account.trash(j)
	}
	if err != nil {
		return err
	}
	_, err = m.moveTo(j, v, uid, to)
	return err
}
