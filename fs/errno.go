package fs

import (
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"imapfs/cache"
)

var (
	// errStale: the node means nothing any more; the kernel asks again by name.
	errStale = syscall.ESTALE

	// errWait is answered by handlers that would have to ask the server. It
	// never leaves this package.
	errWait = errors.New("must wait for the server")

	// errDeadline is the cause of ETIMEDOUT where package cache has not said it first.
	errDeadline = &cache.Error{Op: "wait", Kind: cache.Timeout,
		Err: errors.New("the server has not answered inside the deadline (see --timeout)")}
)

// errnos is the table: each kind of failure has one errno.
var errnos = map[cache.Kind]syscall.Errno{
	cache.NotExist:    syscall.ENOENT,
	cache.Stale:       syscall.ESTALE,
	cache.Access:      syscall.EACCES,
	cache.ReadOnly:    syscall.EROFS,
	cache.NotOffered:  syscall.EPERM,
	cache.Quota:       syscall.EDQUOT,
	cache.TooBig:      syscall.EFBIG,
	cache.Exists:      syscall.EEXIST,
	cache.Busy:        syscall.EBUSY,
	cache.Interrupted: syscall.EINTR,
	cache.Timeout:     syscall.ETIMEDOUT,
	cache.IO:          syscall.EIO,
}

// errnoOf gives the errno of an error by its kind, however deeply wrapped. What
// has no kind is EIO.
func errnoOf(err error) syscall.Errno {
	var (
		known  *cache.Error
		number syscall.Errno
	)
	if !errors.As(err, &known) && errors.As(err, &number) {
		return number
	}
	if e, ok := errnos[cache.KindOf(err)]; ok {
		return e
	}
	return syscall.EIO
}

// causes writes each cause of failure to the log once, not once for each
// request that it fails.
type causes struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]time.Time
}

const (
	causeQuiet = time.Minute // after which the same cause is news again
	causeLimit = 256         // distinct causes remembered
)

// report logs err unless it is an everyday answer or was reported lately. An
// errno that is no *cache.Error is an answer (ENODATA, ENOTDIR), not a failure.
func (c *causes) report(op string, err error) {
	var known *cache.Error
	if !errors.As(err, &known) {
		return
	}
	switch known.Kind {
	case cache.Interrupted, cache.NotExist, cache.Stale:
		c.log.Debug("request failed", "op", op, "err", err)
		return
	}
	// Operation and UID are no part of the cause.
	key := known.Mailbox + "\x00" + errnoOf(err).Error()
	if known.Err != nil {
		key = known.Mailbox + "\x00" + known.Err.Error()
	}
	now := time.Now()
	c.mu.Lock()
	last, told := c.seen[key]
	told = told && now.Sub(last) < causeQuiet
	if !told {
		if len(c.seen) >= causeLimit {
			clear(c.seen)
		}
		c.seen[key] = now
	}
	c.mu.Unlock()
	if !told {
		c.log.Warn("request failed", "op", op, "errno", errnoOf(err).Error(), "err", err)
	}
}
