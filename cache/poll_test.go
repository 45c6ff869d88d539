package cache

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

func TestNothingIsSentWhenNobodyLooks(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 100))
	s.Mailbox("Sent").Add(text(1, 100))
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 20 * time.Millisecond })
	mustLoad(t, box(t, a, "INBOX"))
	m := box(t, a, "Sent")
	mustLoad(t, m)
	eventually(t, short, "polls", func() bool { return len(s.Commands("NOOP")) > 2 && len(s.Commands("LIST")) > 2 })
	// As after ten minutes.
	past := time.Now().Add(-lookedIntoFor).UnixNano()
	a.lastLook.Store(past)
	for m := range a.Tree().all {
		m.touched.Store(past)
	}
	eventually(t, short, "it is quiet", func() bool {
		n := len(s.Commands(""))
		time.Sleep(150 * time.Millisecond)
		return len(s.Commands("")) == n && a.pool.idling()
	})
	// Somebody looks again.
	n := len(s.Commands("LIST"))
	m.Touch()
	eventually(t, short, "polls again", func() bool { return len(s.Commands("LIST")) > n+2 })
}

func TestUnusedConnectionsAreClosedAndTheOthersKeptAlive(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1")
	s.Mailbox("INBOX")
	a := openScripted(t, s)
	count := func() int {
		a.pool.mu.Lock()
		defer a.pool.mu.Unlock()
		return len(a.pool.conns)
	}
	for range 3 {
		c, err := a.cfg.Dial(within(t, short))
		if err != nil {
			t.Fatal(err)
		}
		a.pool.add(c)
	}
	a.tend()
	if count() != 4 || len(s.Commands("NOOP")) > 0 {
		t.Errorf("%d connections are left, %q", count(), s.Commands("NOOP"))
	}
	a.pool.mu.Lock()
	for _, c := range a.pool.conns {
		c.used = time.Now().Add(-unusedNoop - time.Second)
	}
	a.pool.mu.Unlock()
	a.tend()
	if count() != 2 || len(s.Commands("NOOP")) != 2 || len(s.Commands("LOGOUT")) != 2 {
		t.Errorf("%d connections are left, %q %q", count(), s.Commands("NOOP"), s.Commands("LOGOUT"))
	}
}

