package cache

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"imapfs/imapconn/imaptest"
)

// scriptedDrafts is a scripted server with these capabilities, and n messages in A.
func scriptedDrafts(t testing.TB, caps string, n int) (*imaptest.Scripted, *imaptest.Box, changeServer) {
	t.Helper()
	s := imaptest.NewScripted(t)
	s.Capabilities(imaptest.ScriptedCapabilities + " " + caps)
	s.Mailbox("INBOX")
	b := s.Mailbox("A")
	for i := range n {
		b.Add(text(100+i, 100+i))
	}
	return s, b, changeServer{s.Addr, s.User, s.Password}
}

// keeping has the server refuse as many of the next deletions of a message as are left.
func keeping(s *imaptest.Scripted, n int64) (left *atomic.Int64) {
	left = new(atomic.Int64)
	left.Store(n)
	s.On("UID EXPUNGE", func(c *imaptest.Call) {
		if left.Add(-1) >= 0 {
			c.Done("NO not now")
			return
		}
		c.Default()
	})
	return left
}

// TestAFlushGoesOnThroughPutOffs: the old message goes though that is refused some times.
func TestAFlushGoesOnThroughPutOffs(t *testing.T) {
	t.Parallel()
	s, b, server := scriptedDrafts(t, "UIDPLUS", 3)
	a := server.open(t, spooled(t), briefly)
	m := box(t, a, "A")
	v := mustLoad(t, m).Validity()
	left := keeping(s, 3)
	d := draft(t, a, m, "new", lf(7, 900))
	send(t, d, Fate{Box: m, Replaces: []MessageRef{{m, v, 1}}})
	d.Close()
	flushed(t, a)
	if got := b.Texts(); len(got) != 3 || got[2] != crlf(lf(7, 900)) || got[0] != string(text(101, 101)) {
		t.Errorf("%d messages", len(got))
	}
	if n := left.Load(); n >= 0 {
		t.Errorf("%d refusals were not needed", n)
	}
}

// TestAFlushSaysThatTheOldMessageIsThere, and the next mount deletes it.
func TestAFlushSaysThatTheOldMessageIsThere(t *testing.T) {
	t.Parallel()
	s, b, server := scriptedDrafts(t, "UIDPLUS", 3)
	state := spooled(t)
	a := server.open(t, state, briefly)
	m := box(t, a, "A")
	v := mustLoad(t, m).Validity()
	keeping(s, 1000)
	d := draft(t, a, m, "new", lf(7, 900))
	send(t, d, Fate{Box: m, Replaces: []MessageRef{{m, v, 1}}})
	d.Close()
	err := a.FlushDrafts(within(t, patient), nil)
	if err == nil || !strings.Contains(err.Error(), "what 1 texts replace is still there") {
		t.Errorf("the flush says %v", err)
	}
	if all := a.Pending(); len(all) != 1 || all[0].State != "done" || !strings.Contains(all[0].Error, "not now") {
		t.Errorf("pending: %+v", all)
	}
	if n := len(b.Texts()); n != 4 {
		t.Errorf("%d messages", n)
	}
	a.Close()
	s.On("UID EXPUNGE", nil)
	a = server.open(t, state, briefly)
	flushed(t, a)
	if all := a.Pending(); len(all) > 0 {
		t.Errorf("pending: %+v", all)
	}
	if got := b.Texts(); len(got) != 3 || slices.Contains(got, string(text(100, 100))) {
		t.Errorf("%d messages", len(got))
	}
}
