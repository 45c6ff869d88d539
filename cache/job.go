package cache

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// job is work for the server that any number of readers wait for. It belongs
// to none of them: a reader who gives up leaves it running. What it sends runs under
// the account's context; its own context ends when the time of the last reader
// is up, and bounds only waiting for a connection and trying again.
type job struct {
	pool   *pool
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when err is set
	err    error

	// Of the goroutine that works.
	tries   int
	doubted bool // it has got a second try for a refusal

	mu    sync.Mutex // innermost
	until time.Time
	timer *time.Timer
}

// The pauses between attempts double from the first to the last.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 2 * time.Second
)

// newJob makes a job whose readers have yet to join.
func (a *Account) newJob() *job {
	j := &job{pool: a.pool, done: make(chan struct{}), until: time.Now().Add(a.cfg.Timeout)}
	j.ctx, j.cancel = context.WithCancelCause(a.ctx)
	j.timer = time.AfterFunc(a.cfg.Timeout, j.tick)
	return j
}

// join prolongs the job until a reader's time is up.
func (j *job) join(ctx context.Context, timeout time.Duration) {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(timeout)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if until.After(j.until) {
		j.until = until
	}
}

func (j *job) tick() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if left := time.Until(j.until); left > 0 {
		j.timer.Reset(left)
		return
	}
	j.cancel(errPatience)
}

// over reports whether nobody's time remains.
func (j *job) over() bool { return j.ctx.Err() != nil }

// again reports whether work that failed is worth another try: the connection
// was lost and somebody waits. The first is made at once, later ones after a
// pause that grows.
func (j *job) again(err error) bool {
	if j.pool.throttled(err) {
		return !j.over() // the pool sees to the pause
	}
	if !lostConnection(err) {
		return false
	}
	if j.tries > 0 {
		j.pause(min(firstPause<<min(j.tries, 8), lastPause))
	}
	j.tries++
	return !j.over()
}

// pause waits, at most until the job is over.
func (j *job) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-j.ctx.Done():
	}
}

// finish answers everybody.
func (j *job) finish(err error) {
	j.err = err
	close(j.done)
	j.timer.Stop()
	j.cancel(nil)
}

// await waits for a job, or for the reader's time to be up.
func (j *job) await(ctx context.Context, op string, m *Mailbox, uid UID) error {
	select {
	case <-j.done:
		return failure(op, m, uid, j.err)
	default:
	}
	select {
	case <-j.done:
		return failure(op, m, uid, j.err)
	case <-ctx.Done():
	}
	err := context.Cause(ctx)
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("%w: %w", errPatience, ctx.Err())
	}
	return failure(op, m, uid, err)
}

// failure makes an *Error of a cause; nil stays nil.
func failure(op string, m *Mailbox, uid UID, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, UID: uid, Kind: KindOf(err), Err: err}
	if m != nil {
		e.Mailbox = m.full()
	}
	return e
}
