package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// A sampled is a server whose sample of INBOX, from a moment on, is answered by the test:
// what is asked for behind it is answered before it, as a server may.
type sampled struct {
	*imaptest.Scripted
	in, other *imaptest.Box
	asked     chan *imaptest.Call // samples
	texts     chan struct{}       // texts that have been sent
}

// newSampled has two mailboxes of 3 messages each; the texts under one UID have one length.
func newSampled(t *testing.T) *sampled {
	t.Helper()
	s := &sampled{Scripted: imaptest.NewScripted(t), asked: make(chan *imaptest.Call, 9), texts: make(chan struct{}, 99)}
	s.Capabilities("IMAP4rev1 LITERAL+ UNSELECT UIDPLUS") // nothing is sent unasked
	s.in, s.other = s.Mailbox("INBOX"), s.Mailbox("other")
	for i := range 3 {
		s.in.AddDated(text(i+1, 1000), "", time.Unix(1_000_000_000+int64(i), 0))
		s.other.AddDated(text(i+11, 1000), "", time.Unix(1_100_000_000+int64(i), 0))
	}
	return s
}

// isSample reports whether a UID FETCH is that of a sample.
func isSample(c *imaptest.Call) bool {
	return strings.HasSuffix(c.Args, "(UID INTERNALDATE RFC822.SIZE)")
}

// hold has samples wait for the test.
func (s *sampled) hold() {
	s.On("UID FETCH", func(c *imaptest.Call) {
		if isSample(c) {
			s.asked <- c
			return
		}
		c.Default()
		if strings.Contains(c.Args, "BODY") {
			s.texts <- struct{}{}
		}
	})
}

// differ answers a sample as a server does that has other messages under the UIDs.
func differ(c *imaptest.Call) {
	for uid := range 3 {
		c.Send(fmt.Sprintf(`* %d FETCH (UID %d INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 1000)`, uid+1, uid+1))
	}
	c.Done("OK done")
}

// left opens the account over one connection, with both mailboxes known and INBOX not
// selected any more.
func (s *sampled) left(t *testing.T, change ...settings) (m, other *Mailbox) {
	t.Helper()
	a := openScripted(t, s.Scripted, append(change, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })...)
	return moveOn(t, a)
}

// moveOn reads both mailboxes, INBOX first, over an account that has one connection, and waits
// until nobody watches any: a watch wants the connection, and who wants it next waits behind.
func moveOn(t *testing.T, a *Account) (m, other *Mailbox) {
	t.Helper()
	m, other = box(t, a, "INBOX"), box(t, a, "other")
	mustLoad(t, m)
	eventually(t, short, "the server is known to have no IDLE", a.idleMute.is)
	mustLoad(t, other)
	return m, other
}

// receive waits for what a channel gives.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(short):
		t.Fatalf("not after %v: %s", short, what)
	}
	panic("unreachable")
}

// openLater opens a message, and tells what came of it.
func openLater(t *testing.T, m *Mailbox, uid UID) chan error {
	opened := make(chan error, 1)
	go func() {
		_, err := m.Open(within(t, short), m.Snapshot().Validity(), uid)
		opened <- err
	}()
	return opened
}

// To read one message where the mailbox must be selected costs the EXAMINE and one flight
// more, in which the sample and the text are.
func TestATextSharesTheFlightOfTheSample(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1000, 1_500_000} {
		s := newSampled(t)
		s.in.Add(text(4, n))
		p := imaptest.NewProxy(t, s.Addr)
		p.SetDelay(4 * time.Millisecond)
		a := open(t, p.Addr, s.User, s.Password, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
		m, _ := moveOn(t, a)
		v := m.Snapshot().Validity()
		p.Reset()
		if _, err := m.Open(within(t, short), v, 4); err != nil {
			t.Fatal(err)
		}
		if c := p.Counters(); c.Turns != 2 {
			t.Errorf("%d octets: %d round trips, want 2", n, c.Turns)
		}
		checkText(t, m, 4, text(4, n))
	}
}

// A text that comes before the sample is judged is nobody's until then, and nobody's
// at all where the UIDs mean other messages.
func TestNobodyGetsATextBeforeTheSampleIsJudged(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		judge func(s *sampled, c *imaptest.Call)
		kind  Kind // of the error; 0: there is none
	}{
		"agrees":                         {func(_ *sampled, c *imaptest.Call) { c.Default() }, 0},
		"differs":                        {func(s *sampled, c *imaptest.Call) { differ(c); differ(<-s.asked) }, Stale},
		"is another in the first moment": {func(s *sampled, c *imaptest.Call) { differ(c); (<-s.asked).Default() }, 0},
		"is cut":                         {func(s *sampled, c *imaptest.Call) { c.Cut(); (<-s.asked).Default() }, 0},
		"is refused":                     {func(s *sampled, c *imaptest.Call) { c.Done("NO [NOPERM] not for you") }, Access},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSampled(t)
			m, _ := s.left(t)
			v := m.Snapshot().Validity()
			s.hold()
			opened := openLater(t, m, 2)
			header := make(chan error, 1)
			go func() {
				_, err := m.Header(within(t, short), v, 1)
				header <- err
			}()
			sample := receive(t, "the sample", s.asked)
			receive(t, "the text", s.texts)
			receive(t, "the header", s.texts)
			time.Sleep(20 * time.Millisecond) // a text that were given would be given now
			select {
			case err := <-opened:
				t.Fatalf("opened before the sample was answered: %v", err)
			case err := <-header:
				t.Fatalf("a header before the sample was answered: %v", err)
			default:
			}
			if _, ok := m.TryOpen(v, 2); ok {
				t.Fatal("it is kept before the sample was answered")
			}
			go c.judge(s, sample)
			for name, done := range map[string]chan error{"text": opened, "header": header} {
				if err := receive(t, name, done); c.kind == 0 && err != nil || c.kind != 0 && KindOf(err) != c.kind {
					t.Errorf("%s: error %v is %v, want %v", name, err, KindOf(err), c.kind)
				}
			}
			if c.kind == 0 {
				s.On("UID FETCH", nil)
				checkText(t, m, 2, text(2, 1000))
				return
			}
			if _, ok := m.TryOpen(v, 2); ok {
				t.Error("the text is kept")
			}
			if _, ok := tryReadAt(m, v, 2, make([]byte, 10), 0); ok {
				t.Error("the text can be read")
			}
		})
	}
}