func TestStatusIsComparedWithTheSnapshot(t *testing.T) {
	t.Parallel()
	s := NewSnapshot(7, 12, []Message{{UID: 1, Flags: []string{`\Seen`}}, {UID: 9}, {UID: 11}}, 1, time.Time{})
	e := &epoch{wire: 7, validity: 7}
	same := imapconn.StatusData{Messages: 3, UIDNext: 12, UIDValidity: 7, Unseen: 2,
		HasMessages: true, HasUIDNext: true, HasUIDValidity: true, HasUnseen: true}
	if !sameStatus(s, e, same) || !sameStatus(s, e, imapconn.StatusData{}) {
		t.Error("the same is taken for a change")
	}
	for what, change := range map[string]func(d *imapconn.StatusData){
		"messages": func(d *imapconn.StatusData) { d.Messages = 2 },
		"next":     func(d *imapconn.StatusData) { d.UIDNext = 13 },
		"validity": func(d *imapconn.StatusData) { d.UIDValidity = 8 },
		"unseen":   func(d *imapconn.StatusData) { d.Unseen = 3 },
	} {
		d := same
		change(&d)
		if sameStatus(s, e, d) {
			t.Errorf("%s: a change is not seen", what)
		}
	}
	if sameStatus(nil, e, same) || sameStatus(s, &epoch{wire: 7, validity: 9}, same) {
		t.Error("what is not known is the same")
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1")
	s.Mailbox("INBOX").Add(text(1, 100))
	s.Mailbox("INBOX").Add(text(1, 50))
	a := openScripted(t, s)
	if u, ok := a.Usage(); ok {
		t.Errorf("%+v is known of nothing", u)
	}
	mustLoad(t, box(t, a, "INBOX"))
	if u, ok := a.Usage(); !ok || u != (Usage{Used: 150, Messages: 2}) {
		t.Errorf("%+v", u)
	}
	s.Capabilities("IMAP4rev1 QUOTA")
	s.On("GETQUOTAROOT", func(c *imaptest.Call) {
		c.Send(`* QUOTAROOT INBOX ""`)
		c.Send(`* QUOTA "" (STORAGE 10 512)`)
		c.Done("OK done")
	})
	b := openScripted(t, s)
	b.Usage()
	eventually(t, short, "the quota", func() bool {
		u, ok := b.Usage()
		return ok && u == Usage{Used: 10 << 10, Limit: 512 << 10}
	})
	for range 20 {
		b.Usage()
	}
	if n := len(s.Commands("GETQUOTAROOT")); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
}

// An RFC 1730 server has neither partial FETCH nor UIDNEXT, STATUS or IDLE.
func TestAnIMAP4ServerIsRead(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4")
	in := s.Mailbox("INBOX")
	texts := map[UID][]byte{1: text(1, 1000), 2: text(2, 3_000_000), 3: text(3, 50)}
	for _, uid := range []UID{1, 2, 3} {
		in.Add(texts[uid])
	}
	s.On("EXAMINE", func(c *imaptest.Call) {
		c.Send("* 3 EXISTS")
		c.Send("* OK [UIDVALIDITY 1000] valid")
		c.Default()
	})
	s.On("STATUS", func(c *imaptest.Call) { c.Done("BAD what") })
	s.On("UID FETCH", func(c *imaptest.Call) {
		switch {
		case strings.Contains(c.Args, "BODY"):
			c.Done("BAD what")
		case strings.Contains(c.Args, "RFC822.PEEK"):
			var uid UID
			fmt.Sscan(c.Args, &uid)
			c.Send(fmt.Sprintf("* %d FETCH (UID %d RFC822 {%d}\r\n%s)", uid, uid, len(texts[uid]), texts[uid]))
			c.Done("OK done")
		default:
			c.Default()
		}
	})
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 50 * time.Millisecond })
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	for uid, want := range texts {
		checkText(t, m, uid, want)
	}
	in.Add(text(4, 70))
	eventually(t, short, "new mail", func() bool { return slices.Contains(uids(m.Snapshot()), UID(4)) })
}

func TestTheMemoryServer(t *testing.T) {
	t.Parallel()
	for _, options := range []imaptest.MemoryOptions{{}, {Revision2: true}} {
		s, err := imaptest.NewMemory(options)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		want := map[UID][]byte{1: text(1, 5000), 2: text(2, 2_000_000), 3: text(3, 200)}
		for _, uid := range []UID{1, 2, 3} {
			if err := s.Append("INBOX", want[uid], []string{`\Seen`}, time.Unix(1_600_000_000, 0)); err != nil {
				t.Fatal(err)
			}
		}
		a := open(t, s.Addr, s.User, s.Password)
		m := box(t, a, "INBOX")
		snap := mustLoad(t, m)
		if mes := snap.At(0); mes.Date != 1_600_000_000 || len(mes.Flags) != 1 {
			t.Errorf("%+v", mes)
		}
		for uid, w := range want {
			checkText(t, m, uid, w)
		}
		eventually(t, short, "IDLE", a.pool.idling)
		time.Sleep(100 * time.Millisecond)
		if err := s.Append("INBOX", text(4, 100), nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		eventually(t, short, "new mail", func() bool { return m.Snapshot().Len() == 4 })
		checkText(t, m, 4, text(4, 100))
		a.Close()
	}
}

// TestAMailboxMadeAgainBehindAnOpenOneIsFound has sessions go on with a deleted
// mailbox, as those of Courier do: NOOP and IDLE say nothing of the new one.
func TestAMailboxMadeAgainBehindAnOpenOneIsFound(t *testing.T) {
	t.Parallel()
	poll := func(c *Config, _ *imapconn.Dialer) { c.Poll = 20 * time.Millisecond }
	alone := func(c *Config, _ *imapconn.Dialer) { c.Poll, c.Connections = 20*time.Millisecond, 2 }
	for what, change := range map[string]settings{"STATUS": poll, "two connections": alone} {
		t.Run(what, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			b := s.Mailbox("INBOX")
			b.Add([]byte("old"))
			a := openScripted(t, s, change)
			m := box(t, a, "INBOX")
			old := mustLoad(t, m).Validity()
			b.SetValidity(uint32(old) + 7)
			eventually(t, short, "the new mailbox is shown", func() bool {
				m.Touch()
				return m.Snapshot().Validity() != old
			})
		})
	}
	t.Run("RFC 1730", func(t *testing.T) {
		s := imaptest.NewStrict(t, imaptest.StrictOptions{Delimiter: '/'})
		s.Create("Box")
		s.Deliver("Box", []byte("Subject: old\r\n\r\n"), time.Unix(0, 0))
		a := openStrict(t, s, poll)
		m := box(t, a, "Box")
		old := mustLoad(t, m).Validity()
		s.Remove("Box")
		s.Create("Box")
		s.Deliver("Box", []byte("Subject: new\r\n\r\n"), time.Unix(0, 0))
		eventually(t, short, "the new mailbox is shown", func() bool {
			m.Touch()
			return m.Snapshot().Validity() != old
		})
		checkText(t, m, 1, []byte("Subject: new\r\n\r\n"))
	})
}

