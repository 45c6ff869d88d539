package cache

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// Config says how to reach an account and how much it may take. A zero value
// means the default.
type Config struct {
	// Dial makes a connection, logged in.
	Dial func(context.Context) (*imapconn.Client, error)
	// Connections is the most that are open at once. Default 4. From 3 on one of them is
	// for NOTIFY, where the server has it.
	Connections int
	// CacheBytes bounds the texts that are kept, in octets. Default 256 MiB, or an
	// eighth of the memory if that is less.
	CacheBytes int64
	// Timeout is how long work goes on for a reader who has no deadline of his
	// own. Default 30 s. Silence on a connection is the Dialer's concern.
	Timeout time.Duration
	// Poll is how old what is known may be when somebody looks. Default 30 s.
	Poll time.Duration
	// Exclude are patterns for mailboxes that are left out, over decoded names
	// with levels joined by /: * and % are wildcards, % within one level, ! takes
	// back, the last that matches counts. INBOX is matched by its name alone.
	Exclude []string
	// Root is the decoded name, levels joined by /, of the only mailbox to be
	// shown, with all below it. Empty: everything.
	Root string
	// Shared shows the mailboxes of other users and those that are shared, too,
	// where the server tells them apart (RFC 2342).
	Shared bool
	// Ledger counts what moves, and bounds it (Config.Dial's imapconn.Dialer has its
	// Traffic). Nil: nobody counts. Close writes it.
	Ledger *Ledger
	// OnDelete is what Mailbox.Delete does where the server leaves a choice.
	OnDelete OnDelete
	// State is the directory of the spool (cache/spool), in which what is in flight
	// outlives a crash. Empty: nothing does, and what is hidden is so until Close.
	State string
	// HoldDrafts keeps what an earlier daemon has left in the spool from being sent before
	// Draft.Send or Draft.Resume: whoever lists a text under its name takes it up while
	// what it replaces is still there.
	HoldDrafts bool
	// AnyText has texts sent, too, whose first line is no header field.
	AnyText bool
	// Logger is told what a user can do something about, once. Nil: nobody.
	Logger *slog.Logger

	pauses *draftPauses // of tests; nil: usualPauses
}

const (
	defaultConnections = 4
	defaultTimeout     = 30 * time.Second
	defaultPoll        = 30 * time.Second
	defaultCacheBytes  = 256 << 20

	// logoutLimit is how long Close waits for the server's goodbye.
	logoutLimit = 2 * time.Second
)

// Account is one account and all that is remembered of it. Its methods may be
// called by several goroutines.
type Account struct {
	cfg   Config
	log   *slog.Logger
	ctx   context.Context // ends with Close; every command runs under it
	stop  context.CancelFunc
	since time.Time // when it was opened: what is older is not known to have changed

	mu     sync.Mutex // guards closed against group.Add; innermost
	closed bool
	group  sync.WaitGroup // every goroutine of the package

	pool  *pool
	texts *texts
	crier *crier
	trees trees
	tree  atomic.Pointer[Tree]

	indexed atomic.Int64 // messages in the snapshots of the mailboxes in the tree

	quota  quota
	spool  *spool.Spool // nil: what is in flight is not noted
	drafts *drafts

	notices *notices
	recents recents

	last      atomic.Pointer[Mailbox] // looked into last
	lastLook  atomic.Int64            // when somebody looked into anything, Unix nanoseconds
	rewatch   chan struct{}           // wakes watch; holds one
	unwatched atomic.Bool             // the watch has failed and waits
	idleMute  mute                    // the server says nothing in IDLE
	repoll    chan struct{}           // wakes poll; holds one
	renotify  chan struct{}           // wakes notices; holds one
	soon      chan struct{}           // has poll ask at once; holds one
	askAll    atomic.Bool             // has it ask about all that is in use

	noStatusModSeq atomic.Bool // STATUS with HIGHESTMODSEQ is answered BAD

	saidLies, saidShuffle sync.Once
	sizes                 sizeSample
	saidSpent             atomic.Bool
}

