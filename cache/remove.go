package cache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// RemoveMailbox removes a mailbox that is empty. DELETE would remove one that is not,
// with its mail, on every server: so it is renamed aside, where no delivery finds it,
// looked into, and deleted or renamed back. A crash is undone at the next Open.
//
// NotEmpty: it has messages, hidden ones among them, or mailboxes below it. NotOffered:
// INBOX. NotExist, Access.
func (a *Account) RemoveMailbox(ctx context.Context, m *Mailbox) error {
	return a.change(ctx, "remove", m, 0, func(j *job) error {
		err := a.removeMailbox(j, m)
		for j.again(err) {
			err = a.removeMailbox(j, m)
		}
		return err
	})
}

var (
	errChildren = errors.New("there are mailboxes below it (remove them first)")
	errMessages = errors.New("the mailbox has messages (if none are shown, others are marked \\Deleted and hidden: see imapfs expunge)")
	errInbox    = fmt.Errorf("%w: INBOX stays what it is", imapconn.ErrNotOffered)
)

func (a *Account) removeMailbox(j *job, m *Mailbox) error {
	tree := a.Tree()
	l := m.listed.Load()
	switch {
	case m == tree.Root() || l.key == inbox:
		return errInbox
	case m.gone.Load():
		return errGone
	case len(tree.Children(m)) > 0:
		return notEmpty(m, errChildren)
	}
	if kids, err := a.listBelow(j, l.wire, l.delimiter); err != nil {
		return err
	} else if kids {
		a.trees.distrust()
		return notEmpty(m, errChildren)
	}
	lift, err := a.pool.bar(j.ctx, []*Mailbox{m})
	if err != nil {
		return err
	}
	defer lift()
	defer a.trees.hold()()
	p := &parking{a: a, m: m, wire: l.wire, delimiter: l.delimiter, aside: asideName(l.wire, l.delimiter)}
	if m.Selectable() {
		err = p.remove(j)
	} else {
		err = p.delete(j, l.wire) // which holds nothing
	}
	if err != nil {
		return err
	}
	a.subscribe(j, l.wire, "")
	if a.spool != nil {
		if err := a.spool.Forget(l.wire); err != nil {
			a.log.Debug("cannot note that a mailbox is gone", "mailbox", m.full(), "err", err)
		}
	}
	a.trees.edit(nil, m)
	return nil
}

func notEmpty(m *Mailbox, err error) error {
	return &Error{Op: "remove", Mailbox: m.full(), Kind: NotEmpty, Err: err}
}

// asidePrefix begins the names of mailboxes that are being removed.
const asidePrefix = "imapfs-removing-"

// asideName is a name that nobody uses, beside another.
func asideName(wire string, d rune) string {
	var b [8]byte
	rand.Read(b[:])
	above := ""
	if i := strings.LastIndex(strings.TrimSuffix(wire, string(d)), string(d)); d != 0 && i >= 0 {
		above = wire[:i+len(string(d))]
	}
	return above + asidePrefix + hex.EncodeToString(b[:])
}

// listBelow asks whether there are mailboxes below a name.
func (a *Account) listBelow(j *job, wire string, d rune) (some bool, err error) {
	if d == 0 {
		return false, nil
	}
	prefix := strings.TrimSuffix(wire, string(d)) + string(d)
	err = a.with(j, func(l *lease) error {
		data, err := l.client.List(a.ctx, "", prefix+"*")
		for _, n := range data {
			// A name may have wildcards in it.
			some = some || strings.HasPrefix(n.Name, prefix) && n.Name != prefix
		}
		return err
	})
	return some, err
}

// parking is a mailbox that is renamed aside to be looked into.
type parking struct {
	a           *Account
	m           *Mailbox
	wire, aside string
	delimiter   rune
	note        string // in the journal
}

// remove renames the mailbox aside, and removes it if it is empty.
func (p *parking) remove(j *job) error {
	if s := p.a.spool; s != nil {
		var err error
		if p.note, err = s.BeginParking(spool.Parking{Old: p.wire, New: p.aside}); err != nil {
			return err
		}
	}
	if err := p.a.renameOnServer(j, p.wire, p.aside); inDoubt(err) {
		return p.settle(err)
	} else if err != nil {
		p.over()
		return err
	}
	err := p.look(j)
	if err == nil {
		if err = p.delete(j, p.aside); err == nil {
			p.over()
			return nil
		}
	}
	return p.back(j, err)
}

