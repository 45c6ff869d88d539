package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"imapfs/imapconn"
)

const (
	// firstRest is how long a server that says "later" without a time is left
	// alone; each time it says so again within restKept that doubles, up to maxRest.
	firstRest = time.Second
	maxRest   = 5 * time.Minute
	restKept  = 10 * time.Minute
)

// resting is an account that was told to come back later. Guarded by pool.mu.
type resting struct {
	until time.Time
	pause time.Duration // of the last rest for which the server named no time
	cause error
	said  bool
}

// throttledError is what they get whose time would end before the server wants to
// be asked again. It is an answer: nobody tries again.
type throttledError struct {
	err   error
	until time.Time
}

func (e *throttledError) Error() string {
	return fmt.Sprintf("the server wants to be left alone until %s: %v", e.until.Format("15:04:05"), e.err)
}

func (e *throttledError) Unwrap() error { return e.err }

// throttled leaves the server alone for a while if err is its "later", and reports
// whether it is. One connection less is used for the next minutes.
func (p *pool) throttled(err error) bool {
	if errors.As(err, new(*throttledError)) {
		return false
	}
	pause, ok := imapconn.Throttled(err)
	if !ok {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest(pause, err)
	return true
}

// saysLater reports whether an error is a server that wants to be asked later.
func saysLater(err error) bool {
	_, ok := imapconn.Throttled(err)
	return ok
}

// unavailable reports whether a server is going down or coming up rather than
// complaining of us: then the pauses between dials are enough.
func unavailable(err error) bool {
	var e *imapconn.StatusError
	return errors.As(err, &e) && e.Code == "UNAVAILABLE"
}

// rest leaves the server alone; 0: as long as seems right. p.mu is held.
func (p *pool) rest(pause time.Duration, err error) {
	now := time.Now()
	r := &p.resting
	if now.Before(r.until) && pause == 0 {
		return // said by commands that were under way together
	}
	p.throttles++
	if now.Sub(r.until) > restKept {
		r.pause, r.said = 0, false
	}
	if pause == 0 {
		r.pause = min(max(2*r.pause, firstRest), maxRest)
		pause = r.pause + rand.N(r.pause/4)
	}
	if until := now.Add(pause); until.After(r.until) {
		r.until, r.cause = until, err
	}
	if p.limit > 1 {
		p.limit--
	}
	p.limited = now
	if !r.said {
		r.said = true
		p.a.log.Warn("the server wants less to do; slowing down, with fewer connections (see --bwlimit, --daily-limit and --connections)",
			"pause", pause.Round(time.Millisecond), "err", err)
	}
}

// rests reports whether nobody is to be served yet; those whose time ends before
// that are answered now. p.mu is held.
func (p *pool) rests() bool {
	left := time.Until(p.resting.until)
	if left <= 0 {
		return false
	}
	if left > p.a.cfg.Timeout {
		p.fail(&throttledError{p.resting.cause, p.resting.until})
	}
	p.lookAgain(p.resting.until)
	return true
}
