package cache

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

func TestTheDailyLimitKeepsWhatIsCachedAndOutlivesTheMount(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	var uids []UID
	for i := range 3 {
		uids = append(uids, in.Add(text(i+1, 100_000)))
		apart(in)
	}
	file := filepath.Join(t.TempDir(), "ledger")
	log := &kept{}
	mount := func() *Account {
		return openScripted(t, s, func(c *Config, d *imapconn.Dialer) {
			d.Traffic = new(imapconn.Traffic)
			var err error
			if c.Ledger, err = OpenLedger(file, 150_000, d.Traffic); err != nil {
				t.Fatal(err)
			}
			c.Logger = slog.New(slog.NewTextHandler(log, nil))
		})
	}
	a := mount()
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	checkText(t, m, uids[0], text(1, 100_000))
	checkText(t, m, uids[1], text(2, 100_000)) // goes over the limit, having begun below it
	for range 2 {
		_, err := m.Open(within(t, short), m.Snapshot().Validity(), uids[2])
		wantKind(t, err, Quota)
	}
	checkText(t, m, uids[0], text(1, 100_000))
	if n := log.count("daily limit is spent"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, log.text())
	}
	a.Close()

	a = mount()
	m = box(t, a, "INBOX")
	_, err := m.Load(within(t, short)) // 200,000 octets are more than a listing may take beyond
	wantKind(t, err, Quota)
	day, ok := a.Traffic()
	if !ok || day.In < 200_000 || day.Limit != 150_000 || day.Until.IsZero() {
		t.Errorf("traffic %+v, %v", day, ok)
	}
}

func TestALedgerForgetsAfterADayAndAddsUpWithOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "ledger")
		var traffic [2]imapconn.Traffic
		var l [2]*Ledger
		for i := range l {
			var err error
			if l[i], err = OpenLedger(file, 1000, &traffic[i]); err != nil {
				t.Fatal(err)
			}
		}
		traffic[0].Add(600, 0)
		traffic[1].Add(300, 0)
		if d := l[0].Day(); d.In != 600 || !d.Until.IsZero() {
			t.Errorf("alone: %+v", d)
		}
		time.Sleep(2 * ledgerEvery)
		l[0].Day()
		if d := l[1].Day(); d.In != 900 {
			t.Errorf("a minute later: %+v", d)
		}
		time.Sleep(5 * time.Hour)
		traffic[1].Add(200, 0)
		d := l[1].Day()
		if d.In != 1100 || d.Until.IsZero() {
			t.Errorf("over the limit: %+v", d)
		}
		time.Sleep(time.Until(d.Until) + time.Second)
		if d := l[1].Day(); d.In != 200 || !d.Until.IsZero() {
			t.Errorf("when it should be free again: %+v", d)
		}
		for i := range l {
			if err := l[i].Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestALedgerThatIsNoneIsBegunAnew(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ledger")
	os.WriteFile(file, bytes.Repeat([]byte("\x00 gar bage -1 99999999999999999999\n"), 10_000), 0o600)
	l, err := OpenLedger(file, 10, new(imapconn.Traffic))
	if err != nil {
		t.Fatal(err)
	}
	if d := l.Day(); d.In != 0 {
		t.Errorf("%+v", d)
	}
	if text, _ := os.ReadFile(file); string(text) != ledgerTitle {
		t.Errorf("the file is %q", text)
	}
	if _, err := OpenLedger(filepath.Join(file, "below a file"), 10, new(imapconn.Traffic)); err == nil {
		t.Error("a place that cannot be written is taken")
	}
}

func FuzzLedger(f *testing.F) {
	f.Add([]byte(ledgerTitle + "490000 10 20\n490001 5 5\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h := parseLedger(text)
		again := parseLedger(h.format())
		if len(h) > 2*ledgerHours+1 || len(again) != len(h) {
			t.Fatalf("%d hours, then %d", len(h), len(again))
		}
		for hour, m := range h {
			if m.in < 0 || m.out < 0 || again[hour] != m {
				t.Fatalf("%d: %v, then %v", hour, m, again[hour])
			}
		}
	})
}

// kept is a log that is looked into.
type kept struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.Write(p)
}

func (k *kept) text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.String()
}

func (k *kept) count(words string) int { return strings.Count(k.text(), words) }