// TestAMailboxIsEnteredAnewOnTheOnlyConnection cannot ask beside the
// selection: then the mailbox is entered anew now and then.
func TestAMailboxIsEnteredAnewOnTheOnlyConnection(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	b := s.Mailbox("INBOX")
	b.Add([]byte("old"))
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll, c.Connections = 20*time.Millisecond, 1 })
	m := box(t, a, "INBOX")
	old := mustLoad(t, m).Validity()
	b.SetValidity(uint32(old) + 7)
	time.Sleep(100 * time.Millisecond)
	if m.Snapshot().Validity() != old {
		t.Fatal("it was entered anew at once: that lists it at each poll")
	}
	m.entered.Store(time.Now().Add(-enterEvery).UnixNano())
	eventually(t, short, "the new mailbox is shown", func() bool {
		m.Touch()
		return m.Snapshot().Validity() != old
	})
}

// TestAUIDThatIsBackIsAnotherMessage has a mailbox deleted and made again within
// one second, where UIDVALIDITY is the time: all numbers are the same.
func TestAUIDThatIsBackIsAnotherMessage(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	b := s.Mailbox("INBOX")
	old := b.Add(text(1, 500))
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 20 * time.Millisecond })
	m := box(t, a, "INBOX")
	validity := mustLoad(t, m).Validity()
	checkText(t, m, old, text(1, 500))
	b.Expunge(old, imaptest.CourierGone)
	eventually(t, short, "the message is gone", func() bool { return mustLoad(t, m).Len() == 0 })
	b.Reuse(old, text(2, 600))
	eventually(t, short, "the other message is there", func() bool { return mustLoad(t, m).Len() == 1 })
	if m.Snapshot().Validity() == validity {
		t.Error("it is taken for the old one")
	}
	checkText(t, m, old, text(2, 600))
	_, err := m.Open(within(t, short), validity, old)
	wantKind(t, err, Stale)
}

func TestAnEmptyMailboxHasNoUIDsToChange(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	b := s.Mailbox("INBOX")
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 20 * time.Millisecond })
	m := box(t, a, "INBOX")
	first := mustLoad(t, m).Validity()
	b.SetValidity(uint32(first) + 1)
	s.Cut()
	eventually(t, short, "it is examined again", func() bool {
		mustLoad(t, m)
		return len(s.Commands("EXAMINE")) > 2
	})
	if got := m.Snapshot().Validity(); got != first {
		t.Errorf("UIDVALIDITY is %d, was %d", got, first)
	}
	uid := b.Add(text(1, 100))
	s.Cut()
	eventually(t, short, "the message is there", func() bool { return mustLoad(t, m).Len() == 1 })
	if got := m.Snapshot().Validity(); got != first+1 {
		t.Errorf("with a message UIDVALIDITY is %d, and the server says %d", got, first+1)
	}
	checkText(t, m, uid, text(1, 100))
}

