package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// seen bounds the wait for what comes at once on a quiet machine. What it took is
// logged.
const seen = 30 * time.Second

// newsTrial is a mount that polls too seldom to matter, beside another client.
type newsTrial struct {
	t      *testing.T
	client *anotherClient
	mount  *daemon
}

// look lists a mailbox and stats what is there and what comes next, so that the
// kernel knows all that.
func (n *newsTrial) look(mailbox string) {
	n.t.Helper()
	for name := range strings.FieldsSeq(must(n.t, "ls", n.mount.path(mailbox))) {
		os.Stat(n.mount.path(mailbox, name))
		flagsOf(n.mount.path(mailbox, name))
	}
	for uid := range 8 {
		os.Stat(n.mount.path(mailbox, strconv.Itoa(uid)))
	}
}

// lists reports whether ls gives these names.
func (n *newsTrial) lists(mailbox, names string) bool {
	return strings.Join(strings.Fields(must(n.t, "ls", n.mount.path(mailbox))), " ") == names
}

func (n *newsTrial) there(mailbox, name string) bool {
	_, err := os.Stat(n.mount.path(mailbox, name))
	return err == nil
}

// change has another client deliver to a mailbox with the messages 1 to 3, flag,
// expunge and move, and looks for it: with stat and getfattr first, as these are
// answered by the kernel until it is told. wire is its name on the wire.
func (n *newsTrial) change(mailbox, wire, other, otherWire string) {
	t := n.t
	t.Helper()
	n.look(other)
	n.look(mailbox)
	n.client.deliver(wire, letter("new", 2_000))
	delivered := waitFor(t, seen, "a delivered message", func() bool { return n.there(mailbox, "4") })
	waitFor(t, seen, "it in ls", func() bool { return n.lists(mailbox, "1 2 3 4") })
	n.client.do("store", wire, 2, "+FLAGS", `\Flagged`)
	flagged := waitFor(t, seen, "a flag", func() bool {
		return strings.Contains(strings.ToLower(flagsOf(n.mount.path(mailbox, "2"))), "flagged")
	})
	n.client.do("expunge", wire, 1)
	expunged := waitFor(t, seen, "an expunged message to go", func() bool { return !n.there(mailbox, "1") })
	waitFor(t, seen, "it to go from ls", func() bool { return n.lists(mailbox, "2 3 4") })
	n.client.do("move", wire, 3, otherWire)
	moved := waitFor(t, seen, "a moved message", func() bool { return n.there(other, "4") && !n.there(mailbox, "3") })
	waitFor(t, seen, "it in ls", func() bool { return n.lists(mailbox, "2 4") && n.lists(other, "1 2 3 4") })
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	t.Logf("%s: delivered %v, flagged %v, expunged %v, moved %v", mailbox, round(delivered), round(flagged), round(expunged), round(moved))
}

// TestAnotherClientsChangesAreSeen without the poll, which comes too late: by IDLE
// on the mailboxes looked into last, and in all by NOTIFY where the server has it.
// One directory is busy all the time: names are looked up in it, and the server has
// stopped in the middle of the answer. Cyrus and Courier are tried with -servers all.
func TestAnotherClientsChangesAreSeen(t *testing.T) {
	needServers(t)
	t.Parallel() // with the other suites: each mostly waits
	for _, k := range serverKinds() {
		switch k.name {
		case "Cyrus", "Courier":
			if *serversFlag != "all" {
				continue
			}
		case "Dovecot, Maildir":
		default:
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			acc := k.start(t)
			wire := func(name string) string { return k.prefix + name }
			n := &newsTrial{t: t, client: newAnotherClient(t, acc)}
			names := []string{"one", "two", "three", "four", "five", "busy"}
			for _, name := range names {
				n.client.do("create", wire(name))
				count := 3
				if name == "four" || name == "busy" {
					count = 1
				}
				for range count {
					n.client.deliver(wire(name), letter("old "+name, 2_000))
				}
			}
			relay := newStaller(t, acc.addr, `"`+wire("busy")+`"`)
			n.mount = mountPlain(t, relay.addr, acc.user, acc.password, "--poll", "10m", "--timeout", "10m")
			under := strings.Trim(k.prefix, ".")
			dir := func(name string) string {
				if under != "" {
					return under + "/" + name
				}
				return name
			}
			busy := startProgram(t, "ls", "-l", n.mount.path(dir("busy")))
			stat := startProgram(t, "stat", n.mount.path(dir("busy"), "1"))
			waitFor(t, seen, "the server to stop", relay.stalls)
			if k.name == "Dovecot, Maildir" {
				// Others are looked into after it: what happens in it is told by NOTIFY.
				n.look(dir("one"))
				for _, name := range []string{"two", "three", "four", "five"} {
					n.look(dir(name))
				}
				time.Sleep(2 * time.Second) // NOTIFY stands, and IDLE on the last ones
				n.change(dir("one"), wire("one"), dir("five"), wire("five"))
				n.client.do("create", wire("new"))
				made := waitFor(t, seen, "a new mailbox", func() bool { return n.there(dir("new"), "") })
				n.client.do("delete", wire("new"))
				deleted := waitFor(t, seen, "a deleted mailbox to go", func() bool { return !n.there(dir("new"), "") })
				t.Logf("made %v, deleted %v", made, deleted)
			}
			n.look(dir("three"))
			n.look(dir("two"))
			time.Sleep(2 * time.Second) // IDLE stands
			n.change(dir("two"), wire("two"), dir("three"), wire("three"))
			select {
			case <-busy.done:
				t.Errorf("ls of the busy directory has ended: %s%s", busy.stdout.String(), busy.stderr.String())
			case <-stat.done:
				t.Errorf("stat in the busy directory has ended: %s%s", stat.stdout.String(), stat.stderr.String())
			default:
			}
			relay.goOn()
			for _, p := range []*program{busy, stat} {
				p.cmd.Process.Kill()
				<-p.done
			}
		})
	}
}

// staller relays connections, and gives no more answers on one on which a mailbox
// was examined, until it is to go on.
type staller struct {
	addr    string
	mailbox string
	target  string
	open    chan struct{} // closed: go on
	once    sync.Once
	stalled chan struct{} // holds one
}

func newStaller(t *testing.T, target, mailbox string) *staller {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &staller{addr: l.Addr().String(), mailbox: mailbox, target: target, open: make(chan struct{}), stalled: make(chan struct{}, 1)}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { s.relay(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.goOn()
		group.Wait() // the daemon has gone before
	})
	return s
}

func (s *staller) goOn() { s.once.Do(func() { close(s.open) }) }

// stalls reports whether a connection has been stopped.
func (s *staller) stalls() bool { return len(s.stalled) > 0 }

func (s *staller) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", s.target)
	if err != nil {
		return
	}
	defer server.Close()
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer server.Close()
		stopped := false
		for lines := bufio.NewReader(client); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if !stopped && strings.Contains(line, "EXAMINE "+s.mailbox) {
				stopped = true
				close(stop)
			}
			if _, err := io.WriteString(server, line); err != nil {
				return
			}
		}
	})
	answers := make([]byte, 32<<10)
	for {
		n, err := server.Read(answers)
		select {
		case <-stop:
			select {
			case s.stalled <- struct{}{}:
			default:
			}
			<-s.open
		default:
		}
		if n > 0 {
			if _, err := client.Write(answers[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	client.Close()
	group.Wait()
}
