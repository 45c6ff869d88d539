package cache

import (
	"context"
	"sync"
)

// crier tells the Observer what was published, in order, from a goroutine of
// its own. What has not been told yet of one mailbox is told at once.
type crier struct {
	ctx      context.Context
	wake     chan struct{} // holds one
	observer Observer      // guarded by mu

	mu     sync.Mutex // innermost
	queue  []news
	drafts []func(DraftObserver) // told behind the queue
}

// news is one change: of the tree where mailbox is nil.
type news struct {
	mailbox          *Mailbox
	old, new         *Snapshot
	oldTree, newTree *Tree
}

func newCrier(ctx context.Context) *crier {
	return &crier{ctx: ctx, wake: make(chan struct{}, 1)}
}

func (c *crier) observe(o Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observer = o
}

// cry queues news. It is called by whoever publishes, in the order in which
// that is done.
func (c *crier) cry(n news) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.observer == nil {
		return
	}
	for i := range c.queue {
		if q := &c.queue[i]; q.mailbox == n.mailbox {
			q.new, q.newTree = n.new, n.newTree
			return
		}
	}
	c.queue = append(c.queue, n)
	wake(c.wake)
}

// cryDraft queues news of a draft.
func (c *crier) cryDraft(f func(DraftObserver)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.observer.(DraftObserver); ok {
		c.drafts = append(c.drafts, f)
		wake(c.wake)
	}
}

// run tells until the account is closed.
func (c *crier) run() {
	for {
		select {
		case <-c.wake:
		case <-c.ctx.Done():
			return
		}
		c.mu.Lock()
		queue, drafts, o := c.queue, c.drafts, c.observer
		c.queue, c.drafts = nil, nil
		c.mu.Unlock()
		for _, n := range queue {
			if n.mailbox == nil {
				o.TreeChanged(n.oldTree, n.newTree)
			} else {
				o.MailboxChanged(n.mailbox, n.old, n.new)
			}
		}
		for _, f := range drafts {
			f(o.(DraftObserver))
		}
	}
}
