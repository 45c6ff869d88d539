package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// syncOffers is what servers offer of that by which changes are learned.
var syncOffers = map[string]string{
	"QRESYNC":                   imaptest.LargeSync,
	"CONDSTORE":                 strings.ReplaceAll(imaptest.LargeSync, " QRESYNC", ""),
	"CONDSTORE without ENABLE":  imaptest.LargeCapabilities + " CONDSTORE ESEARCH",
	"CONDSTORE without ESEARCH": imaptest.LargeCapabilities + " CONDSTORE",
	"nothing":                   imaptest.LargeCapabilities,
}

// listing is what a session says of all messages that knows nothing of before.
func listing(t testing.TB, addr, user, password, mailbox string) []string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	d := imapconn.Dialer{Host: host, Port: n, TLS: imapconn.TLSNone, Credentials: func(context.Context) (imapconn.Credentials, error) {
		return imapconn.Credentials{User: user, Password: password}, nil
	}}
	c, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Examine(t.Context(), mailbox, nil); err != nil {
		t.Fatal(err)
	}
	var all []string
	err = c.FetchMeta(t.Context(), imapconn.AllUIDs(), imapconn.MetaAll, func(f imapconn.Meta) {
		all = append(all, line(Message{UID: f.UID, Size: f.Size, Date: f.Date.Unix(), Flags: f.Flags}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func line(m Message) string {
	return fmt.Sprint(m.UID, " ", m.Size, " ", m.Date, " ", strings.Join(m.Flags, " "))
}

// messageLines is what a snapshot says of all messages.
func messageLines(s *Snapshot) []string {
	var all []string
	for i := range s.Len() {
		all = append(all, line(s.At(i)))
	}
	return all
}

func wantShown(t testing.TB, m *Mailbox, want []string) {
	t.Helper()
	got := messageLines(m.Snapshot())
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d messages, want %d; from %d on\n%q\nwant\n%q", len(got), len(want), i, got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
		}
	}
}

// relook has the server asked.
func relook(t testing.TB, m *Mailbox) {
	t.Helper()
	ctx := within(t, patient)
	if err := m.ask(ctx, "load"); err != nil {
		t.Fatal(err)
	}
}

// away cuts an account off, has something done, and lets it come back.
func away(p *imaptest.Proxy, do func()) {
	p.Refuse(true)
	p.Cut()
	do()
	p.Reset()
	p.Refuse(false)
}

// TestAReconnectCostsWhatHasChanged has ten messages of a large mailbox change while
// the account is cut off.
func TestAReconnectCostsWhatHasChanged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		messages int
		most     int64
	}{
		"QRESYNC":                   {100_000, 20_000},
		"CONDSTORE":                 {100_000, 20_000},
		"CONDSTORE without ESEARCH": {manyHere / 10, manyHere},
		"nothing":                   {manyHere / 10, 10 * manyHere},
	} {
		t.Run(name, func(t *testing.T) {
			s := imaptest.NewLarge(t, test.messages, 0)
			s.Offer(syncOffers[name])
			p := imaptest.NewProxy(t, s.Addr)
			a := open(t, p.Addr, s.User, s.Password, patiently)
			m := box(t, a, "INBOX")
			if _, err := m.Load(within(t, patient)); err != nil {
				t.Fatal(err)
			}
			eventually(t, patient, "IDLE", a.pool.idling)
			away(p, func() {
				for i := range UID(4) {
					s.SetFlags("INBOX", 1000*i+5, 1000*i+5, `\Flagged`)
				}
				s.Expunge("INBOX", 7, 5000, UID(test.messages)-1)
				s.Deliver("INBOX", 3)
			})
			relook(t, m)
			down := p.Counters().Down
			t.Logf("%d messages: %d octets from the server", test.messages, down)
			if down > test.most {
				t.Errorf("that is more than %d", test.most)
			}
			p.Refuse(true) // whoever lists now does not disturb
			wantShown(t, m, listing(t, s.Addr, s.User, s.Password, "INBOX"))
		})
	}
}

