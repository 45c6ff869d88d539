package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapfs/cache/spool"
	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// memoryChanges is a quick server with mailboxes A and B, and a line to it on which one can
// interfere; it is to be set before the account is opened.
func memoryChanges(t *testing.T) (changeServer, *peer, *cutter) {
	m, err := imaptest.NewMemory(imaptest.MemoryOptions{Revision2: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	s := changeServer{m.Addr, m.User, m.Password}
	p := newPeer(t, s)
	p.fill("A", 5, 100)
	p.fill("B", 2, 200)
	c := newCutter(t, m.Addr)
	s.addr = c.addr
	return s, p, c
}

// holding has a line wait until it is let go.
type holding struct {
	word    string
	reached chan struct{} // one is sent when a line waits
	free    chan struct{} // closed: nothing waits
	once    sync.Once
}

func hold(t *testing.T, c *cutter, word string) *holding {
	h := &holding{word: word, reached: make(chan struct{}, 100), free: make(chan struct{})}
	c.onMeeting(func(line string) {
		if strings.Contains(line, h.word) {
			h.reached <- struct{}{}
			<-h.free
		}
	})
	t.Cleanup(h.letGo)
	return h
}

func (h *holding) letGo() { h.once.Do(func() { close(h.free) }) }

func TestReadersDoNotWaitForAChange(t *testing.T) {
	t.Parallel()
	s, _, c := memoryChanges(t)
	h := hold(t, c, " STORE ")
	a := s.open(t)
	m, other := box(t, a, "A"), box(t, a, "B")
	v := mustLoadIn(t, m).Validity()
	done := make(chan error, 1)
	go func() { done <- m.Delete(within(t, patient), v, 2) }()
	<-h.reached
	if n := mustLoadIn(t, other).Len(); n != 2 {
		t.Errorf("B has %d messages", n)
	}
	checkText(t, m, 3, text(102, 102))
	if m.Snapshot().Len() != 5 {
		t.Error("the message is gone before the server says so")
	}
	h.letGo()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantVisible(t, m, "100", "102", "103", "104")
}

func TestAnInterruptedChangeGoesOn(t *testing.T) {
	t.Parallel()
	s, p, c := memoryChanges(t)
	h := hold(t, c, " MOVE ")
	a := s.open(t)
	m, to := box(t, a, "A"), box(t, a, "B")
	v := mustLoadIn(t, m).Validity()
	mustLoadIn(t, to)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := m.MoveTo(ctx, v, 2, to)
		done <- err
	}()
	<-h.reached
	cancel()
	wantKind(t, <-done, Interrupted)
	h.letGo()
	eventually(t, patient, "the message has moved", func() bool { return m.Snapshot().Len() == 4 && to.Snapshot().Len() == 3 })
	p.wants("B", "200", "201", "101")
}

func TestOneConnectionIsEnoughForChanges(t *testing.T) {
	t.Parallel()
	s, p, _ := memoryChanges(t)
	a := s.open(t, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
	m, to := box(t, a, "A"), box(t, a, "B")
	v := mustLoadIn(t, m).Validity()
	var group sync.WaitGroup
	for i := range 5 {
		group.Go(func() {
			var err error
			if uid := UID(i + 1); i%2 == 0 {
				err = m.Delete(within(t, patient), v, uid)
			} else {
				_, err = m.MoveTo(within(t, patient), v, uid, to)
			}
			if err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			if _, err := to.Load(within(t, patient)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	m2, err := a.CreateMailbox(within(t, patient), a.Tree().Root(), "new")
	if err == nil {
		err = a.RemoveMailbox(within(t, patient), m2)
	}
	if err != nil {
		t.Fatal(err)
	}
	wantVisible(t, m)
	if n := mustLoadIn(t, to).Len(); n != 4 {
		t.Errorf("B shows %d messages", n)
	}
	if got := p.list("B"); len(p.list("A")) != 0 || len(got) != 4 {
		t.Errorf("there are %q in B", got)
	}
}

func TestAMailboxThatGetsMailIsNotRemoved(t *testing.T) {
	t.Parallel()
	s, p, c := memoryChanges(t)
	p.fill("C", 0, 0)
	var came atomic.Bool
	c.onMeeting(func(line string) {
		if strings.Contains(line, " RENAME ") && !came.Swap(true) {
			p.append("C", 500) // after everybody has seen that there is nothing
		}
	})
	a := s.open(t, func(c *Config, _ *imapconn.Dialer) { c.State = t.TempDir() })
	m := box(t, a, "C")
	mustLoadIn(t, m)
	wantKind(t, a.RemoveMailbox(within(t, patient), m), NotEmpty)
	p.wants("C", "500")
	if names := p.names(); !slices.Equal(names, []string{"A", "B", "C", "INBOX"}) {
		t.Errorf("there are %q", names)
	}
	if got := mustLoadIn(t, box(t, a, "C")); !slices.Equal(sizes(got), []string{"500"}) {
		t.Errorf("C shows %q", sizes(got))
	}
	if n := len(a.spool.Parkings()); n > 0 {
		t.Errorf("%d mailboxes are noted as aside", n)
	}
}

func TestACrashDuringRmdirIsUndone(t *testing.T) {
	t.Parallel()
	s, p, _ := memoryChanges(t)
	dir := t.TempDir()
	j, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	aside := asideName("A", '/')
	for _, note := range []spool.Parking{{Old: "A", New: aside}, {Old: "B", New: asideName("B", '/')}, {Old: "gone", New: asideName("gone", '/')}} {
		if _, err := j.BeginParking(note); err != nil {
			t.Fatal(err)
		}
	}
	p.must(j.Close())
	p.must(p.c.Rename(p.ctx(), "A", aside))
	a := s.open(t, func(c *Config, _ *imapconn.Dialer) { c.State = dir })
	if names := p.names(); !slices.Equal(names, []string{"A", "B", "INBOX"}) || len(a.spool.Parkings()) > 0 {
		t.Errorf("there are %q, and %d notes", names, len(a.spool.Parkings()))
	}
	if n := mustLoadIn(t, box(t, a, "A")).Len(); n != 5 {
		t.Errorf("A shows %d messages", n)
	}
}

func TestAReadOnlyMailboxIsNotChanged(t *testing.T) {
	t.Parallel()
	s, p, c := memoryChanges(t)
	c.rewriting(func(line string) string { return strings.ReplaceAll(line, "[READ-WRITE]", "[READ-ONLY]") })
	a := s.open(t)
	m := box(t, a, "A")
	v := mustLoadIn(t, m).Validity()
	wantKind(t, m.Delete(within(t, patient), v, 2), ReadOnly)
	_, err := m.MoveTo(within(t, patient), v, 2, box(t, a, "B"))
	wantKind(t, err, ReadOnly)
	wantKind(t, m.SetFlags(within(t, patient), v, 2, []string{`\Flagged`}, nil), ReadOnly)
	wantVisible(t, m, "100", "101", "102", "103", "104")
	p.wants("A", "100", "101", "102", "103", "104")
}

func TestExpungeNamesWhatGoes(t *testing.T) {
	t.Parallel()
	st := imaptest.NewStrict(t, imaptest.StrictOptions{Delimiter: '/'})
	s := changeServer{st.Addr, st.User, st.Password}
	p := newPeer(t, s)
	p.fill("A", 5, 100)
	p.mark("A", true, `\Deleted`, 4)
	a := s.open(t)
	m := box(t, a, "A")
	if err := m.Delete(within(t, patient), mustLoadIn(t, m).Validity(), 2); err != nil {
		t.Fatal(err)
	}
	wantVisible(t, m, "100", "102", `103 \Deleted`, "104")
	// The directory that looks empty but for others' mail is not.
	wantKind(t, a.RemoveMailbox(within(t, patient), m), NotEmpty)
	var named []UID
	ask := func(answer bool) {
		t.Helper()
		named = nil
		if err := a.Expunge(within(t, patient), m, func(_ UIDValidity, all []Message) bool {
			for _, msg := range all {
				named = append(named, msg.UID)
			}
			return answer
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(named, []UID{2, 4}) {
			t.Errorf("named are %v", named)
		}
	}
	ask(false)
	p.wants("A", "100", `101 \Deleted`, "102", `103 \Deleted`, "104")
	ask(true)
	p.wants("A", "100", "102", "104")
	eventually(t, patient, "they are shown no more", func() bool { return slices.Equal(sizes(mustLoadIn(t, m)), []string{"100", "102", "104"}) })
}

// TestAStaleListingBringsNothingBack has a session list a message that another one of
// ours has removed meanwhile.
func TestAStaleListingBringsNothingBack(t *testing.T) {
	t.Parallel()
	s, p, _ := memoryChanges(t)
	a := s.open(t)
	m := box(t, a, "A")
	v := mustLoadIn(t, m).Validity()
	if err := m.Delete(within(t, patient), v, 2); err != nil {
		t.Fatal(err)
	}
	m.index.mu.Lock()
	next, _ := m.snap.Load().apply([]edit{{record: newRecord(2, 101, 0, 0)}})
	m.index.mu.Unlock()
	l, err := a.pool.acquire(within(t, patient), want{box: m})
	if err != nil {
		t.Fatal(err)
	}
	m.startWork(l.epoch)
	err = m.publish(next, l, time.Now())
	m.endWork()
	l.release()
	if err != nil {
		t.Fatal(err)
	}
	wantVisible(t, m, "100", "102", "103", "104")
	if m.Snapshot().Validity() != v {
		t.Error("the mailbox has another UIDVALIDITY")
	}
	p.wants("A", "100", "102", "103", "104")
}

func TestAMoveOfWhatIsGoneSaysSo(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{}) // the server in memory breaks down over it
	s := changeServer{d.Addr, d.User, d.Password}
	p := newPeer(t, s)
	p.fill("A", 5, 100)
	p.fill("B", 2, 200)
	c := newCutter(t, d.Addr)
	s.addr = c.addr
	var gone atomic.Bool
	c.onMeeting(func(line string) {
		if strings.Contains(line, " MOVE ") && !gone.Swap(true) {
			p.mark("A", true, `\Deleted`, 2)
			p.expunge("A")
		}
	})
	a := s.open(t)
	m, to := box(t, a, "A"), box(t, a, "B")
	v := mustLoadIn(t, m).Validity()
	_, err := m.MoveTo(within(t, patient), v, 2, to)
	wantKind(t, err, NotExist)
	if n := mustLoadIn(t, to).Len(); n != 2 {
		t.Errorf("B shows %d messages", n)
	}
	// So does one into a mailbox that is gone, which is named.
	p.must(p.c.Delete(p.ctx(), "B"))
	_, err = m.MoveTo(within(t, patient), v, 1, to)
	wantKind(t, err, NotExist)
	var said *Error
	if !errors.As(err, &said) || said.Mailbox != "B" {
		t.Errorf("%v is about %q", err, said.Mailbox)
	}
	p.wants("A", "100", "102", "103", "104")
}

func TestGmailsMessagesGoToTheTrash(t *testing.T) {
	t.Parallel()
	s, p, c := memoryChanges(t)
	c.rewriting(func(line string) string { return strings.Replace(line, " IMAP4rev2", " IMAP4rev2 X-GM-EXT-1", 1) })
	a := s.open(t)
	m := box(t, a, "A")
	if err := m.Delete(within(t, patient), mustLoadIn(t, m).Validity(), 2); err != nil {
		t.Fatal(err)
	}
	wantVisible(t, m, "100", "102", "103", "104")
	p.wants(deletedMessages, "101")
}
