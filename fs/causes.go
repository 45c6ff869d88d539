package fs

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"imapfs/cache"
)

// causes writes each cause of failure to the log once, not once for each
// request that it fails, and remembers the last ones.
type causes struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]time.Time
	last []Cause // maxCauses at most, the newest last

	failed int64 // requests, for any cause
}

const (
	causeQuiet = time.Minute // after which the same cause is news again
	causeLimit = 256         // distinct causes remembered
	maxCauses  = 10          // of them those that Causes gives
)

// A Cause is why requests failed.
type Cause struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int       `json:"count"` // requests that it failed
	Op    string    `json:"op"`    // of the last one
	Errno string    `json:"errno"`
	Text  string    `json:"text"`

	key string
}

// Causes gives the last ten causes of failure, the newest last.
func (s *Server) Causes() []Cause {
	s.causes.mu.Lock()
	defer s.causes.mu.Unlock()
	return slices.Clone(s.causes.last)
}

// Failures is how many requests have failed, by whatever Causes has or has had.
func (s *Server) Failures() int64 {
	s.causes.mu.Lock()
	defer s.causes.mu.Unlock()
	return s.causes.failed
}

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
	c.failed++
	c.remember(Cause{First: now, Last: now, Count: 1, Op: op, Errno: errnoOf(err).Error(), Text: err.Error(), key: key})
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

// remember puts a cause last; one that is there already counts one more. mu is held.
func (c *causes) remember(now Cause) {
	i := slices.IndexFunc(c.last, func(x Cause) bool { return x.key == now.key })
	if i >= 0 {
		now.First, now.Count = c.last[i].First, c.last[i].Count+1
	} else if i = 0; len(c.last) < maxCauses {
		c.last = append(c.last, now)
		return
	}
	c.last = append(slices.Delete(c.last, i, i+1), now)
}

// forget makes each cause news again.
func (c *causes) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.seen)
}