// TestWhatChangesMeanwhileIsSeen plays random programs of changes, some while the
// account is cut off, and compares with a listing by another client.
func TestWhatChangesMeanwhileIsSeen(t *testing.T) {
	t.Parallel()
	for name, offer := range syncOffers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.NewLarge(t, 3000, 1)
			s.Offer(offer)
			p := imaptest.NewProxy(t, s.Addr)
			a := open(t, p.Addr, s.User, s.Password, patiently, func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
			m := box(t, a, "INBOX")
			relook(t, m)
			m.Touch() // news come by IDLE
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			for range 12 {
				there := uids(m.Snapshot())
				some := func() UID { return there[r.IntN(len(there))] }
				changes := func() {
					for range 1 + r.IntN(4) {
						switch r.IntN(4) {
						case 0:
							s.Deliver("INBOX", 1+r.IntN(3))
						case 1:
							s.SetFlags("INBOX", some(), m.Snapshot().UIDNext()+2, `\Flagged`)
						case 2:
							uid := some()
							s.SetFlags("INBOX", uid, uid+UID(r.IntN(50)), fmt.Sprint("k", r.IntN(5)))
						case 3:
							k := r.IntN(len(there))
							n := min(1+r.IntN(20), len(there)-k-1)
							s.Expunge("INBOX", there[k:k+n]...)
							there = slices.Delete(there, k, k+n)
						}
					}
				}
				how := r.IntN(4)
				switch how {
				case 0: // as they happen
					changes()
				case 1: // the connection is lent to who reads another mailbox
					l, err := a.pool.acquire(within(t, patient), want{box: box(t, a, "box-0001"), fresh: true})
					if err != nil {
						t.Fatal(err)
					}
					changes()
					l.release()
				default:
					away(p, changes)
				}
				relook(t, m)
				if how > 0 && m.byPart.Load() != (offer != imaptest.LargeCapabilities) {
					t.Error("it was not made of what had changed, or of more")
				}
				wantShown(t, m, listing(t, s.Addr, s.User, s.Password, "INBOX"))
			}
		})
	}
}

// Each is a lie of a server with QRESYNC at the EXAMINE after a cut, in which two of
// 200 messages went, two came and one was flagged.
func TestAResyncThatIsALieIsNotBelieved(t *testing.T) {
	t.Parallel()
	replaced := func(from, to string) func([]string) []string {
		return func(lines []string) []string {
			return strings.Split(strings.ReplaceAll(strings.Join(lines, "\n"), from, to), "\n")
		}
	}
	without := func(what string) func([]string) []string {
		return func(lines []string) []string {
			return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, what) })
		}
	}
	with := func(line string) func([]string) []string {
		return func(lines []string) []string { return append(slices.Clone(lines), line) }
	}
	for name, lie := range map[string]func([]string) []string{
		"more have vanished":      with("* VANISHED (EARLIER) 20:30,199"),
		"all have vanished":       with("* VANISHED (EARLIER) 1:4294967295"),
		"nothing has vanished":    without("VANISHED"),
		"nothing has happened":    func(lines []string) []string { return without("FETCH")(without("VANISHED")(lines)) },
		"others have vanished":    replaced("(EARLIER) 50,60", "(EARLIER) 50,61:62"),
		"mod-sequences go back":   replaced("HIGHESTMODSEQ 6", "HIGHESTMODSEQ 1"),
		"there are none any more": with("* OK [NOMODSEQ] none"),
		"nor a word of them":      without("HIGHESTMODSEQ"),
		"it was another mailbox":  with("* OK [CLOSED] that was it"),
		"it was said too often": func(lines []string) []string {
			return append(slices.Clone(lines), slices.Repeat([]string{"* 3 FETCH (UID 3 FLAGS (x))"}, maxChanges+1000)...)
		},
		"what it does not have":    with("* VANISHED (EARLIER) 300:400,1000"), // and may say so
		"what was not changed":     with("* 9 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (1))"),
		"what is not there is new": with("* 999 FETCH (UID 999 FLAGS () MODSEQ (6))"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.NewLarge(t, 200, 0)
			s.Offer(imaptest.LargeSync)
			p := imaptest.NewProxy(t, s.Addr)
			a := open(t, p.Addr, s.User, s.Password, patiently)
			m := box(t, a, "INBOX")
			relook(t, m)
			away(p, func() {
				s.Expunge("INBOX", 50)
				s.Expunge("INBOX", 60)
				s.Deliver("INBOX", 1)
				s.Deliver("INBOX", 1)
				s.SetFlags("INBOX", 70, 70, `\Flagged`)
				s.Twist(func(lines []string) []string {
					if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "EARLIER") }) {
						return lines
					}
					return lie(lines)
				})
			})
			if name == "it was another mailbox" {
				s.Twist(func(lines []string) []string {
					return append(lines, append([]string{"* OK [CLOSED] x"}, lines[:5]...)...)
				})
			}
			relook(t, m)
			s.Twist(nil)
			wantShown(t, m, listing(t, s.Addr, s.User, s.Password, "INBOX"))
		})
	}
}

