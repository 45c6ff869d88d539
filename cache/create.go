package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"imapfs/imapconn"
	"imapfs/imapconn/imapwire"
)

// CreateMailbox makes a mailbox below parent, which is the tree's root or any other
// (RFC 3501 §6.3.3), and subscribes to it. name is decoded, one level. The tree has it
// when CreateMailbox returns nil.
//
// Exists: the name is taken. Invalid: it cannot be a level's name: empty, with a control
// character or the server's delimiter in it. NotOffered: parent takes none below it, or
// CANNOT. NotExist: parent is gone. Access, Quota.
func (a *Account) CreateMailbox(ctx context.Context, parent *Mailbox, name string) (*Mailbox, error) {
	var m *Mailbox
	err := a.change(ctx, "create", parent, 0, func(j *job) (err error) {
		m, err = a.createMailbox(j, parent, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (a *Account) createMailbox(j *job, parent *Mailbox, name string) (*Mailbox, error) {
	wire, d, err := a.childName(j, parent, name)
	if err != nil {
		return nil, err
	}
	defer a.trees.hold()()
	err = a.create(j, wire)
	for j.again(err) {
		var there map[string]imapconn.ListData
		if there, err = a.exist(j, wire); err == nil && len(there) > 0 {
			break // the answer was lost, not the command
		} else if err == nil {
			err = a.create(j, wire)
		}
	}
	var refused *imapconn.StatusError
	if errors.As(err, &refused) && KindOf(err) == IO {
		// NO without a code is no verdict.
		if there, lookErr := a.exist(j, wire); lookErr == nil && len(there) > 0 {
			err = &Error{Op: "create", Mailbox: join(parent, name), Kind: Exists, Err: err}
		}
	}
	if err != nil {
		if kind := KindOf(err); kind == Exists || kind == NotExist {
			a.trees.distrust()
		}
		return nil, err
	}
	data := a.describeNew(j, wire, d)
	a.trees.edit(&data, nil)
	tree := a.Tree()
	for _, m := range tree.Children(parent) {
		if m.listed.Load().key == keyOf(data) {
			return m, nil
		}
	}
	return nil, errGone
}

// keyOf is the identity of a mailbox of LIST.
func keyOf(l imapconn.ListData) string {
	all := readName(l)
	return all[len(all)-1].key
}

// join is the full name of a mailbox below another.
func join(parent *Mailbox, name string) string {
	return strings.Join(append(parent.Path()[:len(parent.Path()):len(parent.Path())], name), "/")
}

var errName = errors.New("the server has no such names (choose another)")

// childName is the name on the wire of a mailbox below another, and the delimiter in it.
func (a *Account) childName(j *job, parent *Mailbox, name string) (wire string, d rune, err error) {
	invalid := &Error{Op: "name", Mailbox: join(parent, name), Kind: Invalid, Err: errName}
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", 0, invalid
	}
	tree := a.Tree()
	top := parent == tree.Root()
	switch {
	case parent.gone.Load():
		return "", 0, errGone
	case top && strings.EqualFold(name, inbox):
		return "", 0, &Error{Op: "name", Mailbox: name, Kind: Exists, Err: errors.New("INBOX is there in any spelling")}
	case has(parent.Attrs(), `\Noinferiors`):
		return "", 0, fmt.Errorf("%w: the mailbox takes none below it", imapconn.ErrNotOffered)
	case a.trees.exclude.excludes(join(parent, name)):
		return "", 0, fmt.Errorf("%w: the name is left out of this mount (see --exclude)", imapconn.ErrNotOffered)
	}
	if l := parent.listed.Load(); !top {
		d = l.delimiter
	} else if kids := tree.Children(parent); len(kids) > 0 {
		d = kids[0].listed.Load().delimiter
	}
	if !top && d == 0 {
		return "", 0, fmt.Errorf("%w: the server has no mailboxes below others", imapconn.ErrNotOffered)
	}
	wire = imapwire.EncodeUTF7(name)
	if rev1, err := a.isRev1(j); err != nil {
		return "", 0, err
	} else if !rev1 {
		// RFC 1730 has no encoding, and names of 7 bits.
		if wire = name; strings.ContainsFunc(name, func(c rune) bool { return c > 0x7e }) {
			return "", 0, invalid
		}
	}
	if d != 0 && strings.ContainsRune(name, d) || d != 0 && strings.ContainsRune(wire, d) || decodeName(wire) != name {
		return "", 0, invalid
	}
	if !top {
		wire = strings.TrimSuffix(parent.WireName(), string(d)) + string(d) + wire
	}
	return wire, d, nil
}

// isRev1 reports whether the server has more than RFC 1730.
func (a *Account) isRev1(j *job) (rev1 bool, err error) {
	err = a.with(j, func(l *lease) error {
		caps := l.client.Caps()
		rev1 = caps.Rev1() || !caps.Has("IMAP4")
		return nil
	})
	return rev1, err
}

// with does something on any connection.
func (a *Account) with(j *job, f func(*lease) error) error {
	l, err := a.pool.acquire(j.ctx, want{})
	if err != nil {
		return err
	}
	defer l.release()
	return f(l)
}

func (a *Account) create(j *job, wire string) error {
	return a.with(j, func(l *lease) error {
		_, err := l.client.Create(a.ctx, wire)
		return err
	})
}

// exist asks which of some names the server lists, as it lists them.
func (a *Account) exist(j *job, wires ...string) (there map[string]imapconn.ListData, err error) {
	there = make(map[string]imapconn.ListData)
	err = a.with(j, func(l *lease) error {
		for _, wire := range wires {
			data, err := l.client.List(a.ctx, "", wire)
			if err != nil {
				return err
			}
			for _, d := range data {
				// A name may have wildcards in it. One that does not exist may be named
				// for those below it (RFC 5258 §3).
				if d.Name == wire && !has(d.Attrs, `\NonExistent`) {
					there[wire] = d
				}
			}
		}
		return nil
	})
	return there, err
}

// describeNew subscribes to a new mailbox and asks how it is listed, in one flight.
// Where that fails it is a mailbox all the same.
func (a *Account) describeNew(j *job, wire string, d rune) imapconn.ListData {
	var group sync.WaitGroup
	group.Go(func() { a.subscribe(j, "", wire) })
	there, err := a.exist(j, wire)
	group.Wait()
	if data, ok := there[wire]; ok {
		return data
	}
	a.log.Debug("a new mailbox is not listed", "mailbox", wire, "err", err)
	return imapconn.ListData{Name: wire, Delimiter: d}
}

// subscribe takes one name off the list of subscriptions and puts another on it, which
// other clients go by; empty: none. That nothing here depends on.
func (a *Account) subscribe(j *job, off, on string) {
	err := a.with(j, func(l *lease) (err error) {
		if off != "" {
			err = l.client.Unsubscribe(a.ctx, off)
		}
		if on != "" {
			err = joint(err, l.client.Subscribe(a.ctx, on))
		}
		return err
	})
	if err != nil {
		a.log.Debug("subscriptions", "off", off, "on", on, "err", err)
	}
}

// edit publishes a tree with one mailbox more or one less, after a change of ours. A
// listing that was asked for before says nothing of it.
func (t *trees) edit(add *imapconn.ListData, remove *Mailbox) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own++
	t.sum = 0
	var data []imapconn.ListData
	for m := range t.a.tree.Load().all {
		if l := m.listed.Load(); !l.made && m != remove && (add == nil || l.wire != add.Name) {
			data = append(data, imapconn.ListData{Name: l.wire, Delimiter: l.delimiter, Attrs: l.attrs})
		}
	}
	if add != nil {
		data = append(data, *add)
	}
	names, err := arrange(data, t.exclude, t.root)
	if err != nil {
		t.asked = t.asked.Add(-treeOldest) // whoever looks next asks
		return
	}
	t.adopt(names, t.asked, nil)
}
