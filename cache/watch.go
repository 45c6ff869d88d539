package cache

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"imapfs/imapconn"
)

const (
	// watchSettle is how long mailboxes must have been those looked into last before
	// the watch of another one is given up for them.
	watchSettle = time.Second
	// watchPause is how long a watch whose connection was wanted by others waits
	// before it looks for another; one that is not of the mailbox looked into last
	// waits besidePause, and then twice as long each time.
	watchPause  = time.Second
	besidePause = 10 * time.Second
	// maxWatchPause is how long it waits at most when it fails again and again.
	maxWatchPause = 5 * time.Minute
	// watchReview is how often is looked whether a mailbox is still in use.
	watchReview = time.Minute
)

// recents are the mailboxes that were looked into last, the last one first, as
// many as there may be connections.
type recents struct {
	mu    sync.Mutex // innermost
	boxes []*Mailbox
}

func (r *recents) add(m *Mailbox, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.boxes, m)
	if i < 0 {
		i = len(r.boxes)
		r.boxes = append(r.boxes, m)
	}
	copy(r.boxes[1:i+1], r.boxes[:i])
	r.boxes[0] = m
	if len(r.boxes) > most {
		r.boxes[most] = nil
		r.boxes = r.boxes[:most]
	}
}

// all gives those that are still there.
func (r *recents) all() []*Mailbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.boxes = slices.DeleteFunc(r.boxes, func(m *Mailbox) bool { return m.gone.Load() })
	return slices.Clone(r.boxes)
}

// watching is the watch of one mailbox.
type watching struct {
	a      *Account
	m      *Mailbox
	ctx    context.Context
	cancel context.CancelFunc
	nudge  chan struct{} // holds one: something is otherwise
}

// watch keeps an IDLE (RFC 2177) on the mailboxes that were looked into last, if
// the server has it, so that news come as they happen: on as many as leave one
// connection to readers. They yield their connections to whoever needs one, the one
// not looked into for longest first. What they hear reaches the index by hearing;
// IDLE is a hint and no more: poll asks all the same.
func (a *Account) watch() {
	all := make(map[*Mailbox]*watching)
	defer func() {
		for _, w := range all {
			w.cancel()
		}
	}()
	for a.ctx.Err() == nil {
		want := a.toWatch()
		if len(all) > 0 && a.outdated(all, want) {
			a.nap(nil, watchSettle)
			want = a.toWatch()
		}
		for m, w := range all {
			if !slices.Contains(want, m) {
				w.cancel()
				delete(all, m)
			}
			wake(w.nudge)
		}
		for _, m := range want {
			if all[m] == nil {
				all[m] = a.startWatching(m)
			}
		}
		review := time.Duration(0)
		if len(all) > 1 {
			review = watchReview
		}
		a.nap(a.rewatch, review)
	}
}

// toWatch gives the mailboxes to be watched. The one looked into last is, however
// long ago that was; others while they are in use.
func (a *Account) toWatch() []*Mailbox {
	if a.idleMute.is() {
		return nil
	}
	var want []*Mailbox
	most := a.pool.idleLimit()
	for i, m := range a.recents.all() {
		switch {
		case len(want) == most || m.Snapshot() == nil:
		case i == 0 || m.lookedInto():
			want = append(want, m)
		}
	}
	return want
}

// outdated reports whether a watch is to be given up.
func (a *Account) outdated(all map[*Mailbox]*watching, want []*Mailbox) bool {
	for m := range all {
		if !slices.Contains(want, m) && !m.gone.Load() {
			return true
		}
	}
	return false
}

// idleLimit is how many connections may idle: one is left to readers, if there are
// two.
func (p *pool) idleLimit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(1, p.limit-p.apart-1)
}

