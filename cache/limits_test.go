package cache

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

func TestAMailboxWithTooManyFlagsIsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	for i := range 400 {
		in.Add(text(i, 10))
	}
	s.On("UID FETCH", func(c *imaptest.Call) {
		for n := range 400 {
			c.Send(fmt.Sprintf(`* %d FETCH (UID %d RFC822.SIZE 10 FLAGS (%s%d))`, n+1, n+1, strings.Repeat("k", 60_000), n))
		}
		c.Done("OK done")
	})
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	_, err := m.Load(within(t, 4*short))
	wantKind(t, err, TooBig)
	if !errors.Is(err, errFlagSets) {
		t.Error(err)
	}
	if m.Snapshot() != nil {
		t.Error("it was published")
	}
	s.On("UID FETCH", nil)
	if n := mustLoad(t, m).Len(); n != 400 {
		t.Errorf("%d messages when the flags are gone", n)
	}
}

func TestAnAccountWithTooManyMessagesIsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 10))
	s.Mailbox("other").Add(text(2, 10))
	a := openScripted(t, s)
	mustLoad(t, box(t, a, "INBOX"))
	if n := a.indexed.Load(); n != 1 {
		t.Errorf("%d messages are counted", n)
	}
	a.indexed.Store(maxIndexed) // which nobody waits for here
	_, err := box(t, a, "other").Load(within(t, short))
	wantKind(t, err, TooBig)
	if !errors.Is(err, errIndexed) {
		t.Error(err)
	}
	a.indexed.Store(1)
	mustLoad(t, box(t, a, "other"))
	if n := a.indexed.Load(); n != 2 {
		t.Errorf("%d messages are counted", n)
	}
}

// What a session hears is bounded, taken up or not.
func TestASelectionMakesUsHoldOnlySoMuch(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 10))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	h := newHearing(m)
	h.follows = true
	for i := range 600 {
		h.Flags(UID(2), []string{strings.Repeat("k", 60_000) + fmt.Sprint(i)})
		if n := h.heard.flags.octets; n > maxFlagOctets+64<<10 {
			t.Fatalf("%d octets of flags are held", n)
		}
	}
	if !h.heard.changed {
		t.Error("what was dropped is not known to be missing")
	}
	var gone goneSet
	for i := range 3 * maxGone {
		gone.add(UID(2*i+1), UID(2*i+1))
	}
	if n := len(gone.set) + len(gone.fresh); n > 3*maxGone/2 {
		t.Errorf("%d of those that went are held", n)
	}
	h = newHearing(m)
	h.follows = true
	for i := range maxHeard + 10 {
		h.mu.Lock()
		h.heard.expunged = append(h.heard.expunged, UID(i))
		h.mu.Unlock()
		if i >= maxHeard {
			h.Expunged(5)
		}
	}
	if n := len(h.heard.expunged); n > 100 || !h.heard.changed {
		t.Errorf("%d that went are held", n)
	}
}

// The text is said to have 600,000 octets and never ends.
func TestATextWithoutAnEndIsGivenUp(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add(text(1, 600_000))
	var endless strings.Builder
	for endless.Len() < longRun {
		endless.WriteString("no end ")
	}
	s.On("UID FETCH", func(c *imaptest.Call) {
		var first, n int
		if i := strings.Index(c.Args, "BODY.PEEK[]<"); i < 0 {
			c.Default()
			return
		} else if _, err := fmt.Sscanf(c.Args[i:], "BODY.PEEK[]<%d.%d>", &first, &n); err != nil {
			t.Error(err)
		}
		c.Send(fmt.Sprintf("* 1 FETCH (UID 1 BODY[]<%d> {%d}\r\n%s)", first, n, endless.String()[:n]))
		c.Done("OK done")
	})
	limit := 3 * time.Second
	a := openScripted(t, s, func(c *Config, d *imapconn.Dialer) { c.Timeout = limit })
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	_, err := m.Open(within(t, limit), v, 1)
	wantKind(t, err, Timeout)
	eventually(t, 4*short, "the end of the load", func() bool {
		a.texts.mu.Lock()
		defer a.texts.mu.Unlock()
		return len(a.texts.loads) == 0
	})
}
