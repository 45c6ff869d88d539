package cache

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// strictServers are servers of RFC 1730 in all that it permits.
var strictServers = map[string]imaptest.StrictOptions{
	"plain":              {Delimiter: '/'},
	"out of order":       {OutOfOrder: true, ExpungeInFetch: true, Delimiter: '.'},
	"odd words":          {BareFetch: true, Obsolete: true, OldDates: true, NoPermanentFlags: true},
	"everything at once": {OutOfOrder: true, ExpungeInFetch: true, BareFetch: true, Obsolete: true, OldDates: true, NoPermanentFlags: true, Delimiter: '\\'},
}

func openStrict(t *testing.T, s *imaptest.Strict, change ...settings) *Account {
	t.Helper()
	return open(t, s.Addr, s.User, s.Password, change...)
}

func TestRFC1730FromMailboxesToOctets(t *testing.T) {
	t.Parallel()
	for name, o := range strictServers {
		t.Run(name, func(t *testing.T) {
			s := imaptest.NewStrict(t, o)
			sizes := []int{0, 1, 60, 8000, smallText, smallText + 1, 3_000_001}
			day := time.Date(1994, 7, 17, 2, 44, 25, 0, time.FixedZone("", -7*3600))
			for i, n := range sizes {
				s.Deliver("INBOX", text(i, n), day.Add(time.Duration(i)*time.Hour), `\Flagged`)
			}
			for _, name := range []string{"R&D", "Entw\xfcrfe", "a&b/c.d", "Entw&APw-rfe"} {
				s.Create(name)
				s.Deliver(name, text(9, 100), day)
			}
			a := openStrict(t, s)
			m := box(t, a, "INBOX")
			snap := mustLoad(t, m)
			if snap.Len() != len(sizes) || snap.Validity() != 731 {
				t.Fatalf("%d messages under %d", snap.Len(), snap.Validity())
			}
			for i, n := range sizes {
				mes := snap.At(i)
				checkText(t, m, mes.UID, text(i, n))
				if mes.Date != day.Add(time.Duration(i)*time.Hour).Unix() || !slices.Equal(mes.Flags, []string{`\Flagged`}) {
					t.Errorf("message %d: date %d, flags %q", mes.UID, mes.Date, mes.Flags)
				}
			}
			n := 0
			for m := range a.Tree().all {
				if m.Selectable() && m.Name() != "INBOX" {
					n++
					if snap := mustLoad(t, m); snap.Len() != 1 {
						t.Errorf("%q holds %d messages", m.WireName(), snap.Len())
					}
					checkText(t, m, 1, text(9, 100))
				}
			}
			if n != 4 {
				t.Errorf("%d mailboxes of 4", n)
			}
			for uid := range UID(len(sizes)) {
				if got := s.Flags("INBOX", uid+1); !slices.Equal(got, []string{`\Flagged`, `\Recent`}) {
					t.Errorf("reading has made the flags of %d %q", uid+1, got)
				}
			}
			if got := s.Commands("SELECT"); len(got) > 0 {
				t.Errorf("%q was sent", got)
			}
		})
	}
}

func TestTheEndOfALargeTextComesByPARTIAL(t *testing.T) {
	t.Parallel()
	s := imaptest.NewStrict(t, imaptest.StrictOptions{})
	want := text(1, 20<<20)
	s.Deliver("INBOX", text(0, 50), time.Now())
	s.Deliver("INBOX", want, time.Now())
	p := imaptest.NewProxy(t, s.Addr)
	a := open(t, p.Addr, s.User, s.Password)
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	p.Reset()
	if size, err := m.Open(within(t, short), v, 2); err != nil || size != int64(len(want)) {
		t.Fatalf("%d, %v", size, err)
	}
	got := make([]byte, 1000)
	if n, err := m.ReadAt(within(t, short), v, 2, got, int64(len(want)-1000)); err != nil || n != 1000 || string(got) != string(want[len(want)-1000:]) {
		t.Fatalf("%d octets, %v", n, err)
	}
	if n := p.Counters().Down; n > 512<<10 {
		t.Errorf("%d octets for the last thousand", n)
	}
	got = []byte(strings.Join(s.Commands("PARTIAL"), "\n"))
	if n := strings.Count(string(got), "PARTIAL 2 RFC822.PEEK "); n != 2 || !strings.Contains(string(got), "PEEK 1 131072") {
		t.Errorf("%s", got)
	}
}