func (a *Account) startWatching(m *Mailbox) *watching {
	w := &watching{a: a, m: m, nudge: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancel(a.ctx)
	if !a.spawn(w.run) {
		w.cancel()
	}
	return w
}

// first reports whether this is the mailbox that was looked into last.
func (w *watching) first() bool { return w.a.last.Load() == w.m }

// run idles until the watch is given up.
func (w *watching) run() {
	defer w.cancel()
	a := w.a
	pause, beside := watchPause, besidePause
	for w.ctx.Err() == nil {
		begun := time.Now()
		idled, yielded, err := w.idle()
		if idled {
			pause = watchPause
		}
		switch {
		case w.ctx.Err() != nil:
		case errors.Is(err, imapconn.ErrNotOffered):
			if a.idleMute.set() {
				a.log.Info("the server has no IDLE; looking for news by the clock", "every", a.cfg.Poll)
				wake(a.rewatch)
			}
			return
		case err != nil:
			a.log.Debug("watch", "mailbox", w.m.full(), "err", err)
			a.unwatched.Store(true)
			// The end of a connection nudges too: a server that ends each would be
			// asked without end.
			w.nap(nil, watchPause)
			if pause > watchPause {
				w.nap(w.nudge, pause-watchPause)
			}
			a.unwatched.Store(false)
			pause = min(2*pause, maxWatchPause)
		case yielded && w.first():
			w.nap(nil, watchPause)
		case yielded:
			if time.Since(begun) > watchReview {
				beside = besidePause
			}
			w.nap(nil, beside)
			beside = min(2*beside, maxWatchPause)
		}
	}
}

// nap waits until woken, for d at most.
func (w *watching) nap(woken <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-woken:
	case <-t.C:
	case <-w.ctx.Done():
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

// idle watches the mailbox until the watch is given up, or the connection is wanted
// or lost. idled says that it came so far as to idle, yielded that others need the
// connection, or need all there are.
func (w *watching) idle() (idled, yielded bool, err error) {
	a, m := w.a, w.m
	l := a.followed(m)
	if l == nil {
		// The index follows no connection that could be had: look anew. For a mailbox
		// that is not the last only where that takes nothing from anybody, and is
		// needed.
		if !w.first() && (a.notices.stand() || !a.pool.hasRoom()) {
			return false, true, nil
		}
		if err := m.ask(w.ctx, "watch"); err != nil {
			return false, false, err
		}
		if l = a.followed(m); l == nil {
			return false, true, nil // others are waiting
		}
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	a.pool.idles(l, cancel)
	l.hear.idled.Store(time.Now().UnixNano())
	if w.first() {
		a.spare(m)
	}
	done := make(chan error, 1)
	if !a.spawn(func() { done <- l.client.Idle(ctx) }) {
		done <- errClosed
	}
	yielded, err = w.idling(l.hear, cancel, done)
	l.hear.idled.Store(0)
	a.pool.idles(l, nil)
	l.release()
	return true, yielded, err
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
func (w *watching) idling(h *hearing, cancel func(), done <-chan error) (yielded bool, err error) {
	for {
		select {
		case err := <-done:
			return err == nil && w.ctx.Err() == nil, err
		case <-w.nudge:
			if w.m.gone.Load() || w.m.follow.Load() != h {
				cancel()
				return false, <-done
			}
			if w.first() {
				w.a.spare(w.m)
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

// hasRoom reports whether a connection can be had without taking it from anybody,
// and one more is left to readers.
func (p *pool) hasRoom() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.limit - p.apart - p.dialing - len(p.conns)
	for _, c := range p.conns {
		if c.users == 0 && !c.wanted && c.alive() {
			free++
		}
	}
	return free > 1 && len(p.queue) == 0
}

// spare sees to it that there is a connection with the mailbox that was looked into
// last selected that does not idle, so that the next reader need not wait for the
// end of an IDLE. It takes nothing from anybody.
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
		if c.idler == nil && c.has(m) && !c.writes() {
			return false
		}
	}
	return p.limit-p.apart > 1
}
