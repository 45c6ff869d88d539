package cache

import (
	"sync/atomic"
	"time"
)

const (
	// muteGrace is how long a server may take to tell by IDLE or NOTIFY what STATUS
	// says already; a quarter of Config.Poll if that is less.
	muteGrace = 3 * time.Second
	// muteStrikes is how often in a row it may fail to, in times.
	muteStrikes = 2
)

// mute is whether a server is known to say nothing in IDLE, or by NOTIFY: it does
// not offer that, or was found out.
type mute struct {
	known   atomic.Bool
	strikes atomic.Int32
}

func (m *mute) is() bool { return m.known.Load() }

// set reports whether this was not known.
func (m *mute) set() bool { return !m.known.Swap(true) }

// judge counts a change that was told in time, or was not. It reports whether that
// is what makes the server count as mute.
func (m *mute) judge(told bool) bool {
	if told {
		m.strikes.Store(0)
		return false
	}
	return m.strikes.Add(1) >= muteStrikes && m.set()
}

func (a *Account) muteGrace() time.Duration { return min(muteGrace, a.cfg.Poll/4) }

// suspect waits whether the server tells of a change by itself that STATUS has
// shown: in the IDLE on h, or by NOTIFY where h is nil. Then it is asked. That the
// snapshot becomes another only now is proof: the STATUS may be wrong, but the change
// is true. s is the snapshot that STATUS has been compared with.
//
// GNU mailutils offers IDLE and never speaks.
func (m *Mailbox) suspect(h *hearing, s *Snapshot) {
	a := m.account
	a.nap(nil, a.muteGrace())
	silent := m.snap.Load() == s && !m.ours.lately() && !m.news.Load() && !m.lookingNow() && (h == nil || m.follow.Load() == h && h.quiet() && h.idled.Load() != 0)
	j := m.verifyBehind()
	if j.await(a.ctx, "poll", m, 0) != nil {
		return
	}
	if m.snap.Load() == s {
		return
	}
	switch {
	case h != nil && a.idleMute.judge(!silent):
		a.log.Info("the server offers IDLE and does not tell what changes; looking for news by the clock", "every", a.cfg.Poll)
		wake(a.rewatch)
	case h == nil && a.notices.mute.judge(!silent):
		a.log.Info("the server offers NOTIFY and does not tell what changes; looking for news by the clock", "every", a.cfg.Poll)
		a.notices.yield()
	}
}