// TestASessionThatIsWedgedIsGivenUp has an old session refuse a mailbox that a new
// one has, as Dovecot does where it was deleted and made again.
func TestASessionThatIsWedgedIsGivenUp(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	b := s.Mailbox("INBOX")
	b.Add(text(1, 100))
	s.Mailbox("other")
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll, c.Connections = time.Millisecond, 1 })
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	var wedged atomic.Bool
	wedged.Store(true)
	s.On("EXAMINE", func(c *imaptest.Call) {
		if strings.Contains(c.Args, "INBOX") && wedged.Load() {
			c.Done("NO Mailbox was deleted under us")
			return
		}
		c.Default()
	})
	s.On("LOGOUT", func(c *imaptest.Call) { wedged.Store(false); c.Default() })
	mustLoad(t, box(t, a, "other"))
	time.Sleep(5 * time.Millisecond) // what is known is older than Poll
	eventually(t, short, "it is listed in another session", func() bool {
		_, err := m.Load(within(t, short))
		return err == nil
	})
	if n := len(s.Commands("LOGOUT")); n != 1 {
		t.Errorf("%d sessions were given up", n)
	}
}

// TestARefusalIsDoubtedOnce has a mailbox refused that is listed: another client may have
// deleted it and made it again in between.
func TestARefusalIsDoubtedOnce(t *testing.T) {
	t.Parallel()
	for _, refusals := range []int64{1, math.MaxInt64} {
		s := imaptest.NewScripted(t)
		s.Mailbox("INBOX").Add(text(1, 100))
		// A session that has had nothing selected is not to blame.
		a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
		var left atomic.Int64
		left.Store(refusals)
		s.On("EXAMINE", func(c *imaptest.Call) {
			if left.Add(-1) >= 0 {
				c.Done("NO Mailbox does not exist, or must be subscribed to.")
				return
			}
			c.Default()
		})
		_, err := box(t, a, "INBOX").Load(within(t, patient))
		if refusals == 1 {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantKind(t, err, IO)
		if n := len(s.Commands("EXAMINE")); n != 3 { // twice, and once by the session that is given up for it
			t.Errorf("%d times examined", n)
		}
	}
}

// A listing of a large mailbox takes megabytes.
func TestAServerThatCannotCountIsListedOnce(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add(text(1, 100))
	s.Mailbox("Other")
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 20 * time.Millisecond })
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	mustLoad(t, box(t, a, "Other")) // STATUS is asked beside the one that is selected
	var messages atomic.Int64
	messages.Store(1)
	s.On("STATUS", func(c *imaptest.Call) {
		c.Send(fmt.Sprintf("* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN 77)", messages.Load(), messages.Load()+1, v))
		c.Done("OK done")
	})
	eventually(t, patient, "ten polls without a listing", func() bool {
		listed, n := len(s.Commands("UID FETCH")), len(s.Commands("STATUS"))
		eventually(t, short, "polls", func() bool { return len(s.Commands("STATUS")) > n+10 })
		return len(s.Commands("UID FETCH")) == listed
	})
	in.Add(text(2, 100))
	messages.Store(2)
	eventually(t, short, "new mail", func() bool { return m.Snapshot().Len() == 2 })
}

// TestAServerWhoseStatusIsWrongIsListedOnce has STATUS refused, or always name
// another UIDVALIDITY than EXAMINE.
func TestAServerWhoseStatusIsWrongIsListedOnce(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]func(c *imaptest.Call){
		"refused": func(c *imaptest.Call) { c.Done("NO not for you") },
		"another UIDVALIDITY": func(c *imaptest.Call) {
			c.Send(`* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 7 UNSEEN 1)`)
			c.Done("OK done")
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			s.Mailbox("INBOX").Add(text(1, 100))
			s.Mailbox("other")
			s.On("STATUS", func(c *imaptest.Call) {
				if strings.Contains(c.Args, "INBOX") {
					answer(c)
					return
				}
				c.Default()
			})
			a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll, c.Connections = 10*time.Millisecond, 3 })
			// A connection on which INBOX can be asked about.
			l, err := a.pool.acquire(within(t, short), want{box: box(t, a, "other")})
			if err != nil {
				t.Fatal(err)
			}
			defer l.release()
			m := box(t, a, "INBOX")
			mustLoad(t, m)
			count := func(command, part string) (n int) {
				for _, c := range s.Commands(command) {
					if strings.Contains(c, part) {
						n++
					}
				}
				return n
			}
			eventually(t, short, "it is asked about", func() bool { m.Touch(); return count("STATUS", "INBOX") > 10 })
			if n := count("UID FETCH", "1:*"); n > 3 {
				t.Errorf("listed %d times", n)
			}
		})
	}
}
