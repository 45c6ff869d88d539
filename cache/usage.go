package cache

import (
	"errors"
	"sync"
	"time"

	"imapfs/imapconn"
)

// Usage is how full the account is.
type Usage struct {
	Used     int64 // octets
	Limit    int64 // octets; 0: the server names none
	Messages int64 // in the mailboxes that have been loaded
}

// quotaAge is how old the quota may be before it is asked for again.
const quotaAge = time.Minute

// quota is what the server said of the account's quota.
type quota struct {
	mu    sync.Mutex // innermost but for Account.mu
	data  imapconn.QuotaData
	asked time.Time // when it was last asked for
	none  bool      // the server has none
}

// Usage gives the quota where the server has one, else the sum of what has been
// loaded, from memory; false where nothing is known yet. It is refreshed behind,
// once a minute at most.
func (a *Account) Usage() (Usage, bool) {
	a.quota.mu.Lock()
	data := a.quota.data
	if !a.quota.none && time.Since(a.quota.asked) > quotaAge {
		a.quota.asked = time.Now()
		a.spawn(a.askQuota)
	}
	a.quota.mu.Unlock()
	u := Usage{Used: data.Usage, Limit: data.Limit}
	known := data.HasStorage
	var octets int64
	for m := range a.Tree().all {
		if s := m.Snapshot(); s != nil {
			u.Messages += int64(s.Len())
			octets += s.octets
			known = true
		}
	}
	if !data.HasStorage {
		u.Used = octets
	}
	return u, known
}

func (a *Account) askQuota() {
	j := a.newJob()
	defer j.finish(nil)
	l, err := a.pool.acquire(j.ctx, want{})
	if err != nil {
		return
	}
	defer l.release()
	data, err := l.client.Quota(a.ctx, inbox)
	a.quota.mu.Lock()
	defer a.quota.mu.Unlock()
	switch {
	case err == nil:
		a.quota.data = data
	case !lostConnection(err):
		a.quota.none = true
		if !errors.Is(err, imapconn.ErrNotOffered) {
			a.log.Debug("no quota", "err", err)
		}
	}
}
