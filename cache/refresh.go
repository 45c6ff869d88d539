package cache

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"imapfs/imapconn"
)

// Refresh looks at everything anew. It asks for the tree, then examines and lists
// each mailbox that was looked into during the last ten minutes, the newest first;
// every other one is asked about by whoever enters it next, however fresh it is.
// What was put off after a failure (the next dial, the next login, one more
// connection) may be tried at once.
//
// It returns when that is done, or ctx ends; what was begun goes on then. Its error
// is the first one. A server that cannot be reached is not asked for the rest.
func (a *Account) Refresh(ctx context.Context) error {
	start := time.Now()
	a.pool.forgive()
	a.quota.forget()
	all := a.distrust()
	if err := a.trees.anew(ctx, start); err != nil {
		return err
	}
	return a.lookAll(ctx, all, start)
}

// distrust makes all that is known of mailboxes old, and gives those that were
// looked into lately, the newest first.
func (a *Account) distrust() []*Mailbox {
	type looked struct {
		m    *Mailbox
		when int64
	}
	var lately []looked
	for m := range a.Tree().all {
		m.news.Store(true)
		m.distrust()
		if m.lookedInto() && m.Selectable() && m.snap.Load() != nil {
			lately = append(lately, looked{m, m.touched.Load()})
		}
	}
	wake(a.rewatch) // whatever idles there is to idle where the index will follow
	slices.SortFunc(lately, func(x, y looked) int { return cmp.Compare(y.when, x.when) })
	boxes := make([]*Mailbox, len(lately))
	for i, l := range lately {
		boxes[i] = l.m
	}
	return boxes
}

// distrust has whoever looks next examine the mailbox anew, and list it whole: what is
// heard on a connection need not be the truth, nor what NOOP or QRESYNC say has changed.
func (m *Mailbox) distrust() {
	m.doubted.Store(true)
	if h := m.follow.Load(); h != nil && m.follow.CompareAndSwap(h, nil) {
		h.unfollow()
	}
}

// anew waits for a tree that was asked for after start. A LIST that is under way
// may be older: then there is one more.
func (t *trees) anew(ctx context.Context, start time.Time) error {
	for range 2 {
		j := t.refresh(ctx, time.Since(start))
		if j == nil {
			return nil
		}
		if err := j.await(ctx, "list", nil, 0); err != nil {
			return err
		}
	}
	return nil
}

// lookAll looks at the mailboxes, as many at a time as there may be connections.
func (a *Account) lookAll(ctx context.Context, boxes []*Mailbox, start time.Time) error {
	var (
		group sync.WaitGroup // joined below
		mu    sync.Mutex
		first error
	)
	next := func() *Mailbox {
		mu.Lock()
		defer mu.Unlock()
		if len(boxes) == 0 || ctx.Err() != nil {
			return nil
		}
		m := boxes[0]
		boxes = boxes[1:]
		return m
	}
	failed := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
		if unreachable(err) {
			boxes = nil
		}
	}
	for range a.cfg.Connections {
		group.Go(func() {
			for m := next(); m != nil; m = next() {
				if err := m.anew(ctx, start); err != nil && KindOf(err) != NotExist {
					failed(err)
				}
			}
		})
	}
	group.Wait()
	if first == nil && ctx.Err() != nil {
		return failure("refresh", nil, 0, context.Cause(ctx))
	}
	return first
}

// anew waits until the mailbox was looked at after start. Work that is under way
// may have begun before: then there is one more round.
func (m *Mailbox) anew(ctx context.Context, start time.Time) error {
	for range 2 {
		if m.gone.Load() {
			return nil
		}
		if since := m.checked.Load(); since != nil && since.After(start) {
			return nil
		}
		m.distrust()
		if err := m.ask(ctx, "refresh"); err != nil {
			return err
		}
	}
	return nil
}

// unreachable reports whether the server could not be asked at all: other mailboxes
// would fare no better.
func unreachable(err error) bool {
	return lostConnection(err) || KindOf(err) == Timeout || errors.As(err, new(*imapconn.AuthError)) || errors.As(err, new(downError))
}

// forgive lets be tried at once what was put off.
func (p *pool) forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notBefore, p.denied, p.refusals = time.Time{}, nil, 0
	p.backoff.Reset()
	p.limit, p.saidLimit = p.a.cfg.Connections, false
	p.dispatch()
}

// forget has the quota asked for anew.
func (q *quota) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked, q.none = time.Time{}, false
}