// Open connects, logs in and asks for the mailboxes. ctx bounds only this call.
// An error of the first connection is returned as Dial gave it; all others are
// *Error.
func Open(ctx context.Context, cfg Config) (*Account, error) {
	a := newAccount(ctx, cfg)
	if err := a.openSpool(); err != nil {
		a.Close()
		return nil, err
	}
	if err := a.begin(ctx); err != nil {
		a.Close()
		return nil, err
	}
	a.spawn(a.crier.run)
	a.spawn(a.watch)
	a.spawn(a.poll)
	a.spawn(a.notices.run)
	a.recoverDrafts()
	return a, nil
}

func newAccount(ctx context.Context, cfg Config) *Account {
	if cfg.Connections <= 0 {
		cfg.Connections = defaultConnections
	}
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = min(defaultCacheBytes, memory()/8)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Account{cfg: cfg, log: cfg.Logger, since: time.Now(),
		rewatch: make(chan struct{}, 1), repoll: make(chan struct{}, 1), renotify: make(chan struct{}, 1), soon: make(chan struct{}, 1)}
	a.ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	a.pool = newPool(a)
	a.texts = newTexts(cfg.CacheBytes)
	a.crier = newCrier(a.ctx)
	a.drafts = newDrafts(cfg.pauses)
	a.notices = newNotices(a)
	a.trees.init(a)
	return a
}

// begin makes the first connection and the first tree.
func (a *Account) begin(ctx context.Context) error {
	first, err := a.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	a.pool.add(first)
	a.unpark(ctx)
	if _, err := a.LoadTree(ctx); err != nil {
		return err
	}
	if root := a.cfg.Root; root != "" && !a.trees.rooted(a.Tree()) {
		return noRoot(root)
	}
	return nil
}

// Close logs out and waits for every goroutine. Readers who wait get IO.
func (a *Account) Close() error {
	a.mu.Lock()
	was := a.closed
	a.closed = true
	a.mu.Unlock()
	if !was {
		a.notices.yield()
		a.pool.close()
		a.stop()
	}
	a.group.Wait()
	if a.spool != nil && !was {
		if err := a.spool.Close(); err != nil {
			a.log.Warn("the spool is not closed well; what it holds is looked at by the next mount", "err", err)
		}
	}
	if a.cfg.Ledger != nil && !was {
		return a.cfg.Ledger.Close()
	}
	return nil
}

// spawn runs f in a goroutine that Close waits for. It reports false when the
// account is closed: then f is not run.
func (a *Account) spawn(f func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.group.Add(1)
	go func() {
		defer a.group.Done()
		f()
	}()
	return true
}

// Observe sets who is told of changes. It is called once, before the account
// is shown to anybody.
func (a *Account) Observe(o Observer) { a.crier.observe(o) }

// Tree is the newest tree that is known, from memory. Never nil.
func (a *Account) Tree() *Tree { return a.tree.Load() }

// look notes that somebody looks into a mailbox.
func (a *Account) look(m *Mailbox) {
	now := time.Now().UnixNano()
	if m.touched.Swap(now) < now-int64(lookedIntoFor) && m.news.Load() {
		m.stir(true) // it changed while nobody looked
	}
	a.Look()
	if m.Selectable() && (a.last.Load() != m || a.unwatched.Load()) {
		a.recents.add(m, a.cfg.Connections)
		a.last.Store(m)
		wake(a.rewatch)
	}
}

// LookInterval is how often Account.Look is to be called at least while the account is
// in use.
const LookInterval = time.Minute

// Look notes that the account is in use, without saying of which mailbox: of one that
// is looked into Mailbox.Touch does. Where the kernel answers in our place it is all that
// we know of. It costs nothing and waits for nothing.
func (a *Account) Look() {
	now := time.Now().UnixNano()
	if a.lastLook.Swap(now) < now-int64(time.Second) {
		wake(a.repoll)
		a.awake()
	}
}

// wake makes whoever waits on a channel that holds one look again.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// rootPath is the path of the only mailbox to be shown.
func (c *Config) rootPath() []string {
	if c.Root == "" {
		return nil
	}
	path := strings.Split(strings.Trim(c.Root, "/"), "/")
	if strings.EqualFold(path[0], inbox) {
		path[0] = inbox
	}
	return path
}
