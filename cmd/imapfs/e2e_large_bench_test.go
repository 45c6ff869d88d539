package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
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

// BenchmarkMillion is a mailbox of 1,000,000 messages: mounting, the first ls, the
// first ls -l, the memory that is left of it. "times-sum" is the first ls -l of
// another mount by the sum of the raw metadata FETCH and an ls -l that finds
// nothing in the kernel's caches.
func BenchmarkMillion(b *testing.B) {
	const messages = 1_000_000
	s := imaptest.NewLarge(b, messages, 0)
	for b.Loop() {
		begun := time.Now()
		d := mountPlain(b, s.Addr, s.User, s.Password)
		b.ReportMetric(time.Since(begun).Seconds(), "s/mount")
		b.ReportMetric(timed(b, "sh", "-c", `ls "$1" | wc -l | grep -qx 1000000`, "sh", d.path("INBOX")).Seconds(), "s/names")
		b.ReportMetric(d.cpu(b).Seconds(), "daemon-s/names")
		d.stop(b)

		d = mountPlain(b, s.Addr, s.User, s.Password)
		first := timed(b, "sh", "-c", `ls -l "$1" >/dev/null`, "sh", d.path("INBOX"))
		now, most := d.rss(b)
		b.ReportMetric(first.Seconds(), "s/first")
		b.ReportMetric(d.cpu(b).Seconds(), "daemon-s/first")
		b.ReportMetric(now, "MB")
		b.ReportMetric(most, "MB-at-most")
		dropCaches(b)
		again := timed(b, "sh", "-c", `ls -l "$1" >/dev/null`, "sh", d.path("INBOX"))
		raw := rawMetadata(b, s)
		b.ReportMetric(again.Seconds(), "s/again")
		b.ReportMetric(raw.Seconds(), "s/raw")
		b.ReportMetric(first.Seconds()/(again+raw).Seconds(), "times-sum")
		d.stop(b)
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
			for b.Loop() {
				p := imaptest.NewProxy(b, s.Addr)
				p.SetDelay(rtt)
				begun := time.Now()
				d := mountPlain(b, p.Addr, s.User, s.Password)
				b.ReportMetric(time.Since(begun).Seconds(), "s/mount")
				b.ReportMetric(timed(b, "ls", d.path()).Seconds(), "s/names")
				now, _ := d.rss(b)
				b.ReportMetric(now, "MB/names")
				p.Reset()
				b.ReportMetric(timed(b, "find", d.path(), "-maxdepth", "2").Seconds(), "s/entered")
				now, _ = d.rss(b)
				b.ReportMetric(now, "MB/entered")
				b.ReportMetric(d.cpu(b).Seconds(), "daemon-s")
				b.ReportMetric(float64(p.Counters().Turns)/mailboxes, "turns/mailbox")
				b.ReportMetric(float64(p.Counters().Down)/mailboxes, "octets/mailbox")
				d.stop(b)
			}
		})
	}
}
