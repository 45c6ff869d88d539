package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imapfs/imapconn"
)

const (
	// notifyConnections is with how many connections, at least, one of them is kept
	// for NOTIFY: two are needed to ask about a mailbox beside the one that has it
	// selected.
	notifyConnections = 3
	// notifyPause is how long is waited after NOTIFY has ended before it is asked for
	// again; it doubles up to maxWatchPause while it ends again and again.
	notifyPause = time.Second
	// notifyPoll is how much less often mailboxes are asked about that NOTIFY tells of.
	notifyPoll = 4
	// relistRate bounds what listing the tree because of NOTIFY may take, in octets a
	// second: with some hundred mailboxes that is once a second.
	relistRate = 32 << 10

	// maxNotices bounds the mailboxes that were told of and not looked at yet, and
	// maxNoticeOctets their names; when there are more, all mailboxes are looked at.
	maxNotices      = 10_000
	maxNoticeOctets = 1 << 20
)

// notices is what the server tells by NOTIFY (RFC 5465), over one connection that
// selects nothing and is lent to nobody. Each notice is a hint: a mailbox that
// somebody looked into lately is looked at, any other is by whoever looks next.
type notices struct {
	a    *Account
	mute mute

	standing atomic.Bool // the server has accepted, and has not ended it
	came     chan struct{}
	doubt    chan struct{} // has the connection asked for a sign of life; holds one
	relists  atomic.Bool   // somebody lists the tree
	renamed  atomic.Int64  // when a name was told of last, Unix nanoseconds
	relisted time.Time     // when a listing of the tree was begun; of whoever lists

	mu     sync.Mutex                     // taken in callbacks; innermost
	stop   context.CancelFunc             // ends the connection; nil: there is none
	told   map[string]imapconn.StatusData // by wire name
	octets int
	names  bool // names have come, gone or changed
	all    bool // too much was told
	over   bool // the server tells nothing more
}

var _ imapconn.Watcher = (*notices)(nil)

func newNotices(a *Account) *notices {
	return &notices{a: a, came: make(chan struct{}, 1), doubt: make(chan struct{}, 1)}
}

// stand reports whether the server tells of all the user's own mailboxes.
func (n *notices) stand() bool { return n.standing.Load() && !n.mute.is() }

// note records what f says, and has it looked at.
func (n *notices) note(f func()) {
	n.mu.Lock()
	f()
	n.mu.Unlock()
	wake(n.came)
}

// MailboxStatus implements imapconn.Watcher.
func (n *notices) MailboxStatus(s imapconn.StatusData) {
	n.note(func() {
		name := noticeName(s.Mailbox)
		if _, known := n.told[name]; !known {
			n.octets += len(name)
		}
		if n.all || len(n.told) >= maxNotices || n.octets > maxNoticeOctets {
			n.all, n.told, n.octets = true, nil, 0
			return
		}
		if n.told == nil {
			n.told = make(map[string]imapconn.StatusData)
		}
		n.told[name] = merged(n.told[name], s)
	})
}

// MailboxListed implements imapconn.Watcher.
func (n *notices) MailboxListed(imapconn.ListData) {
	n.renamed.Store(time.Now().UnixNano())
	n.note(func() { n.names = true })
}

// Overflow implements imapconn.Watcher.
func (n *notices) Overflow() { n.note(func() { n.over = true }) }

// noticeName is a wire name as a key: INBOX in capitals.
func noticeName(name string) string {
	if strings.EqualFold(name, inbox) {
		return inbox
	}
	return name
}

// merged is what two STATUS of a mailbox say together; the later one counts.
func merged(a, b imapconn.StatusData) imapconn.StatusData {
	if b.HasMessages {
		a.Messages, a.HasMessages = b.Messages, true
	}
	if b.HasUIDNext {
		a.UIDNext, a.HasUIDNext = b.UIDNext, true
	}
	if b.HasUIDValidity {
		a.UIDValidity, a.HasUIDValidity = b.UIDValidity, true
	}
	if b.HasUnseen {
		a.Unseen, a.HasUnseen = b.Unseen, true
	}
	if b.HasHighestModSeq {
		a.HighestModSeq, a.HasHighestModSeq = b.HighestModSeq, true
	}
	return a
}

// take gives what was told and not looked at.
func (n *notices) take() (told map[string]imapconn.StatusData, names, all, over bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	told, names, all, over = n.told, n.names, n.all, n.over
	n.told, n.octets, n.names, n.all, n.over = nil, 0, false, false, false
	return
}

// run keeps NOTIFY up as long as the server has it and connections suffice.
func (n *notices) run() {
	pause, offered := notifyPause, false
	for n.a.cfg.Connections >= notifyConnections && n.a.ctx.Err() == nil && !n.mute.is() {
		offers, known := n.a.pool.offers("NOTIFY")
		if known && !offers {
			return
		}
		// Once it was offered it is asked for though nobody needs another connection:
		// the kernel answers from what it was told last.
		offered = offered || offers
		if !offered || !n.a.pool.reserve() {
			n.a.nap(n.a.renotify, watchReview)
			continue
		}
		begun := time.Now()
		err := n.keep()
		n.a.pool.unreserve()
		var status *imapconn.StatusError
		switch {
		case n.a.ctx.Err() != nil || n.mute.is():
			return
		case errors.Is(err, errNotices): // too much: from anew, later
			pause = max(pause, time.Minute)
		case errors.As(err, &status) && status.Op == "NOTIFY" && n.mute.set():
			n.a.log.Info("the server refuses NOTIFY; looking for news by the clock", "every", n.a.cfg.Poll, "err", err)
			n.a.askSoon()
			return
		}
		n.a.log.Debug("notify", "err", err)
		if time.Since(begun) > maxWatchPause {
			pause = notifyPause
		}
		n.a.nap(nil, notifyPause)
		if pause > notifyPause {
			n.a.nap(n.a.renotify, pause-notifyPause)
		}
		pause = min(2*pause, maxWatchPause)
	}
}