// TestAFlagInAMailboxThatNobodyHasOpenIsSeen: by HIGHESTMODSEQ in STATUS.
func TestAFlagInAMailboxThatNobodyHasOpenIsSeen(t *testing.T) {
	t.Parallel()
	s := imaptest.NewLarge(t, 10, 1)
	s.Offer(imaptest.LargeSync)
	a := open(t, s.Addr, s.User, s.Password, func(c *Config, d *imapconn.Dialer) {
		patiently(c, d)
		c.Poll, c.Connections = 50*time.Millisecond, 1
	})
	m, other := box(t, a, "INBOX"), box(t, a, "box-0001")
	m.Touch()
	other.Touch() // the watch is there
	relook(t, m)
	relook(t, other)
	if m.follow.Load().live() {
		t.Fatal("it is open")
	}
	s.SetFlags("INBOX", 3, 3, `\Seen \Flagged`)
	eventually(t, patient, "the flag", func() bool {
		found, _ := m.Snapshot().Find(3)
		return slices.Contains(found.Flags, `\Flagged`)
	})
}

// TestDovecotResynchronises has another client expunge, flag and append while the
// account is cut off, with Dovecot as it is and without this and that.
func TestDovecotResynchronises(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{})
	const messages = 300
	var mail [][]byte
	for i := range messages {
		mail = append(mail, text(i+1, 300+i))
	}
	for _, hidden := range []string{"", "QRESYNC", "CONDSTORE", "ENABLE", "ESEARCH"} {
		t.Run("without "+hidden, func(t *testing.T) {
			name := "box-" + hidden
			d.Deliver(t, name, mail...)
			o := imaptest.FilterOptions{}
			if hidden != "" {
				o.Hide = []string{hidden}
			}
			f := imaptest.NewFilter(t, d.Addr, o)
			p := imaptest.NewProxy(t, f.Addr)
			a := open(t, p.Addr, d.User, d.Password, patiently)
			m := box(t, a, name)
			relook(t, m)
			for round := range 3 {
				away(p, func() {
					uid := 50 * (round + 1)
					d.Doveadm("expunge", "-u", d.User, "mailbox", name, "uid", fmt.Sprintf("%d,%d:%d", uid, uid+3, uid+5))
					d.Doveadm("flags", "add", "-u", d.User, `\Flagged key`, "mailbox", name, "uid", fmt.Sprintf("%d,%d", uid+1, uid+20))
					d.Doveadm("flags", "remove", "-u", d.User, `\Flagged`, "mailbox", name, "uid", fmt.Sprint(51))
					d.Deliver(t, name, text(1000+round, 700))
				})
				relook(t, m)
				t.Logf("%d octets from the server", p.Counters().Down)
				wantShown(t, m, listing(t, d.Addr, d.User, d.Password, name))
				if byPart := hidden != "CONDSTORE"; m.byPart.Load() != byPart {
					t.Errorf("round %d: made of what had changed: %v", round, !byPart)
				}
			}
			if n := f.Refused.Load(); n != 0 {
				t.Errorf("%d commands needed what is hidden", n)
			}
		})
	}
}

