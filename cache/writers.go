package cache

import (
	"context"
	"errors"
	"time"

	"imapfs/imapconn"
)

// Changes go over connections that have the mailbox selected by SELECT, few of those
// there are, and none that readers use: whoever reads does not wait for a change. A
// mailbox stays selected there for the next change.

// writeKept is how long after a change a connection is left to the next one in the same
// mailbox, if there is another for those who wait.
const writeKept = 2 * time.Second

// writers counts the connections on which somebody changes something. p.mu is held.
func (p *pool) writers() int {
	n := 0
	for _, c := range p.conns {
		if c.writes() && c.users > 0 {
			n++
		}
	}
	return n
}

// maxWriters is how many there may be: one is left to readers wherever there are two.
// p.mu is held.
func (p *pool) maxWriters() int {
	if p.limit-p.apart > 3 {
		return 2
	}
	return 1
}

// canGrow reports whether one more connection can be had soon. p.mu is held.
func (p *pool) canGrow() bool {
	now := time.Now()
	if p.dialing > 0 {
		return now.Before(p.dialStart.Add(dialPatience))
	}
	return len(p.conns)+p.apart < p.limit && !now.Before(p.notBefore)
}

// serveLeaving gives a waiter a connection that has a mailbox selected which is to be
// left, and takes the selection from it; none where no connection has. p.mu is held.
func (p *pool) serveLeaving(w *waiter) bool {
	for _, c := range p.conns {
		switch {
		case !c.has(w.leave) || !c.alive():
			continue
		case c.users > 0:
			c.wanted = true
			if c.idler != nil {
				c.idler()
			}
			return false
		}
		c.users++
		c.sel.hear.end()
		c.sel = nil
		w.conn = c
		break
	}
	close(w.ready)
	return true
}

// bar has nobody select some mailboxes until the function is called that it returns,
// and leaves them wherever they are selected. With an error that was not possible in
// time, or they are left all the same.
func (p *pool) bar(ctx context.Context, boxes []*Mailbox) (lift func(), err error) {
	p.mu.Lock()
	for _, m := range boxes {
		p.barred[m]++
	}
	p.mu.Unlock()
	lift = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, m := range boxes {
			if p.barred[m]--; p.barred[m] == 0 {
				delete(p.barred, m)
			}
		}
		p.dispatch()
	}
	for _, m := range boxes {
		if err := p.leave(ctx, m); err != nil {
			lift()
			return nil, err
		}
	}
	return lift, nil
}

// leave has no connection have m selected.
func (p *pool) leave(ctx context.Context, m *Mailbox) error {
	for {
		wt := &waiter{want: want{leave: m}, ready: make(chan struct{})}
		if err := p.await(ctx, wt); err != nil {
			return err
		}
		c := wt.conn
		if c == nil {
			return nil
		}
		err := c.client.Unselect(p.a.ctx)
		if err != nil && !lostConnection(err) {
			// Without UNSELECT, or after a refusal: a session that is over has nothing selected.
			p.mu.Lock()
			p.drop(c)
			p.mu.Unlock()
			if !errors.Is(err, imapconn.ErrNotOffered) {
				p.a.log.Debug("unselect", "mailbox", m.full(), "err", err)
			}
			c.client.Logout(p.a.ctx)
		}
		p.release(c)
	}
}
