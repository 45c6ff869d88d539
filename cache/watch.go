package cache

import (
	"context"
	"errors"
	"time"

	"imapfs/imapconn"
)

const (
	// watchSettle is how long another mailbox must have been the one looked into
	// last before the watch goes there.
	watchSettle = time.Second
	// watchPause is how long a watch whose connection was wanted by others waits
	// before it looks for another.
	watchPause = time.Second
	// maxWatchPause is how long it waits at most when it fails again and again.
	maxWatchPause = 5 * time.Minute
)

// watch keeps an IDLE (RFC 2177) on the mailbox that was looked into last, if the
// server has it, so that news come as they happen. It yields its connection to
// whoever needs one. What it hears reaches the index by hearing; IDLE is a hint
// and no more: poll asks all the same.
func (a *Account) watch() {
	pause := watchPause
	for a.ctx.Err() == nil {
		m := a.last.Load()
		if m == nil || m.gone.Load() || m.Snapshot() == nil {
			a.nap(a.rewatch, 0)
			continue
		}
		idled, err := a.idle(m)
		switch {
		case errors.Is(err, imapconn.ErrNotOffered):
			a.log.Info("the server has no IDLE; looking for news by the clock", "every", a.cfg.Poll)
			return
		case idled:
			pause = watchPause
		}
		if err != nil {
			a.log.Debug("watch", "mailbox", m.full(), "err", err)
			a.unwatched.Store(true)
			// The end of a connection wakes too: a server that ends each would be
			// asked without end.
			a.nap(nil, watchPause)
			if pause > watchPause {
				a.nap(a.rewatch, pause-watchPause)
			}
			a.unwatched.Store(false)
			pause = min(2*pause, maxWatchPause)
		}
	}
}

// nap waits until woken, for d at most; 0 is for ever.
func (a *Account) nap(woken <-chan struct{}, d time.Duration) {
	var expired <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-woken:
	case <-expired:
	case <-a.ctx.Done():
	}
}

// idle watches one mailbox until another one should be, or the connection is
// wanted or lost. idled says that it came so far as to idle.
func (a *Account) idle(m *Mailbox) (idled bool, err error) {
	l := a.followed(m)
	if l == nil {
		// The index follows no connection that could be had: look anew.
		if err := m.join(a.ctx).await(a.ctx, "watch", m, 0); err != nil {
			return false, err
		}
		if l = a.followed(m); l == nil {
			a.nap(nil, watchPause) // others are waiting
			return false, nil
		}
	}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	a.pool.idles(l, cancel)
	a.spare(m)
	done := make(chan error, 1)
	if !a.spawn(func() { done <- l.client.Idle(ctx) }) {
		done <- errClosed
	}
	yielded, err := a.idling(m, l.hear, cancel, done)
	a.pool.idles(l, nil)
	l.release()
	if yielded {
		a.nap(nil, watchPause)
	}
	return true, err
}

// followed leases the connection that the index of a mailbox follows.
func (a *Account) followed(m *Mailbox) *lease {
	if h := m.follow.Load(); h != nil {
		return a.pool.hold(h)
	}
	return nil
}

// idling waits for the end of an IDLE, and ends it when the watch should be
// elsewhere. yielded: somebody needs the connection.
func (a *Account) idling(m *Mailbox, h *hearing, cancel func(), done <-chan error) (yielded bool, err error) {
	elsewhere := func() bool { return a.last.Load() != m || m.gone.Load() || m.follow.Load() != h }
	for {
		select {
		case err := <-done:
			return err == nil, err
		case <-a.rewatch:
			if elsewhere() {
				a.nap(nil, watchSettle)
			}
			if elsewhere() {
				cancel()
				return false, <-done
			}
		}
	}
}

// idles notes that a user of a connection only idles there, and how to end
// that; nil: no longer.
func (p *pool) idles(l *lease, stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.conn.idler = stop
	p.dispatch()
}

// spare sees to it that there is a connection with the watched mailbox selected
// that does not idle, so that the next reader need not wait for the end of an
// IDLE. It takes nothing from anybody and makes a second connection at most.
func (a *Account) spare(m *Mailbox) {
	if !a.pool.wantsSpare(m) {
		return
	}
	a.spawn(func() {
		j := a.newJob()
		defer j.finish(nil)
		l, err := a.pool.acquire(j.ctx, want{box: m, spare: true})
		if err != nil {
			a.log.Debug("no connection beside the watch", "err", err)
			return
		}
		l.release()
	})
}

// wantsSpare reports whether a spare connection is missing and could be had.
func (p *pool) wantsSpare(m *Mailbox) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if c.idler == nil && c.has(m) {
			return false
		}
	}
	return p.limit > 1
}
