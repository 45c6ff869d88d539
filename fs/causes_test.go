package fs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"imapfs/cache"
)

func TestTheLastCausesAreRemembered(t *testing.T) {
	s := &Server{causes: causes{log: slog.New(slog.DiscardHandler), seen: make(map[string]time.Time)}}
	fail := func(n, uid int) {
		s.causes.report("read", &cache.Error{Op: "fetch", Mailbox: "INBOX", UID: cache.UID(uid), Kind: cache.Timeout, Err: fmt.Errorf("cause %d", n)})
	}
	s.causes.report("read", syscall.ENODATA)
	s.causes.report("read", &cache.Error{Kind: cache.Stale, Err: errors.New("gone")})
	if got := s.Causes(); len(got) != 0 {
		t.Errorf("answers are causes: %+v", got)
	}
	for n := range 2 * maxCauses {
		fail(n, n)
	}
	fail(maxCauses, 4711)
	got := s.Causes()
	if len(got) != maxCauses || got[0].Text != `fetch "INBOX" message 11: cause 11` {
		t.Fatalf("%d: %+v", len(got), got)
	}
	if n := s.Failures(); n != 2*maxCauses+1 {
		t.Errorf("%d requests have failed", n)
	}
	newest := got[maxCauses-1]
	if newest.Count != 2 || newest.Text != `fetch "INBOX" message 4711: cause 10` || newest.Errno != syscall.ETIMEDOUT.Error() ||
		newest.Op != "read" || newest.First.IsZero() || newest.Last.Before(newest.First) {
		t.Errorf("%+v", newest)
	}
	for _, c := range got[:maxCauses-1] {
		if c.Count != 1 {
			t.Errorf("%+v", c)
		}
	}
}

func TestRefreshForgetsFailures(t *testing.T) {
	a := newFakeAccount()
	a.mailbox("INBOX")
	var log bytes.Buffer
	s, err := newServer(a, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	sl := s.current(s.children(s.root).index["INBOX"])
	sl.rememberFailure(7, syscall.EIO)
	cut := &cache.Error{Kind: cache.IO, Err: errors.New("cut")}
	s.causes.report("read", cut)
	s.causes.report("read", cut)
	if _, ok := sl.lastFailure(7, false); !ok || strings.Count(log.String(), "\n") != 1 {
		t.Fatalf("not remembered (%v), or logged twice:\n%s", ok, log.String())
	}
	s.Refresh()
	s.causes.report("read", cut)
	if errno, ok := sl.lastFailure(7, false); ok || strings.Count(log.String(), "\n") != 2 {
		t.Errorf("%v is remembered (%v), or the cause is no news:\n%s", errno, ok, log.String())
	}
	if c := s.Causes(); len(c) != 1 || c[0].Count != 3 {
		t.Errorf("%+v", c)
	}
}
