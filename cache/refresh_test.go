package cache

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// withoutIDLE is a server that says nothing unless it is asked, and holds INBOX,
// Sent and Old with one message each, all of which have been loaded; into Old
// nobody has looked lately.
func withoutIDLE(t *testing.T) (*imaptest.Scripted, *Account) {
	t.Helper()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1 UNSELECT")
	for _, name := range []string{"INBOX", "Sent", "Old"} {
		s.Mailbox(name).Add(text(1, 100))
	}
	a := openScripted(t, s)
	if err := box(t, a, "Old").ask(t.Context(), "load"); err != nil { // not touched
		t.Fatal(err)
	}
	for _, name := range []string{"INBOX", "Sent"} {
		mustLoad(t, box(t, a, name))
	}
	return s, a
}

func TestRefreshLooksAtEverythingAnew(t *testing.T) {
	t.Parallel()
	s, a := withoutIDLE(t)
	in, sent, old := box(t, a, "INBOX"), box(t, a, "Sent"), box(t, a, "Old")
	s.On("NOOP", func(c *imaptest.Call) { c.Done("OK nothing is said of anything") })
	s.Mailbox("INBOX").Add(text(2, 200))
	s.Mailbox("INBOX").SetFlags(1, `\Flagged`)
	s.Mailbox("Sent").Expunge(1, imaptest.CourierGone)
	s.Mailbox("Old").Add(text(2, 200))
	s.Mailbox("New")
	for _, m := range []*Mailbox{in, sent} {
		if got := mustLoad(t, m); got.Len() != 1 {
			t.Fatalf("%s has %d messages: nobody has asked", m.Name(), got.Len())
		}
	}
	examined := len(s.Commands("EXAMINE"))
	if err := a.Refresh(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := in.Snapshot(); got.Len() != 2 || !slices.Equal(got.At(0).Flags, []string{`\Flagged`}) {
		t.Errorf("INBOX has %v, flags %q", uids(got), got.At(0).Flags)
	}
	if got := sent.Snapshot().Len(); got != 0 {
		t.Errorf("Sent has %d messages", got)
	}
	box(t, a, "New")
	if now := s.Commands("EXAMINE")[examined:]; slices.ContainsFunc(now, func(c string) bool { return strings.Contains(c, "Old") }) || len(now) < 2 {
		t.Errorf("examined: %q", now)
	}
	// Whoever enters the others next asks.
	if got := mustLoad(t, old).Len(); got != 2 {
		t.Errorf("Old has %d messages", got)
	}
}

// A LIST that was asked for before may have been answered before.
func TestRefreshIsNotContentWithALISTUnderWay(t *testing.T) {
	t.Parallel()
	s, a := withoutIDLE(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(answer) })
	defer goOn()
	var lists atomic.Int32
	s.On("LIST", func(c *imaptest.Call) {
		if lists.Add(1) == 1 {
			c.Send(`* LIST () "/" INBOX`)
			close(asked)
			<-answer
			c.Done("OK this is how it was")
			return
		}
		c.Default()
	})
	waiting := a.trees.refresh(t.Context(), 0)
	<-asked
	s.Mailbox("New")
	done := make(chan error, 1)
	go func() { done <- a.Refresh(within(t, 30*time.Second)) }()
	eventually(t, 30*time.Second, "Refresh has begun", func() bool { return box(t, a, "Old").news.Load() }) // nobody looks there
	goOn()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	<-waiting.done
	box(t, a, "New")
}

// A login that was refused is put off; whoever has put it right need not wait.
func TestRefreshLogsInAtOnce(t *testing.T) {
	t.Parallel()
	s, a := withoutIDLE(t)
	s.On("LOGIN", func(c *imaptest.Call) { c.Done("NO [AUTHENTICATIONFAILED] not now") })
	s.Cut()
	wantKind(t, a.Refresh(within(t, 30*time.Second)), Access)
	a.pool.mu.Lock()
	a.pool.notBefore = time.Now().Add(time.Hour) // as after many
	a.pool.mu.Unlock()
	if st := a.Status(); st.DownSince.IsZero() || !strings.Contains(st.Down, "not now") {
		t.Errorf("down since %v: %q", st.DownSince, st.Down)
	}
	s.On("LOGIN", nil)
	s.Mailbox("INBOX").Add(text(2, 200))
	if err := a.Refresh(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := box(t, a, "INBOX").Snapshot().Len(); got != 2 {
		t.Errorf("%d messages", got)
	}
	if st := a.Status(); !st.DownSince.IsZero() || st.Down != "" {
		t.Errorf("still down: %q", st.Down)
	}
}

// One mailbox that cannot be had keeps nobody from the others.
func TestRefreshGoesOnBehindARefusal(t *testing.T) {
	t.Parallel()
	s, a := withoutIDLE(t)
	s.Mailbox("Sent").Refuse("[NOPERM] no")
	s.Mailbox("INBOX").Add(text(2, 200))
	err := a.Refresh(within(t, 30*time.Second))
	wantKind(t, err, Access)
	if !strings.Contains(err.Error(), `"Sent"`) {
		t.Errorf("%v does not say which", err)
	}
	if got := box(t, a, "INBOX").Snapshot().Len(); got != 2 {
		t.Errorf("%d messages", got)
	}
}

func TestRefreshEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, a := withoutIDLE(t)
	stalled := make(chan struct{})
	defer close(stalled)
	s.On("EXAMINE", func(c *imaptest.Call) {
		<-stalled
		c.Default()
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Refresh(ctx) }()
	eventually(t, 30*time.Second, "it waits", func() bool { return len(s.Commands("EXAMINE")) > 3 })
	cancel()
	wantKind(t, <-done, Interrupted)
}

// What idles goes on idling where the index follows then.
func TestRefreshKeepsTheWatch(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 100))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	followed := func() bool {
		h := m.follow.Load()
		for _, c := range a.Status().Connections {
			if c.Idling && c.Mailbox == "INBOX" && h != nil && h.live() {
				return true
			}
		}
		return false
	}
	eventually(t, 30*time.Second, "IDLE", followed)
	for n := range 3 {
		before := m.follow.Load()
		if err := a.Refresh(within(t, 30*time.Second)); err != nil {
			t.Fatal(err)
		}
		if m.follow.Load() == before {
			t.Fatal("it was not examined anew")
		}
		eventually(t, 30*time.Second, "IDLE again", followed)
		s.Mailbox("INBOX").Add(text(2, 100))
		eventually(t, 30*time.Second, fmt.Sprintf("news, %d", n), func() bool { return m.Snapshot().Len() == n+2 })
	}
}

func TestRefreshAsksForTheQuotaAgain(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1 QUOTA")
	s.Mailbox("INBOX")
	s.On("GETQUOTAROOT", func(c *imaptest.Call) { c.Done("OK done") })
	a := openScripted(t, s, func(*Config, *imapconn.Dialer) {})
	for n := range 2 {
		a.Usage()
		eventually(t, 30*time.Second, "the quota", func() bool { return len(s.Commands("GETQUOTAROOT")) == n+1 })
		if err := a.Refresh(within(t, 30*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}
