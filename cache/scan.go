package cache

import (
	"slices"
	"time"
)

// A scan is somebody who opens one message after another: grep -r, rsync, a shell's *.
// What such a reader will open next is fetched before it is asked for. Here is how one
// is recognised and how far ahead it is served; ahead.go fetches.
//
// Programs that sort names open 1, 10, 100, 101, …, 11, 110: that is one scan for
// each number of digits. Several threads open a little out of order, and some (ripgrep)
// from the end to the beginning.
type scan struct {
	box      *Mailbox
	validity UIDValidity

	dir    int   // 1: upwards, -1: downwards; 0: one message was opened so far
	from   UID   // where it began
	at     UID   // the furthest message that was opened
	edge   UID   // so far has been asked for
	window int64 // how many octets are to be asked for before they are wanted
	ahead  int64 // those of queue
	queue  []wanted
	behind []UID // lately passed: somebody may still come for them
	whole  bool  // large texts are read beyond their beginning
	used   time.Time
	over   bool
}

// wanted is a message that is thought to be opened soon.
type wanted struct {
	uid    UID
	octets int64 // that it will take
}

const (
	// startGap is how far the second message of a scan may be from the first one, scanGap how
	// many messages it may leave out later, and scanBack how many it may be late.
	startGap = 4
	scanGap  = 16
	scanBack = 64
	// firstWindow is what is asked for when a second message is opened beside a first one.
	// While a reader has to wait for what comes next, the window grows, up to maxWindow.
	firstWindow = 256 << 10
	windowGrows = 8
	maxWindow   = 32 << 20
	// maxScans bounds the scans of an account.
	maxScans = 32
	// maxQueue bounds the messages that are asked for ahead of one scan.
	maxQueue = 8 << 10
	// scanIdle is after how long a scan is thought to have ended, if its room is needed.
	scanIdle = 5 * time.Second
)

// scans is the scans of an account, the latest first.
type scans struct{ all []*scan }

// opened notes that a message was opened, and gives the scan that it belongs to; nil:
// there is none. missed: its text was not there yet. ended is a scan that is forgotten for
// it; nil: none.
func (ss *scans) opened(m *Mailbox, s *Snapshot, uid UID, missed bool, now time.Time) (sc, ended *scan) {
	i := s.Search(uid)
	for k, sc := range ss.all {
		if sc.box != m || sc.validity != s.validity || !sc.reaches(i-s.Search(sc.at), i-s.Search(sc.from)) {
			continue
		}
		copy(ss.all[1:k+1], ss.all[:k])
		ss.all[0] = sc
		sc.used = now
		if sc.dir == 0 && uid == sc.at {
			return nil, nil
		}
		switch {
		case sc.dir == 0 || sc.isTurned(s, uid):
			sc.begin(uid)
		case missed && sc.beyond(uid, sc.at):
			sc.window = min(sc.window*windowGrows, maxWindow)
		}
		sc.pass(uid)
		return sc, nil
	}
	ss.all = append(ss.all, nil)
	copy(ss.all[1:], ss.all)
	ss.all[0] = &scan{box: m, validity: s.validity, from: uid, at: uid, used: now}
	if len(ss.all) > maxScans {
		ended = ss.all[maxScans]
		ended.over = true
		ss.all = ss.all[:maxScans]
	}
	return nil, ended
}

// served is how many scans share the room: sc and all for which something was asked for.
func (ss *scans) served(sc *scan) (n int64) {
	for _, o := range ss.all {
		if o == sc || o.ahead > 0 {
			n++
		}
	}
	return max(n, 1)
}

// readsOn notes that a large text is read beyond its beginning: the next ones are asked for
// whole.
func (ss *scans) readsOn(m *Mailbox, uid UID) {
	for _, sc := range ss.all {
		if sc.box == m && sc.at == uid {
			sc.whole = true
		}
	}
}

// goesOn reports whether a message is one of a scan whose reader had to wait again and again.
func (ss *scans) goesOn(m *Mailbox, uid UID) bool {
	return slices.ContainsFunc(ss.all, func(sc *scan) bool {
		return sc.box == m && sc.at == uid && sc.window >= 2*longRun
	})
}

// reaches reports whether a message may be the next one of a scan, or a late one: d is how
// many messages it lies above the furthest, and f above the one from which it began.
func (sc *scan) reaches(d, f int) bool {
	switch sc.dir {
	case 0:
		return -startGap <= d && d <= startGap
	case -1:
		d, f = -d, -f
	}
	return -scanBack <= d && -scanGap <= f && d <= scanGap
}

// isTurned reports whether a message shows that the direction was mistaken: of several
// threads the one that has the first message may come late, and seem to go back. What is further
// behind the beginning than the scan has come is not late, for nobody has passed it.
func (sc *scan) isTurned(s *Snapshot, uid UID) bool {
	if uid == sc.from || sc.beyond(uid, sc.from) {
		return false
	}
	from := s.Search(sc.from)
	return sc.dir*(from-s.Search(uid)) > sc.dir*(s.Search(sc.at)-from)
}

// begin is told a message by which the direction shows.
func (sc *scan) begin(uid UID) {
	sc.dir = 1
	if uid < sc.from {
		sc.dir = -1
	}
	for _, w := range sc.queue {
		sc.behind = append(sc.behind, w.uid)
	}
	sc.queue, sc.ahead, sc.edge = nil, 0, uid
	if sc.window == 0 {
		sc.window = firstWindow
	}
}

// beyond reports whether a lies further on than b.
func (sc *scan) beyond(a, b UID) bool { return a != b && sc.dir != 0 && (a > b) == (sc.dir > 0) }

// pass notes how far the scan has come.
func (sc *scan) pass(uid UID) {
	if !sc.beyond(uid, sc.at) {
		return
	}
	sc.at = uid
	if sc.beyond(uid, sc.edge) {
		sc.edge = uid
	}
	n := 0
	for n < len(sc.queue) && !sc.beyond(sc.queue[n].uid, uid) {
		sc.ahead -= sc.queue[n].octets
		sc.behind = append(sc.behind, sc.queue[n].uid)
		n++
	}
	sc.queue = sc.queue[n:]
}

// late gives those that nobody comes for any more.
func (sc *scan) late() []UID {
	n := len(sc.behind) - scanBack
	if n <= 0 {
		return nil
	}
	out := sc.behind[:n]
	sc.behind = sc.behind[n:]
	return out
}

// push notes that a message, the next behind edge, is asked for.
func (sc *scan) push(uid UID, octets int64) {
	sc.queue = append(sc.queue, wanted{uid, octets})
	sc.ahead += octets
}

// lacks reports whether so little is asked for that it is worth asking for more, where
// the window is to be at most limit octets; how much that is. Half a window at a time: who never
// waits, so that it does not grow, costs no command for every few messages.
func (sc *scan) lacks(limit int64) (octets int64, more bool) {
	window := min(sc.window, limit)
	return window - sc.ahead, sc.ahead <= window/2 && len(sc.queue) < maxQueue
}

// lose has what was asked for asked for anew, but for what is there.
func (sc *scan) lose() {
	sc.queue, sc.ahead, sc.edge = nil, 0, sc.at
}
