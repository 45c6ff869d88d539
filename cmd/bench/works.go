package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

const serveStatic = "serve-static"

// works are what is measured, in this order. DESIGN's section on speed has the targets.
var works = []struct {
	name    string
	measure func(*bench)
}{
	{"cold grep", coldGrep},
	{"cold threads", coldThreads},
	{"one by one", oneByOne},
	{"small cache", smallCache},
	{"middle", middleMessage},
	{"tail", tailOfLarge},
	{"beside scans", besideScans},
	{"warm read-only", warmReadOnly},
	{"warm writable", warmWritable},
	{"rsync", rsyncTwice},
	{"listing", listing},
	{"million", million},
	{"changes", changes},
}

const big = "--cache-size=2G"

func (b *bench) grep(dir string) time.Duration { return b.run(1, "grep", "-rl", needle, dir) }

// coldGrep reads a mailbox for the first time, beside the raw stream and mbsync.
func coldGrep(b *bench) {
	for _, rtt := range b.rtts {
		b.proxy.SetDelay(rtt)
		var cold, warm samples
		var one, four, pull []time.Duration
		for range b.pairs {
			begun := time.Now()
			_, err := stream(b.proxy.Addr, b.dovecot, inbox, "UID FETCH 1:* BODY.PEEK[]")
			b.must(err)
			one = append(one, time.Since(begun))
			m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only", big)
			cold = append(cold, m.measure(func() time.Duration { return b.grep(m.path(inbox)) }))
			b.forget()
			warm = append(warm, m.measure(func() time.Duration { return b.grep(m.path(inbox)) }))
			m.close()
			pull = append(pull, b.mbsync(b.dovecot, b.proxy.Addr, inbox))
			begun = time.Now()
			b.must(streams(b.proxy.Addr, b.dovecot, inbox, 4, b.messages))
			four = append(four, time.Since(begun))
		}
		c, w := cold.median(), warm.median()
		most := 1.3
		if rtt >= 50*time.Millisecond {
			most = 1
		}
		b.table.compare("cold grep -r", rtt, c.wall, times(one)+w.wall, "one stream and our own warm", 1.1)
		b.table.compare("cold grep -r", rtt, c.wall, times(pull), "mbsync", most)
		b.table.compare("cold grep -r", rtt, c.wall, times(four), "four streams", 0)
		b.table.count("cold grep -r", rtt, float64(c.down)/float64(b.octets), "octets for one of the texts", 1.02)
		b.table.note("cold grep -r", rtt, c)
		b.table.note("the same, cached by us", rtt, w)
	}
	b.proxy.SetDelay(0)
}

// coldThreads is coldGrep by a program of many threads.
func coldThreads(b *bench) {
	const rtt = 50 * time.Millisecond
	b.proxy.SetDelay(rtt)
	defer b.proxy.SetDelay(0)
	var cold samples
	var one []time.Duration
	for range b.pairs {
		begun := time.Now()
		_, err := stream(b.proxy.Addr, b.dovecot, inbox, "UID FETCH 1:* BODY.PEEK[]")
		b.must(err)
		one = append(one, time.Since(begun))
		m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only", big)
		cold = append(cold, m.measure(func() time.Duration { return b.run(1, "rg", "-j8", "-uuu", "-l", needle, m.path(inbox)) }))
		m.close()
	}
	c := cold.median()
	b.table.compare("cold rg -j8", rtt, c.wall, times(one), "one stream", 0)
	b.table.count("cold rg -j8", rtt, float64(c.down)/float64(b.octets), "octets for one of the texts", 1.02)
	b.table.note("cold rg -j8", rtt, c)
}

// oneByOne is 1,000 messages of 10 KB, one after the other.
func oneByOne(b *bench) {
	for _, rtt := range b.rtts {
		b.proxy.SetDelay(rtt)
		var all samples
		for range b.pairs {
			m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only")
			all = append(all, m.measure(func() time.Duration {
				return b.run(0, "sh", "-c", `cd "$1" && cat $(ls | sort -n) >/dev/null`, "sh", m.path(ten))
			}))
			m.close()
		}
		c := all.median()
		most := 0.7 + 0.8*rtt.Seconds()/0.05
		b.table.compare("1,000 × 10 KB, cat", rtt, c.wall, time.Second, "", most)
		b.table.count("1,000 × 10 KB, cat", rtt, float64(c.turns)/1000, "round trips each", 0.1)
		b.table.note("1,000 × 10 KB, cat", rtt, c)
	}
	b.proxy.SetDelay(0)
}

