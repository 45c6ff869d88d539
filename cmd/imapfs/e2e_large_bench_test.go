package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// rss is the daemon's resident memory in MB of 10⁶ octets, as top shows it, and
// the most that it has been.
func (d *daemon) rss(t testing.TB) (now, most float64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		n := func() float64 {
			kib, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib * 1024 / 1e6
		}
		switch f[0] {
		case "VmRSS:":
			now = n()
		case "VmHWM:":
			most = n()
		}
	}
	return now, most
}

// rawMetadata is what it takes to read what a first listing needs, and drop it.
func rawMetadata(b *testing.B, s *imaptest.Large) time.Duration {
	b.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		b.Fatal(err)
	}
	d := imapconn.Dialer{Host: host, Port: n, TLS: imapconn.TLSNone, Credentials: func(context.Context) (imapconn.Credentials, error) {
		return imapconn.Credentials{User: s.User, Password: s.Password}, nil
	}}
	c, err := d.Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Examine(b.Context(), "INBOX", nil); err != nil {
		b.Fatal(err)
	}
	begun, messages := time.Now(), 0
	if err := c.FetchMeta(b.Context(), imapconn.AllUIDs(), imapconn.MetaAll, func(imapconn.Meta) { messages++ }); err != nil || messages == 0 {
		b.Fatalf("%d messages, %v", messages, err)
	}
	return time.Since(begun)
}

// BenchmarkLargeMailbox is a mailbox of 100,000 messages, and one of 1,000,000:
// mounting, the first ls, the first ls -l, and the memory in use then. "times-sum" is
// the first ls -l by the sum of the raw metadata FETCH and an ls -l that finds
// nothing in the kernel's caches.
func BenchmarkLargeMailbox(b *testing.B) {
	for _, messages := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(messages), func(b *testing.B) {
			s, m := imaptest.NewLarge(b, messages, 0), turns{}
			for b.Loop() {
				begun := time.Now()
				d := mountPlain(b, s.Addr, s.User, s.Password)
				m.add("s/mount", time.Since(begun).Seconds())
				m.add("s/names", list(b, d, "-1", messages).Seconds())
				m.add("daemon-s/names", d.cpu(b).Seconds())
				d.stop(b)

				d = mountPlain(b, s.Addr, s.User, s.Password)
				first := list(b, d, "-l", messages+1) // and the line of the total
				now, most := d.rss(b)
				m.add("s/first", first.Seconds())
				m.add("daemon-s/first", d.cpu(b).Seconds())
				m.add("MB", now)
				m.add("MB-at-most", most)
				dropCaches(b)
				again := list(b, d, "-l", messages+1)
				raw := rawMetadata(b, s)
				m.add("s/again", again.Seconds())
				m.add("s/raw", raw.Seconds())
				m.add("times-sum", first.Seconds()/(again+raw).Seconds())
				d.stop(b)
			}
			m.report(b)
		})
	}
}

// list has ls list the INBOX, in so many lines.
func list(b *testing.B, d *daemon, how string, lines int) time.Duration {
	b.Helper()
	r := runWithin(b, 10*time.Minute, "sh", "-c", `ls "$1" "$2" | wc -l`, "sh", how, d.path("INBOX"))
	if r.status != 0 || strings.TrimSpace(r.stdout) != strconv.Itoa(lines) {
		b.Fatalf("ls %s: status %d, %s lines: %s", how, r.status, r.stdout, r.stderr)
	}
	return r.took
}

// turns gathers what each turn of a benchmark measured: testing keeps only the last
// value of a metric, and one turn on a busy machine says little.
type turns map[string][]float64

func (m turns) add(unit string, v float64) { m[unit] = append(m[unit], v) }

// report gives the median of each metric, and logs every turn: other work on the
// machine makes single turns several times as slow.
func (m turns) report(b *testing.B) {
	for unit, all := range m {
		b.Logf("%s: %.3g", unit, all)
		slices.Sort(all)
		b.ReportMetric((all[(len(all)-1)/2]+all[len(all)/2])/2, unit)
	}
}

// dropCaches makes the kernel forget names and attributes.
func dropCaches(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMailboxes is an account of 2,000 mailboxes: mounting, naming them, and
// entering each, at a line without delay and at one of 20 ms.
func BenchmarkMailboxes(b *testing.B) {
	const mailboxes = 2000
	s := imaptest.NewLarge(b, 10, mailboxes-1)
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
		b.Run(rtt.String(), func(b *testing.B) {
			m := turns{}
			for b.Loop() {
				p := imaptest.NewProxy(b, s.Addr)
				p.SetDelay(rtt)
				begun := time.Now()
				d := mountPlain(b, p.Addr, s.User, s.Password)
				m.add("s/mount", time.Since(begun).Seconds())
				m.add("s/names", timed(b, "ls", d.path()).Seconds())
				now, _ := d.rss(b)
				m.add("MB/names", now)
				p.Reset()
				m.add("s/entered", entered(b, d).Seconds())
				now, _ = d.rss(b)
				m.add("MB/entered", now)
				m.add("daemon-s", d.cpu(b).Seconds())
				m.add("turns/mailbox", float64(p.Counters().Turns)/mailboxes)
				m.add("octets/mailbox", float64(p.Counters().Down)/mailboxes)
				d.stop(b)
			}
			m.report(b)
		})
	}
}

// entered has find enter every mailbox.
func entered(b *testing.B, d *daemon) time.Duration {
	b.Helper()
	r := runWithin(b, 10*time.Minute, "find", d.path(), "-maxdepth", "2")
	if r.status != 0 {
		b.Fatalf("find: status %d: %s", r.status, r.stderr)
	}
	return r.took
}
