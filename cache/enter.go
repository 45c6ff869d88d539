package cache

import (
	"context"
	"errors"
	"time"

	"imapfs/imapconn"
)

// entered waits until the mailbox is selected, or until that hangs on the sample alone.
func (p *pool) entered(ctx context.Context, wt *waiter) (*lease, error) {
	l := &lease{pool: p, conn: wt.conn, client: wt.conn.client, bulk: wt.bulk}
	sel := wt.sel
	if sel == nil {
		return l, nil
	}
	if wt.early && sel.awaitSampling(ctx) {
		l.hear, l.since, l.epoch, l.unproven = sel.hear, sel.since, sel.supposed, sel
		return l, nil
	}
	select {
	case <-sel.entered:
	case <-ctx.Done():
		l.release()
		return nil, context.Cause(ctx)
	}
	if sel.err != nil {
		l.release()
		return nil, sel.err
	}
	l.hear, l.since, l.epoch = sel.hear, sel.since, sel.epoch
	return l, nil
}

// enter selects a mailbox on a connection whose only user is the caller.
func (p *pool) enter(c *conn, sel *selection) {
	epoch, err := sel.box.examine(p.a.ctx, c.client, sel.hear, sel.suppose)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		sel.hear.end()
		if c.sel == sel {
			c.sel = nil
		}
		if p.astray(c, sel.box, err) {
			p.a.log.Info("a session that refuses a mailbox is given up", "mailbox", sel.box.full(), "err", err)
			p.drop(c)
			p.a.spawn(func() { c.client.Logout(p.a.ctx) })
			err = &astrayError{err}
		}
	}
	sel.epoch, sel.err = epoch, err
	c.selections++
	close(sel.entered)
}

// enterBeside is enter beside the caller, as one more user: the caller may be gone before
// the sample is judged, and nobody may select another mailbox until then.
func (p *pool) enterBeside(c *conn, sel *selection) {
	p.mu.Lock()
	c.users++
	p.mu.Unlock()
	enter := func() {
		p.enter(c, sel)
		p.release(c)
	}
	if !p.a.spawn(enter) {
		enter()
	}
}

// astrayEvery is how often a session may be given up for one mailbox.
const astrayEvery = time.Minute

// astray reports whether it may be the session's fault that a mailbox is refused: this one
// has had others selected. Dovecot's say "Mailbox was deleted under us" for ever where it
// was made again, and for a moment where another one has just got the name. p.mu is held.
func (p *pool) astray(c *conn, m *Mailbox, err error) bool {
	var status *imapconn.StatusError
	if !errors.As(err, &status) || KindOf(err) != IO || c.selections == 0 {
		return false
	}
	now := time.Now().UnixNano()
	return m.strayed.Swap(now) < now-int64(astrayEvery)
}

// astrayError is what a session answers that was given up, or what is doubted (Mailbox.refused).
type astrayError struct{ err error }

func (e *astrayError) Error() string { return e.err.Error() }
func (e *astrayError) Unwrap() error { return e.err }
