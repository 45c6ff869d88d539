package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"imapfs/imapconn/imaptest"
)

const (
	millionMessages = 1_000_000
	// events are so many because CPU time is told in hundredths of a second.
	events    = 50
	eventIn   = 30 * time.Second
	idleFor   = 10 * time.Second
	looksEach = 5 * time.Millisecond
)

// million is what a mailbox of 1,000,000 messages costs. The server makes them up: it is one
// without CONDSTORE, and Dovecot would take minutes to be filled.
func million(b *bench) {
	s := imaptest.NewLarge(b, millionMessages, 0)
	p := imaptest.NewProxy(b, s.Addr)
	m := b.mountedAs(b.binary, s.User, s.Password, p, "--read-only")
	defer m.close()
	work := fmt.Sprintf("%d messages, ", millionMessages)
	b.table.note(work+"first ls", 0, m.measure(func() time.Duration { return b.run(0, "ls", m.path(inbox)) }))
	b.table.count(work+"listed", 0, float64(statusOf(b.host, m.process.Pid, "VmRSS"))/1e6, "MB of RSS", 100)

	each := func(what string, most float64, change func(i int), seen func(i int) bool) {
		c := m.measure(func() time.Duration {
			begun := time.Now()
			for i := range events {
				change(i)
				b.await(what, func() bool { return seen(i) })
			}
			return time.Since(begun)
		})
		b.table.count(work+what, 0, float64(c.cpu.Milliseconds())/events, "ms of CPU each", most)
		b.table.count(work+what, 0, float64(c.down)/events/1024, "KiB each", 1)
	}
	each("one more", 20, func(int) { s.Deliver(inbox, 1) }, func(i int) bool {
		_, err := os.Lstat(filepath.Join(m.path(inbox), strconv.Itoa(millionMessages+1+i)))
		return err == nil
	})
	flags := make([]byte, 100)
	each("a flag", 20, func(i int) { s.SetFlags(inbox, 1000, 1000, "now"+strconv.Itoa(i)) }, func(i int) bool {
		n, err := unix.Getxattr(m.path(inbox, "1000"), "user.imap.flags", flags)
		return err == nil && string(flags[:n]) == "now"+strconv.Itoa(i)
	})
	idle := m.measure(func() time.Duration { time.Sleep(idleFor); return idleFor })
	b.table.count(work+"idle for 10 s", 0, idle.cpu.Seconds(), "s of CPU", 0.02)
}

// await looks again and again.
func (h *host) await(what string, seen func() bool) {
	for end := time.Now().Add(eventIn); !seen(); time.Sleep(looksEach) {
		if time.Now().After(end) {
			h.Fatalf("%s: nothing is seen of it", what)
		}
	}
}