// TestWhatWasHeardIsNotSaidAgain: what came while the connection lived is not part
// of what a reconnect costs.
func TestWhatWasHeardIsNotSaidAgain(t *testing.T) {
	t.Parallel()
	s := imaptest.NewLarge(t, 2000, 0)
	s.Offer(imaptest.LargeSync)
	p := imaptest.NewProxy(t, s.Addr)
	a := open(t, p.Addr, s.User, s.Password, patiently)
	m := box(t, a, "INBOX")
	relook(t, m)
	m.Touch()
	eventually(t, patient, "IDLE", a.pool.idling)
	s.SetFlags("INBOX", 1, 2000, `\Flagged`)
	eventually(t, patient, "the flags", func() bool {
		found, _ := m.Snapshot().Find(2000)
		return slices.Contains(found.Flags, `\Flagged`)
	})
	relook(t, m) // what is heard up to its NOOP is in
	away(p, func() { s.Deliver("INBOX", 1) })
	relook(t, m)
	if down := p.Counters().Down; down > 5000 {
		t.Errorf("%d octets from the server", down)
	}
	wantShown(t, m, listing(t, s.Addr, s.User, s.Password, "INBOX"))
}

// TestAServerWhoseChangesAreNotAllIsListed: STATUS says what no resynchronisation
// brings, because the server does not tell of flags since a mod-sequence.
func TestAServerWhoseChangesAreNotAllIsListed(t *testing.T) {
	t.Parallel()
	s := imaptest.NewLarge(t, 50, 1)
	s.Offer(imaptest.LargeSync)
	s.Twist(func(lines []string) []string {
		return slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, " FETCH ") })
	})
	a := open(t, s.Addr, s.User, s.Password, func(c *Config, d *imapconn.Dialer) {
		patiently(c, d)
		c.Poll, c.Connections = 50*time.Millisecond, 1
	})
	m, other := box(t, a, "INBOX"), box(t, a, "box-0001")
	m.Touch()
	other.Touch()
	relook(t, m)
	relook(t, other)
	s.SetFlags("INBOX", 10, 12, `\Seen again`) // not \Seen before: UNSEEN differs
	s.SetFlags("INBOX", 14, 14, `\Seen`)
	eventually(t, patient, "the flags", func() bool {
		found, _ := m.Snapshot().Find(14)
		return slices.Contains(found.Flags, `\Seen`)
	})
}

// BenchmarkDovecotReconnect is what a reconnect to a mailbox of 100,000 messages
// costs after ten changes, in octets from the server.
func BenchmarkDovecotReconnect(b *testing.B) {
	const messages = 100_000
	d := imaptest.StartDovecot(b, imaptest.DovecotOptions{})
	mail := make([][]byte, 1000)
	for i := range mail {
		mail[i] = text(i+1, 300+i)
	}
	for range messages / len(mail) {
		d.Deliver(b, "INBOX", mail...)
	}
	for i, hidden := range []string{"", "QRESYNC", "CONDSTORE"} {
		b.Run("without "+hidden, func(b *testing.B) {
			o := imaptest.FilterOptions{}
			if hidden != "" {
				o.Hide = []string{hidden}
			}
			p := imaptest.NewProxy(b, imaptest.NewFilter(b, d.Addr, o).Addr)
			a := open(b, p.Addr, d.User, d.Password, func(c *Config, d *imapconn.Dialer) { c.Timeout, d.Timeout = 10*patient, 10*patient })
			m := box(b, a, "INBOX")
			if _, err := m.Load(within(b, 10*patient)); err != nil {
				b.Fatal(err)
			}
			octets := int64(0)
			for n := 0; b.Loop(); n++ {
				away(p, func() {
					uid := 10_000*(i+1) + 10*n
					d.Doveadm("expunge", "-u", d.User, "mailbox", "INBOX", "uid", fmt.Sprintf("%d,%d:%d", uid, uid+3, uid+4))
					d.Doveadm("flags", "add", "-u", d.User, `\Flagged`, "mailbox", "INBOX", "uid", fmt.Sprintf("%d:%d", uid+5, uid+8))
					d.Deliver(b, "INBOX", mail[:3]...)
				})
				relook(b, m)
				octets += p.Counters().Down
			}
			b.ReportMetric(float64(octets)/float64(b.N), "octets/reconnect")
		})
	}
}