// errNotices is a server that tells nothing more (RFC 5465 §5.8).
var errNotices = errors.New("the server tells no more by NOTIFY: it was too much")

// keep makes the connection and looks at what is told there until it ends.
func (n *notices) keep() error {
	ctx, cancel := context.WithCancel(n.a.ctx)
	defer cancel()
	n.setStop(cancel)
	defer n.setStop(nil)
	client, err := n.a.cfg.Dial(ctx)
	if err != nil {
		n.a.pool.apartFailed(err)
		return err
	}
	end := n.a.pool.notices(client)
	defer func() {
		defer end()
		n.standing.Store(false)
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutLimit)
		defer cancel()
		client.Logout(bye)
	}()
	n.take() // of the connection before
	if client.Caps().Has("CONDSTORE") {
		// Else a changed flag is not told (RFC 5465 §5.1).
		if err := client.Enable(ctx, "CONDSTORE"); err != nil && client.Err() != nil {
			return err
		}
	}
	if err := client.Notify(ctx, n); err != nil {
		return err
	}
	n.standing.Store(true)
	n.a.log.Debug("the server tells what changes in any mailbox (NOTIFY)")
	n.a.askSoon() // what was before is not told
	alive := time.NewTicker(unusedNoop)
	defer alive.Stop()
	for {
		select {
		case <-n.came:
			told, names, all, over := n.take()
			n.look(told, all)
			if names || all {
				n.relist()
			}
			if over {
				n.standing.Store(false)
				n.a.askSoon()
				return errNotices
			}
		case <-alive.C:
			client.Noop(ctx)
		case <-n.doubt:
			n.a.askSign(client)
		case <-client.Done():
			return client.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *notices) setStop(stop context.CancelFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stop = stop
}

// yield gives the connection up.
func (n *notices) yield() {
	n.mu.Lock()
	stop := n.stop
	n.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// look has mailboxes looked at that were told of.
func (n *notices) look(told map[string]imapconn.StatusData, all bool) {
	if len(told) == 0 && !all {
		return
	}
	for m := range n.a.Tree().all {
		if m.snap.Load() == nil {
			continue // whoever looks asks
		}
		if d, ok := told[noticeName(m.WireName())]; ok && m.isNews(d) || all {
			m.stir(true)
		}
	}
}

// isNews reports whether a notice says what is not known. It is asked by whoever
// looks at notices only.
func (m *Mailbox) isNews(d imapconn.StatusData) bool {
	flagged := d.HasHighestModSeq && d.HighestModSeq != m.modseq
	if d.HasHighestModSeq {
		m.modseq = d.HighestModSeq
	}
	return flagged || !sameStatus(m.snap.Load(), m.current.Load(), d)
}

// relist has the tree listed anew, without waiting for it: at once, if that was not
// done a moment ago.
func (n *notices) relist() {
	if n.relists.Swap(true) {
		return // it sees that more names were told of
	}
	if !n.a.spawn(n.relistAll) {
		n.relists.Store(false)
	}
}

// relistAll lists until no name was told of since the listing was begun.
func (n *notices) relistAll() {
	for n.a.ctx.Err() == nil {
		n.a.nap(nil, max(n.a.trees.relistPace()-time.Since(n.relisted), time.Nanosecond))
		n.relisted = time.Now()
		heard := n.renamed.Load()
		// One that is under way may have been asked for before.
		for j := n.a.trees.refresh(n.a.ctx, time.Since(time.Unix(0, heard))); j != nil; {
			if err := j.await(n.a.ctx, "list", nil, 0); err != nil {
				n.a.log.Debug("notify", "err", err)
				break
			}
			j = n.a.trees.refresh(n.a.ctx, time.Since(time.Unix(0, heard)))
		}
		n.relists.Store(false)
		if n.renamed.Load() == heard || n.relists.Swap(true) {
			return
		}
	}
}

// relistPace is how often the tree may be listed because of NOTIFY.
func (t *trees) relistPace() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(relistPace, time.Duration(t.octets)*time.Second/relistRate)
}

// offers reports whether the server has a capability, as far as is known.
func (p *pool) offers(capability string) (offers, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if c.alive() {
			return c.client.Caps().Has(capability), true
		}
	}
	return false, false
}

// reserve takes one connection off those that are lent out, if enough are left. One
// that nobody uses is closed for it where all are made.
func (p *pool) reserve() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restoreLimit()
	if p.closed || p.limit < notifyConnections {
		return false
	}
	if len(p.conns)+p.dialing+p.apart >= p.limit {
		i := slices.IndexFunc(p.conns, func(c *conn) bool { return c.users == 0 && !c.wanted })
		if i < 0 {
			return false
		}
		c := p.conns[i]
		if !p.a.spawn(func() { c.client.Logout(p.a.ctx) }) {
			return false
		}
		p.drop(c)
	}
	p.apart++
	return true
}

// unreserve gives the connection back to those that are lent out.
func (p *pool) unreserve() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apart--
	p.dispatch()
}

// apartFailed notes why the connection that is not lent out could not be made. A
// server that refuses it has all others lent out.
func (p *pool) apartFailed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) > 0 && refused(err) {
		p.lower(len(p.conns)+p.dialing, err)
	}
}