// Another client expunges messages before the one that is read while it is read.
func TestPARTIALIsRightWhileMessagesAreExpunged(t *testing.T) {
	t.Parallel()
	for name, o := range strictServers {
		t.Run(name, func(t *testing.T) {
			s := imaptest.NewStrict(t, o)
			texts := make(map[UID][]byte)
			for uid := UID(1); uid <= 60; uid++ {
				n := 200
				if uid%6 == 0 {
					n = 1_000_000 + int(uid)
				}
				texts[uid] = text(int(uid), n)
				s.Deliver("INBOX", texts[uid], time.Now())
			}
			a := openStrict(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 20 * time.Millisecond })
			m := box(t, a, "INBOX")
			mustLoad(t, m)
			stop := make(chan struct{})
			var others sync.WaitGroup
			others.Go(func() {
				for uid := UID(1); uid <= 60; uid++ {
					if uid%6 == 0 {
						continue // the large ones stay
					}
					s.Expunge("INBOX", uid)
					s.Deliver("INBOX", text(int(uid)+1000, 300), time.Now())
					select {
					case <-time.After(5 * time.Millisecond):
					case <-stop:
						return
					}
				}
			})
			var readers sync.WaitGroup
			for r := range 3 {
				readers.Go(func() {
					for i := range 10 {
						uid := UID(6 + 6*((i+3*r)%10))
						got, err := readAll(t, m, uid, blockLen)
						if want := texts[uid]; err != nil || string(got) != string(want) {
							t.Errorf("message %d: %d octets, %v, first difference at %d", uid, len(got), err, firstDifference(got, want))
						}
					}
				})
			}
			readers.Wait()
			close(stop)
			others.Wait()
			if len(s.Commands("PARTIAL")) == 0 {
				t.Error("PARTIAL was not sent")
			}
		})
	}
}

func TestRFC1730NewsComeByPoll(t *testing.T) {
	t.Parallel()
	for name, o := range strictServers {
		t.Run(name, func(t *testing.T) {
			s := imaptest.NewStrict(t, o)
			boxes := []string{"INBOX", "one", "two", "three"}
			for i, name := range boxes {
				if i > 0 {
					s.Create(name)
				}
				for k := range 4 {
					s.Deliver(name, text(10*i+k, 100), time.Now())
				}
			}
			a := openStrict(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 50 * time.Millisecond; c.Connections = 2 })
			for _, name := range boxes {
				mustLoad(t, box(t, a, name))
			}
			for i, name := range boxes {
				s.Deliver(name, text(10*i+5, 150), time.Now())
				s.Expunge(name, 2)
			}
			for _, name := range boxes {
				m := box(t, a, name)
				eventually(t, short, name+" has its news", func() bool { return fmt.Sprint(uids(m.Snapshot())) == "[1 3 4 5]" })
			}
			s.Create("four")
			s.Remove("one")
			eventually(t, short, "the tree has its news", func() bool {
				root := a.Tree().Root()
				return a.Tree().Child(root, "four") != nil && a.Tree().Child(root, "one") == nil
			})
			// A mailbox made anew, and one whose UIDs are others.
			s.SetValidity("two", 4711, 1)
			eventually(t, short, "another UIDVALIDITY", func() bool { return mustLoad(t, box(t, a, "two")).Validity() == 4711 })
			for _, command := range []string{"STATUS", "IDLE", "UNSELECT", "NAMESPACE", "ID", "ENABLE", "CLOSE", "SELECT"} {
				if got := s.Commands(command); len(got) > 0 {
					t.Errorf("%q was sent", got)
				}
			}
		})
	}
}