// smallCache is a scan of more than the cache holds.
func smallCache(b *bench) {
	const size = 32 << 20
	var small, large samples
	for range b.pairs {
		for flag, to := range map[string]*samples{"--cache-size=32M": &small, big: &large} {
			m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only", flag)
			*to = append(*to, m.measure(func() time.Duration { return b.grep(m.path(inbox)) }))
			m.close()
		}
	}
	s := small.median()
	b.table.compare("cold grep -r, 32 MB of cache", 0, s.wall, large.median().wall, "a cache for all", 1.1)
	b.table.count("cold grep -r, 32 MB of cache", 0, float64(s.down)/float64(b.octets), "octets for one of the texts", 1.02)
	b.table.count("cold grep -r, 32 MB of cache", 0, float64(s.rss-size)/1e6, "MB over the cache", 100)
}

// middleMessage reads one message that lies among others.
func middleMessage(b *bench) {
	m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only")
	defer m.close()
	b.run(0, "ls", m.path(inbox))
	s := m.measure(func() time.Duration {
		took := b.run(0, "cat", m.path(inbox, strconv.Itoa(b.messages/2)))
		time.Sleep(time.Second) // for what is fetched ahead
		return took
	})
	own, err := os.Stat(m.path(inbox, strconv.Itoa(b.messages/2)))
	b.must(err)
	b.table.count("one message in the middle", 0, float64(s.down-own.Size())/1024, "KiB beside its own", 300)
}

// tailOfLarge reads the end of a large message.
func tailOfLarge(b *bench) {
	m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only")
	defer m.close()
	b.run(0, "ls", m.path(inbox))
	time.Sleep(time.Second) // until the session that follows the mailbox is there
	s := m.measure(func() time.Duration { return b.run(0, "tail", "-c", "1000", m.path(inbox, "999")) })
	b.table.count("tail -c 1000 of a large message", 0, float64(s.down)/1024, "KiB", 512)
	b.table.count("tail -c 1000 of a large message", 0, float64(s.turns), "round trips", 2)
}

// besideScans reads a message while two scans are under way.
func besideScans(b *bench) {
	const rtt = 50 * time.Millisecond
	b.proxy.SetDelay(rtt)
	defer b.proxy.SetDelay(0)
	var all []time.Duration
	for range b.pairs {
		m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only")
		b.run(0, "ls", m.path(ten), m.path(inbox), m.path(other))
		var scans []*exec.Cmd
		for _, box := range []string{inbox, ten} {
			c := exec.Command("grep", "-r", "no such word", m.path(box))
			b.must(c.Start())
			scans = append(scans, c)
		}
		time.Sleep(6 * rtt)
		all = append(all, b.run(0, "cat", m.path(other, "7")))
		for _, c := range scans {
			c.Process.Signal(syscall.SIGTERM)
			c.Wait()
		}
		m.close()
	}
	b.table.compare("cat beside two scans", rtt, times(all), rtt, "one round trip", 3)
}

// warmReadOnly reads a mailbox for the third time, beside a local directory.
func warmReadOnly(b *bench) {
	m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only", big)
	defer m.close()
	for range 2 {
		b.grep(m.path(inbox))
		b.grep(b.local)
	}
	var ours samples
	var theirs []time.Duration
	for range b.pairs {
		ours = append(ours, m.measure(func() time.Duration { return b.grep(m.path(inbox)) }))
		theirs = append(theirs, b.grep(b.local))
	}
	c := ours.median()
	b.table.compare("warm grep -r, read-only", 0, c.wall, times(theirs), "a local directory", 1.2)
	b.table.count("warm grep -r, read-only", 0, float64(c.requests)/float64(b.messages), "requests for a message", 0.05)
	b.table.note("warm grep -r, read-only", 0, c)
}

