package fs

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"bazil.org/fuse"
)

// BenchmarkListing20000 lists a mailbox of 20,000 messages for the first time,
// one mount for each turn: a LOOKUP for each entry.
func BenchmarkListing20000(b *testing.B) {
	const n = 20000
	var cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		d := startDaemon(b, Options{})
		d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: n, Size: 10000})
		before := d.do(order{Op: "cpu"})
		b.StartTimer()
		out, err := exec.Command("bash", "-c", "ls -l "+d.dir+"/INBOX | wc -l").CombinedOutput()
		b.StopTimer()
		if err != nil || string(out) != fmt.Sprintln(n+1) {
			b.Fatalf("%v: %s", err, out)
		}
		cpu += time.Duration(d.do(order{Op: "cpu"}) - before)
		b.StartTimer()
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N)/n, "daemon-ns/entry")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/listing")
}

// BenchmarkWarmRead reads 20,000 small messages, twice; the second time counts.
func BenchmarkWarmRead(b *testing.B) {
	const n = 20000
	d := startDaemon(b, Options{})
	d.do(order{Op: "many", Path: []string{"INBOX"}, UID: 1, Last: n, Size: 10000})
	d.must(`grep -r nothing $MNT/INBOX || true`)
	before := d.do(order{Op: "cpu"})
	for b.Loop() {
		d.must(`grep -r nothing $MNT/INBOX || true`)
	}
	cpu := d.do(order{Op: "cpu"}) - before
	b.ReportMetric(float64(cpu)/float64(b.N)/n, "daemon-ns/message")
}

// The handlers, without the kernel.

func benchServer(b *testing.B) (*Server, fuse.NodeID) {
	a := newFakeAccount()
	s, err := newServer(a, Options{})
	if err != nil {
		b.Fatal(err)
	}
	s.kernel = &toldKernel{}
	box := a.mailbox("INBOX")
	box.addMany(1, 20000, 10000)
	if _, err := box.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	r, err := s.lookup(fuse.RootID, "INBOX")
	if err != nil {
		b.Fatal(err)
	}
	return s, r.Node
}

func BenchmarkLookup(b *testing.B) {
	s, id := benchServer(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.lookup(id, "12345"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReaddirPage(b *testing.B) {
	s, id := benchServer(b)
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.readdir(id, 5000, len(buf), buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	s, id := benchServer(b)
	if _, err := s.openWait(b.Context(), id|7, fuse.OpenReadOnly); err != nil {
		b.Fatal(err)
	}
	pieces := make([][]byte, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.read(id|7, 16384, 0, pieces); err != nil {
			b.Fatal(err)
		}
	}
}
