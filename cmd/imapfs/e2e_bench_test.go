package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// eachCat reads the files of a directory one after the other, in UID order.
const eachCat = `cd "$1" && cat $(ls | sort -n) >/dev/null`

// BenchmarkCatOneByOne is 1,000 messages of 10 KB, cold: a new mount each time.
// The same is done with a local directory beside it; "times-local" is the ratio.
func BenchmarkCatOneByOne(b *testing.B) {
	const messages = 1000
	s := imaptest.StartDovecot(b, imaptest.DovecotOptions{})
	local := b.TempDir()
	for i := range messages {
		text := letter(fmt.Sprint("message ", i), 10_000)
		s.Deliver(b, "INBOX", text)
		if err := os.WriteFile(filepath.Join(local, fmt.Sprint(i+1)), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	var mounted, onDisk, cpu time.Duration
	var turns int64
	for b.Loop() {
		b.StopTimer()
		d, p := throughProxy(b, s)
		p.Reset()
		b.StartTimer()
		mounted += timed(b, "sh", "-c", eachCat, "sh", d.path("INBOX"))
		b.StopTimer()
		turns += p.Counters().Turns
		cpu += d.cpu(b)
		d.stop(b)
		onDisk += timed(b, "sh", "-c", eachCat, "sh", local)
		b.StartTimer()
	}
	b.ReportMetric(mounted.Seconds()/float64(b.N), "s/1000")
	b.ReportMetric(mounted.Seconds()/onDisk.Seconds(), "times-local")
	b.ReportMetric(float64(turns)/messages/float64(b.N), "turns/message")
	b.ReportMetric(float64(cpu.Microseconds())/messages/float64(b.N), "daemon-µs/message")
}

// BenchmarkListLong is the first ls -l of 20,000 messages: loading the index, then
// a LOOKUP for each entry. Daemon CPU is given for each entry.
func BenchmarkListLong(b *testing.B) {
	const messages = 20_000
	s := imaptest.StartDovecot(b, imaptest.DovecotOptions{})
	for i := range messages {
		s.Deliver(b, "INBOX", letter(fmt.Sprint("message ", i), 500))
	}
	s.Doveadm("index", "-u", s.User, "INBOX")
	var took, again, cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		d := mountPlain(b, s.Addr, s.User, s.Password)
		b.StartTimer()
		took += timed(b, "ls", "-l", d.path("INBOX"))
		b.StopTimer()
		cpu += d.cpu(b)
		again += timed(b, "ls", "-l", d.path("INBOX"))
		d.stop(b)
		b.StartTimer()
	}
	b.ReportMetric(took.Seconds()/float64(b.N), "s/first")
	b.ReportMetric(again.Seconds()/float64(b.N), "s/second")
	b.ReportMetric(float64(cpu.Microseconds())/messages/float64(b.N), "daemon-µs/entry")
}

func timed(b *testing.B, name string, args ...string) time.Duration {
	b.Helper()
	r := run(b, name, args...)
	if r.status != 0 {
		b.Fatalf("%s: status %d: %s", name, r.status, r.stderr)
	}
	return r.took
}