// look makes sure that the mailbox is empty under the name that nobody delivers to.
func (p *parking) look(j *job) error {
	if kids, err := p.a.listBelow(j, p.aside, p.delimiter); err != nil {
		return err
	} else if kids {
		return notEmpty(p.m, errChildren)
	}
	trial := &Mailbox{account: p.a}
	trial.say(&listed{wire: p.aside, key: p.aside, name: p.aside, selectable: true, delimiter: p.delimiter})
	n, err := trial.countNow(j)
	for j.again(err) {
		n, err = trial.countNow(j)
	}
	if leave := p.a.pool.leave(j.ctx, trial); err == nil {
		err = leave
	}
	if err == nil && n > 0 {
		err = notEmpty(p.m, errMessages)
	}
	return err
}

// countNow is how many messages a mailbox has that nobody else has selected.
func (m *Mailbox) countNow(j *job) (int, error) {
	l, err := m.account.pool.acquire(j.ctx, want{box: m, fresh: true})
	if err != nil {
		return 0, err
	}
	defer l.release()
	return l.hear.messages(), nil
}

// delete removes a name that has been found to hold nothing.
func (p *parking) delete(j *job, name string) error {
	send := func() error {
		return p.a.with(j, func(l *lease) error { return l.client.Delete(p.a.ctx, name) })
	}
	err := send()
	for j.again(err) {
		var there map[string]imapconn.ListData
		if there, err = p.a.exist(j, name); err == nil && len(there) == 0 {
			return nil // the answer was lost, not the command
		} else if err == nil {
			err = send()
		}
	}
	return err
}

// settle looks whether the mailbox was renamed aside, and gives it its name again.
func (p *parking) settle(cause error) error {
	j := p.a.newJob()
	defer j.finish(nil)
	there, err := p.a.exist(j, p.aside)
	if err != nil {
		return joint(cause, err) // the journal has it
	}
	if len(there) > 0 {
		return p.back(j, cause)
	}
	p.over()
	return cause
}

// back gives the mailbox its name again, after cause.
func (p *parking) back(j *job, cause error) error {
	if j.over() {
		// There is no time to give up in: the mailbox is to be where it was.
		j = p.a.newJob()
		defer j.finish(nil)
	}
	err := p.a.renameOnServer(j, p.aside, p.wire)
	if err != nil {
		p.a.log.Error("a mailbox that was to be removed has another name now (rename it back)", "mailbox", p.m.full(), "now", p.aside, "err", err)
		p.a.trees.distrust()
		return joint(cause, err)
	}
	p.over()
	p.m.news.Store(true)
	return cause
}

func (p *parking) over() {
	if p.note == "" {
		return
	}
	if err := p.a.spool.End(p.note); err != nil {
		p.a.log.Debug("cannot note that a removal is over", "mailbox", p.m.full(), "err", err)
	}
}

// renameOnServer renames, and looks which of the names there is where the answer is
// lost.
func (a *Account) renameOnServer(j *job, from, to string) error {
	send := func() error {
		return a.with(j, func(l *lease) error { return l.client.Rename(a.ctx, from, to) })
	}
	err := send()
	for j.again(err) {
		var there map[string]imapconn.ListData
		if there, err = a.exist(j, from, to); err != nil {
			continue
		}
		_, old := there[from]
		_, new := there[to]
		if new && !old {
			return nil
		}
		err = send()
	}
	return err
}

// unpark gives mailboxes their names again that a daemon which is gone has renamed to
// remove them.
func (a *Account) unpark(ctx context.Context) {
	if a.spool == nil || len(a.spool.Parkings()) == 0 {
		return
	}
	j := a.newJob()
	defer j.finish(nil)
	j.join(ctx, a.cfg.Timeout)
	for id, p := range a.spool.Parkings() {
		there, err := a.exist(j, p.Old, p.New)
		_, old := there[p.Old]
		_, new := there[p.New]
		switch {
		case err == nil && new && old:
			a.log.Warn("a mailbox that was to be removed is there under two names (look into both)", "mailbox", p.Old, "and", p.New)
		case err == nil && new:
			err = a.renameOnServer(j, p.New, p.Old)
			if err == nil {
				a.log.Info("a mailbox whose removal was cut off has its name again", "mailbox", p.Old)
			}
		}
		if err == nil {
			err = a.spool.End(id)
		}
		if err != nil {
			a.log.Warn("a mailbox that was to be removed may have another name now (rename it back)", "mailbox", p.Old, "now", p.New, "err", err)
		}
	}
}
