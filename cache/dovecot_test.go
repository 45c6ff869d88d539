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

func dovecot(t testing.TB, opts imaptest.DovecotOptions) *imaptest.Dovecot {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Dovecot")
	}
	return imaptest.StartDovecot(t, opts)
}

// TestDovecotsNewsComeByIDLE has no poll that would bring them: it is an hour away.
func TestDovecotsNewsComeByIDLE(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{})
	d.Deliver(t, "INBOX", text(1, 500), text(2, 500), text(3, 500))
	a := open(t, d.Addr, d.User, d.Password)
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	eventually(t, short, "IDLE", a.pool.idling)
	time.Sleep(200 * time.Millisecond)
	for what, c := range map[string]struct {
		change func()
		seen   func() bool
	}{
		"delivered": {func() { d.Deliver(t, "INBOX", text(4, 700)) }, func() bool { _, ok := m.Snapshot().Find(4); return ok }},
		"flagged": {func() { d.Doveadm("flags", "add", "-u", d.User, `\Flagged`, "mailbox", "INBOX", "uid", "1") },
			func() bool { m, _ := m.Snapshot().Find(1); return slices.Contains(m.Flags, `\Flagged`) }},
		"expunged": {func() { d.Doveadm("expunge", "-u", d.User, "mailbox", "INBOX", "uid", "2") },
			func() bool { _, ok := m.Snapshot().Find(2); return !ok }},
	} {
		c.change()
		eventually(t, short, what, c.seen)
	}
	checkText(t, m, 4, text(4, 700))
}

func TestDovecotsMailboxMadeAnew(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{})
	d.Deliver(t, "Work", text(1, 900), text(2, 900))
	d.Deliver(t, "INBOX", text(1, 900))
	a := open(t, d.Addr, d.User, d.Password, func(c *Config, _ *imapconn.Dialer) { c.Poll = 300 * time.Millisecond })
	m := box(t, a, "Work")
	old := mustLoad(t, m)
	checkText(t, m, 1, text(1, 900))
	time.Sleep(1100 * time.Millisecond) // UIDVALIDITY is made of the second
	d.Doveadm("mailbox", "delete", "-u", d.User, "Work")
	d.Doveadm("mailbox", "create", "-u", d.User, "Work")
	d.Deliver(t, "Work", text(7, 900))
	eventually(t, 2*short, "the new mailbox", func() bool {
		now, err := a.LoadTree(within(t, short))
		if err != nil {
			return false
		}
		if m = now.Child(now.Root(), "Work"); m == nil {
			return false
		}
		s, err := m.Load(within(t, short))
		return err == nil && s.Validity() != old.Validity() && s.Len() == 1
	})
	checkText(t, m, 1, text(7, 900))
	_, err := m.Open(within(t, short), old.Validity(), 1)
	wantKind(t, err, Stale)
}

func TestDovecotsLimitOfConnections(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{ExtraConf: "protocol imap {\n mail_max_userip_connections = 2\n}\n"})
	for b := range 8 {
		d.Deliver(t, fmt.Sprint("box", b), text(b, 3000), text(b, 3_000_000))
	}
	a := open(t, d.Addr, d.User, d.Password)
	var readers sync.WaitGroup
	for b := range 8 {
		readers.Go(func() {
			m := box(t, a, fmt.Sprint("box", b))
			if _, err := m.Load(within(t, 4*short)); err != nil {
				t.Error(err)
				return
			}
			for uid, n := range map[UID]int{1: 3000, 2: 3_000_000} {
				if got, err := readAll(t, m, uid, blockLen); err != nil || string(got) != string(text(b, n)) {
					t.Errorf("box%d: %d octets, %v", b, len(got), err)
				}
			}
		})
	}
	readers.Wait()
}

// A small chaos: another client delivers and expunges, and the connections are
// cut, while readers read. Every text is known by its content.
func TestEveryTextIsItsOwnWhileAllFails(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{})
	const boxes, each = 3, 40
	size := func(b, i int) int { return 300 + (b*each+i)*211%9000 + 900_000*(i%20/19) }
	for b := range boxes {
		var all [][]byte
		for i := range each {
			all = append(all, text(b*1000+i+1, size(b, i)))
		}
		d.Deliver(t, fmt.Sprint("box", b), all...)
	}
	p := imaptest.NewProxy(t, d.Addr)
	a := open(t, p.Addr, d.User, d.Password, func(c *Config, _ *imapconn.Dialer) {
		c.Connections, c.CacheBytes, c.Poll = 3, 150_000, 200*time.Millisecond
	})
	end := time.Now().Add(6 * time.Second)
	var all sync.WaitGroup
	all.Go(func() { // the network
		for i := 0; time.Now().Before(end); i++ {
			time.Sleep(300 * time.Millisecond)
			if i%3 == 0 {
				p.Cut()
			} else {
				p.CutAfter(int64(i) * 7919 % 100_000)
			}
		}
	})
	all.Go(func() { // another client; what is gone is every fifth
		for i := 4; i < each && time.Now().Before(end); i += 5 {
			for b := range boxes {
				d.Doveadm("expunge", "-u", d.User, "mailbox", fmt.Sprint("box", b), "uid", fmt.Sprint(i+1))
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
	reads, gone := make([]int, boxes), make([]int, boxes)
	for b := range boxes {
		all.Go(func() {
			m := box(t, a, fmt.Sprint("box", b))
			for time.Now().Before(end) {
				s, err := m.Load(within(t, 2*short))
				if err != nil {
					t.Error(err)
					return
				}
				for i := range s.Len() {
					uid := s.At(i).UID
					k := int(uid - 1)
					got, err := readAll(t, m, uid, blockLen)
					switch {
					case err == nil && string(got) == string(text(b*1000+k+1, size(b, k))):
						reads[b]++
					case KindOf(err) == Stale && k%5 == 4:
						gone[b]++
					default:
						t.Errorf("box%d %d: %d octets, %v", b, uid, len(got), err)
					}
				}
			}
		})
	}
	all.Wait()
	p.CutAfter(-1)
	for b := range boxes {
		m := box(t, a, fmt.Sprint("box", b))
		eventually(t, short, "the rest is listed", func() bool {
			s, err := m.Load(within(t, short))
			return err == nil && s.Len() >= each-each/5 && s.Len() < each
		})
		for i := range m.Snapshot().Len() {
			if f := m.Snapshot().At(i).Flags; len(f) > 0 {
				t.Errorf("flags %v", f)
			}
		}
	}
	t.Logf("%v texts read, %v found gone", reads, gone)
	if got := strings.TrimSpace(d.Doveadm("search", "-u", d.User, "seen")); got != "" {
		t.Errorf("reading has set flags: %s", got)
	}
}