// The mailbox of now is read under its new UIDVALIDITY, and never under the old one.
func TestATextBesideAnotherUIDValidityIsNotAskedFor(t *testing.T) {
	t.Parallel()
	s := newSampled(t)
	m, _ := s.left(t)
	v := m.Snapshot().Validity()
	s.in.Reuse(2, text(22, 1000))
	s.in.SetValidity(4242)
	if _, err := m.Open(within(t, short), v, 2); KindOf(err) != Stale {
		t.Errorf("opened under the old UIDVALIDITY: %v", err)
	}
	for _, c := range s.Commands("UID FETCH") {
		if strings.Contains(c, "BODY") {
			t.Errorf("a text was asked for: %s", c)
		}
	}
	mustLoad(t, m)
	checkText(t, m, 2, text(22, 1000))
}

// An EXAMINE that is refused has nothing behind it.
func TestNothingIsSentBehindAnEXAMINE(t *testing.T) {
	t.Parallel()
	s := newSampled(t)
	m, _ := s.left(t)
	before := len(s.Commands(""))
	examines := make(chan *imaptest.Call, 9)
	s.On("EXAMINE", func(c *imaptest.Call) { examines <- c })
	opened := openLater(t, m, 2)
	c := receive(t, "EXAMINE", examines)
	time.Sleep(20 * time.Millisecond)
	if came := s.Commands("")[before:]; len(came) != 1 {
		t.Errorf("came before EXAMINE was answered: %q", came)
	}
	s.On("EXAMINE", nil)
	c.Done("NO [NOPERM] not for you")
	wantKind(t, receive(t, "the error", opened), Access)
}

// Nothing is changed in a mailbox whose sample is not judged.
func TestAChangeWaitsForTheSample(t *testing.T) {
	t.Parallel()
	s := newSampled(t)
	m, _ := s.left(t)
	v := m.Snapshot().Validity()
	s.hold()
	done := make(chan error, 1)
	go func() { done <- m.SetFlags(within(t, short), v, 2, []string{`\Flagged`}, nil) }()
	sample := receive(t, "the sample", s.asked)
	time.Sleep(20 * time.Millisecond)
	if came := s.Commands("UID STORE"); len(came) != 0 {
		t.Errorf("came before the sample was answered: %q", came)
	}
	go func() { differ(sample); differ(<-s.asked) }()
	wantKind(t, receive(t, "the error", done), Stale)
	if came := s.Commands("UID STORE"); len(came) != 0 {
		t.Errorf("came for another message: %q", came)
	}
}

// Where whoever needed a mailbox has gone before the sample is judged, no other one is
// selected until it is: the second look of the judgement would be at that.
func TestASelectionIsKeptUntilItsSampleIsJudged(t *testing.T) {
	t.Parallel()
	s := newSampled(t)
	m, other := s.left(t)
	v := m.Snapshot().Validity()
	s.hold()
	ctx, cancel := context.WithCancel(within(t, short))
	l, err := m.account.pool.acquire(ctx, want{box: m, early: true})
	if err != nil {
		t.Fatal(err)
	}
	sample := receive(t, "the sample", s.asked)
	cancel()
	if err := l.proven(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("judged before the sample was answered: %v", err)
	}
	l.release()

	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		if _, err := other.Open(within(t, short), other.Snapshot().Validity(), 2); err != nil {
			t.Errorf("the other mailbox: %v", err)
		}
	})
	eventually(t, short, "somebody waits for the connection", func() bool {
		m.account.pool.mu.Lock()
		defer m.account.pool.mu.Unlock()
		return len(m.account.pool.queue) > 0
	})
	examined := len(s.Commands("EXAMINE"))
	differ(sample)
	again := receive(t, "the second look", s.asked)
	if n := len(s.Commands("EXAMINE")); n != examined {
		t.Error("the other mailbox was selected before the judgement")
	}
	again.Default()
	receive(t, "the sample of the other", s.asked).Default()
	group.Wait()
	if now := m.current.Load().validity; now != v {
		t.Errorf("UIDVALIDITY %d, and was %d", now, v)
	}
}

// A selection that is judged, or supposes what is over, is not lent early: a reader of the
// messages of now would be told that they are those of another UIDVALIDITY.
func TestOnlyWhatIsSupposedNowIsLentEarly(t *testing.T) {
	t.Parallel()
	m, _ := newSampled(t).left(t)
	now := m.current.Load()
	lent := func(change func(s *selection)) bool {
		s := newSelection(m)
		s.suppose(now)
		change(s)
		return s.awaitSampling(within(t, short))
	}
	if !lent(func(*selection) {}) {
		t.Error("not lent while the sample is on its way")
	}
	for range 20 { // of two channels that are closed either may be seen
		if lent(func(s *selection) { close(s.entered) }) {
			t.Fatal("lent as if it were not judged")
		}
	}
	if lent(func(*selection) { m.shuffled(now) }) {
		t.Error("lent under an epoch that is over")
	}
}