// warmWritable does so in a mount that may be written to, beside go-fuse's static tree.
func warmWritable(b *bench) {
	at := b.path("static")
	self, err := os.Executable()
	b.must(err)
	server := exec.Command(self, serveStatic, b.local, at)
	out, err := server.StdoutPipe()
	b.must(err)
	b.must(server.Start())
	defer func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
	}()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatalf("the static tree: %v", err)
	}
	m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only=false", big)
	defer m.close()
	for range 2 {
		b.grep(m.path(inbox))
		b.grep(at)
	}
	var ours samples
	var walls, cpus []time.Duration
	for range b.pairs {
		ours = append(ours, m.measure(func() time.Duration { return b.grep(m.path(inbox)) }))
		cpu := cpuOf(b.host, server.Process.Pid)
		walls = append(walls, b.grep(at))
		cpus = append(cpus, cpuOf(b.host, server.Process.Pid)-cpu)
	}
	c := ours.median()
	b.table.compare("warm grep -r, writable", 0, c.wall, times(walls), "a static tree of go-fuse", 1)
	b.table.count("warm grep -r, writable", 0, c.cpu.Seconds()/max(times(cpus).Seconds(), 0.01), "of go-fuse's CPU", 0.5)
	b.table.note("warm grep -r, writable", 0, c)
}

// rsyncTwice copies a mailbox, and then looks for news.
func rsyncTwice(b *bench) {
	var first, again samples
	var local []time.Duration
	for range b.pairs {
		to := b.path("rsync")
		m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only", big)
		copy := func() time.Duration { return b.run(0, "rsync", "-a", m.path(inbox)+"/", to+"/") }
		first = append(first, m.measure(copy))
		again = append(again, m.measure(copy))
		m.close()
		b.must(os.RemoveAll(to))
		local = append(local, b.run(0, "rsync", "-a", b.local+"/", b.path("rsync")+"/"))
		b.must(os.RemoveAll(to))
	}
	f, a := first.median(), again.median()
	b.table.compare("rsync -a, first", 0, f.wall, times(local), "from a local directory", 0)
	b.table.count("rsync -a, first", 0, float64(f.down)/float64(b.octets), "octets for one of the texts", 1.02)
	b.table.count("rsync -a, again", 0, float64(a.down)/1024, "KiB", 64)
	b.table.note("rsync -a, again", 0, a)
}

// listing lists a large mailbox for the first time.
func listing(b *bench) {
	fill(b, b.dovecot, listed, b.listed, short, "")
	ask := func() time.Duration {
		begun := time.Now()
		_, err := stream(b.proxy.Addr, b.dovecot, listed, metadata)
		b.must(err)
		return time.Since(begun)
	}
	ask() // Dovecot's index is made
	var cold, warm samples
	var raw []time.Duration
	for range b.pairs {
		raw = append(raw, ask())
		m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only")
		list := func() time.Duration { return b.run(0, "ls", "-l", m.path(listed)) }
		cold = append(cold, m.measure(list))
		b.forget()
		warm = append(warm, m.measure(list))
		m.close()
	}
	c, w := cold.median(), warm.median()
	work := fmt.Sprintf("first ls -l of %d", b.listed)
	b.table.compare(work, 0, c.wall, times(raw)+w.wall, "raw metadata and our own warm", 1.2)
	b.table.note(work, 0, c)
	b.table.note("the same, warm", 0, w)
}

// changes removes, moves and copies 1,000 messages.
func changes(b *bench) {
	const rtt = 50 * time.Millisecond
	const n = 1000
	for _, mailbox := range []string{"Gone", "Moved"} {
		fill(b, b.dovecot, mailbox, n, short, "")
	}
	from := b.path("letters")
	for i := range n {
		b.must(os.WriteFile(fmt.Sprintf("%s/new%d", from, i), short(1_000_000+i), 0o600))
	}
	b.dovecot.Doveadm("mailbox", "create", "-u", b.dovecot.User, "To", "Copied")
	m := b.mounted(b.binary, b.dovecot, b.proxy, "--read-only=false")
	defer m.close()
	b.run(0, "ls", m.path("Gone"), m.path("Moved"), m.path("To"), m.path("Copied"))
	b.proxy.SetDelay(rtt)
	defer b.proxy.SetDelay(0)
	for _, w := range []struct{ name, script string }{
		{"rm of 1,000", `cd "$1/Gone" && rm -- *`},
		{"mv of 1,000", `cd "$1/Moved" && mv -- * ../To/`},
		{"cp of 1,000", `cd "$2" && cp -- * "$1/Copied/"`},
	} {
		s := m.measure(func() time.Duration { return b.run(0, "sh", "-c", w.script, "sh", m.dir, from) })
		b.table.count(w.name, rtt, float64(s.turns)/n, "round trips each", 1.1)
		b.table.note(w.name, rtt, s)
	}
}
