package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"imapfs/imapconn"
)

// Ledger remembers how many octets an account has moved on the wire in the last 24
// hours, hour by hour, in a file that outlives the mount and that other daemons of the account
// add to. What they have moved is known a minute late. Its methods may be called by
// several goroutines.
type Ledger struct {
	name    string
	limit   int64 // octets from the server in 24 hours; 0: none
	traffic *imapconn.Traffic

	mu      sync.Mutex // held over the file, which is small and local
	in, out int64      // of traffic, as far as it has been taken down
	all     hours      // of all daemons, as the file had it last
	own     hours      // moved here since
	written time.Time
}

// hours are octets by the hour since 1970 in which they moved.
type hours map[int64]moved

type moved struct{ in, out int64 }

const (
	// ledgerHours is how many hours back count, the one that is under way included.
	ledgerHours = 24
	// ledgerEvery is how often the file is written while octets move.
	ledgerEvery = time.Minute
	// maxLedger is the most that is read of a ledger's file, in octets: 25 lines
	// are less than a tenth of it.
	maxLedger = 16 << 10
	// listingShare is what listings may take beyond the limit, as one part in so
	// many: what is cached can be read as long as the listing can be had.
	listingShare = 20

	ledgerTitle = "imapfs traffic, octets by hour since 1970: from and to the server\n"
)

// OpenLedger reads the file, which need not exist, and counts on. limit is how many
// octets may come from the server in any 24 hours; 0: any number. What cannot be read
// as a ledger is begun anew.
func OpenLedger(name string, limit int64, traffic *imapconn.Traffic) (*Ledger, error) {
	l := &Ledger{name: name, limit: limit, traffic: traffic, own: hours{}}
	if err := l.write(time.Now()); err != nil {
		return nil, fmt.Errorf("the count of the day's traffic: %w (see to it that the file can be written)", err)
	}
	return l, nil
}

// Day is what an account has moved in the last 24 hours.
type Day struct {
	In    int64     `json:"octets_in"`      // from the server
	Out   int64     `json:"octets_out"`     // to it
	Limit int64     `json:"limit"`          // of In; 0: none
	Until time.Time `json:"until,omitzero"` // when less than the limit will have come, if nothing more does; zero: that is so now
}

// Day counts, and writes the file where that is due.
func (l *Ledger) Day() Day {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.take(now)
	if now.Sub(l.written) >= ledgerEvery {
		l.write(now) // what cannot be written is counted in memory all the same
	}
	d := Day{Limit: l.limit}
	sums := hours{}
	sums.add(l.all)
	sums.add(l.own)
	sums.forget(now)
	for _, m := range sums {
		d.In += m.in
		d.Out += m.out
	}
	if l.limit > 0 && d.In >= l.limit {
		d.Until = sums.freed(now, d.In-l.limit)
	}
	return d
}

// Close writes what has been counted.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.take(now)
	return l.write(now)
}

// take takes down what has moved since it was last called. l.mu is held, but in
// OpenLedger.
func (l *Ledger) take(now time.Time) {
	in, out := l.traffic.In(), l.traffic.Out()
	if in == l.in && out == l.out {
		return
	}
	l.own.add(hours{hourOf(now): {in - l.in, out - l.out}})
	l.in, l.out = in, out
}

// write adds to the file what moved here, and learns what others have added. The
// file is rewritten in place under a lock: what a crash in the middle would cost is a
// count, no mail. l.mu is held, but in OpenLedger.
func (l *Ledger) write(now time.Time) error {
	l.written = now
	f, err := os.OpenFile(l.name, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLedger))
	if err != nil {
		return err
	}
	all := parseLedger(text)
	all.add(l.own)
	all.forget(now)
	text = all.format()
	if _, err := f.WriteAt(text, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(text))); err != nil {
		return err
	}
	l.all, l.own = all, hours{}
	return nil
}

// parseLedger reads what it can; a line that is none counts nothing.
func parseLedger(text []byte) hours {
	h := hours{}
	for line := range bytes.Lines(text) {
		var n [3]int64
		fields := strings.Fields(string(line))
		if len(fields) != len(n) {
			continue
		}
		var err error
		for i, f := range fields {
			var e error
			if n[i], e = strconv.ParseInt(f, 10, 62); e != nil || n[i] < 0 {
				err = errors.New("no number")
			}
		}
		if err == nil && len(h) <= 2*ledgerHours {
			h.add(hours{n[0]: {n[1], n[2]}})
		}
	}
	return h
}

func (h hours) format() []byte {
	b := []byte(ledgerTitle)
	for _, hour := range slices.Sorted(maps.Keys(h)) {
		b = fmt.Appendf(b, "%d %d %d\n", hour, h[hour].in, h[hour].out)
	}
	return b
}

func (h hours) add(other hours) {
	for hour, m := range other {
		sum := h[hour]
		sum.in = min(sum.in+m.in, 1<<61)
		sum.out = min(sum.out+m.out, 1<<61)
		h[hour] = sum
	}
}

// forget drops what is older than a day, and what is to come: the clock was wrong.
func (h hours) forget(now time.Time) {
	for hour := range h {
		if hour <= hourOf(now)-ledgerHours || hour > hourOf(now) {
			delete(h, hour)
		}
	}
}

// freed is when more than n octets will have become a day old.
func (h hours) freed(now time.Time, n int64) time.Time {
	for hour := hourOf(now) - ledgerHours + 1; hour <= hourOf(now); hour++ {
		if n -= h[hour].in; n < 0 {
			return time.Unix((hour+ledgerHours)*3600, 0)
		}
	}
	return time.Unix((hourOf(now)+ledgerHours)*3600, 0)
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// spentError is a daily limit that is used up. It is an answer: nobody tries again.
type spentError struct{ day Day }

func (e *spentError) Error() string {
	return fmt.Sprintf("the daily limit of %d MB is spent until %s; what is cached can be read (raise --daily-limit)",
		e.day.Limit>>20, e.day.Until.Format("15:04"))
}

// allowed reports whether more may be fetched: texts up to the daily limit, listings
// a little beyond. Where not, it is said once.
func (a *Account) allowed(listing bool) error {
	l := a.cfg.Ledger
	if l == nil || l.limit <= 0 {
		return nil
	}
	day := l.Day()
	if day.Until.IsZero() {
		a.saidSpent.Store(false)
		return nil
	}
	if !a.saidSpent.Swap(true) {
		a.log.Warn("the daily limit is spent: only what is cached can be read (raise --daily-limit)",
			"limit", day.Limit, "until", day.Until.Format(time.RFC3339))
	}
	if listing && day.In < day.Limit+day.Limit/listingShare {
		return nil
	}
	return &spentError{day}
}

// Traffic is what the account has moved in the last 24 hours; false where nobody
// counts.
func (a *Account) Traffic() (Day, bool) {
	if a.cfg.Ledger == nil {
		return Day{}, false
	}
	return a.cfg.Ledger.Day(), true
}
