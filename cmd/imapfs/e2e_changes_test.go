package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// deliverMarked delivers ten messages that another client has marked \Deleted, and two more.
func deliverMarked(t testing.TB, c *anotherClient, box string) {
	t.Helper()
	for n := range 12 {
		flags := `\Deleted`
		if n >= 10 {
			flags = ""
		}
		if said := c.append(box, flags, time.Unix(oldDate, 0), []byte(writeText(fmt.Sprint("marked", n), "text"))); said != "OK" {
			t.Fatal(said)
		}
	}
}

// TestRemovalTakesOneOnly removes one message of a mailbox in which another client has marked ten
// as deleted. With UIDPLUS just that one goes; where single messages can be neither expunged nor
// moved nothing is expunged, and just that one is hidden, also from the next mount.
func TestRemovalTakesOneOnly(t *testing.T) {
	needServers(t)
	t.Parallel()
	for name, hide := range map[string][]string{"UIDPLUS": nil, "neither UIDPLUS nor MOVE": {"UIDPLUS", "MOVE"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
			a := account{server.Addr, server.User, server.Password}
			deliverMarked(t, newAnotherClient(t, a), "INBOX")
			filter := imaptest.NewFilter(t, server.Addr, imaptest.FilterOptions{Hide: hide})
			a.addr = filter.Addr
			home := t.TempDir()
			mount := func() *daemon {
				return startMount(t, t.TempDir(), home, "imap://"+a.user+"@"+a.addr+"/", a.password, "--tls", "none", "--read-only=false")
			}
			m := mount()
			must(t, "rm", m.path("INBOX", "11"))
			want := []string{"1", "10", "12", "2", "3", "4", "5", "6", "7", "8", "9"}
			for range 2 {
				if got := strings.Fields(must(t, "ls", m.path("INBOX"))); !slices.Equal(got, want) {
					t.Errorf("listed are %q, want all but 11", got)
				}
				m.stop(t)
				m = mount()
			}
			m.stop(t)
			left := 11
			if hide != nil {
				left = 12
			}
			held := oracle(t, server.Addr, a.user, a.password)
			if len(held) != left {
				t.Errorf("the server has %d messages, want %d", len(held), left)
			}
			for _, m := range held {
				marked := strings.Contains(strings.ToLower(m.flags), `\deleted`)
				if want := m.uid != "12"; marked != want {
					t.Errorf("%s: marked as deleted %v, want %v", m.uid, marked, want)
				}
			}
		})
	}
}

// TestNumbersAreNoPlaces moves fifty messages into a mailbox that has its own of the same numbers.
func TestNumbersAreNoPlaces(t *testing.T) {
	needServers(t)
	t.Parallel()
	for _, name := range []string{"Dovecot", "Courier"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := killServers[name]
			a := kind.start(t)
			c := newAnotherClient(t, a)
			for _, box := range []string{"A", "B"} {
				c.do("create", kind.prefix+box)
				for n := range 50 {
					c.deliver(kind.prefix+box, []byte(writeText(fmt.Sprint(box, n), "text")))
				}
			}
			m := writable(t, a)
			must(t, "bash", "-c", fmt.Sprintf("mv %s/{1..50} %s/", m.boxDir(kind.prefix, "A"), m.boxDir(kind.prefix, "B")))
			sums := make(map[string]bool)
			for _, m := range oracle(t, a.addr, a.user, a.password) {
				if m.mailbox != kind.prefix+"B" {
					t.Errorf("%s holds %s still", m.mailbox, m.uid)
				}
				sums[m.sum] = true
			}
			if len(sums) != 100 {
				t.Errorf("there are %d messages, want 100", len(sums))
			}
			if got := strings.Fields(must(t, "ls", m.boxDir(kind.prefix, "B"))); len(got) != 100 {
				t.Errorf("%d are listed, want 100", len(got))
			}
		})
	}
}

// TestChangesLetOthersPass lists one directory while a change of another waits for the server.
func TestChangesLetOthersPass(t *testing.T) {
	needServers(t)
	t.Parallel()
	server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
	server.Deliver(t, "A", []byte(writeText("a", "text")))
	server.Deliver(t, "B", []byte(writeText("b", "text")))
	proxy := imaptest.NewProxy(t, server.Addr)
	// What is older is asked about, however slow this machine is.
	m := writable(t, account{proxy.Addr, server.User, server.Password}, "--poll", "10m")
	must(t, "ls", "-l", m.path("A"), m.path("B"))
	proxy.Reset()
	proxy.StallWays(true, false)
	defer proxy.Stall(false)
	rm := startProgram(t, "rm", m.path("A", "1"))
	eventually(t, time.Minute, func() string { // its command has gone out
		if proxy.Counters().Up == 0 {
			return "rm asks nothing"
		}
		return ""
	})
	// The stall lasts until this is over: it has waited for nothing.
	if r := runWithin(t, 20*time.Second, "ls", m.path("B")); r.stdout != "1\n" || r.status != 0 {
		t.Errorf("status %d, %q, %s", r.status, r.stdout, r.stderr)
	}
	select {
	case <-rm.done:
		t.Error("rm did not wait for the server: this shows nothing")
	default:
		proxy.Stall(false)
		if r := rm.wait(t, time.Minute); r.status != 0 {
			t.Errorf("rm: status %d: %s", r.status, r.stderr)
		}
	}
}

// TestMailboxGoesWhileATextIsPending removes and renames mailboxes by another client while texts
// for them lie in the spool. One for a renamed mailbox follows it. One for a removed mailbox waits,
// and arrives where the mailbox is made again.
func TestMailboxGoesWhileATextIsPending(t *testing.T) {
	needServers(t)
	t.Parallel()
	for _, name := range []string{"Dovecot", "Courier"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := killServers[name]
			a := kind.start(t)
			c := newAnotherClient(t, a)
			boxes := []string{"Removed", "Renamed"}
			for _, box := range boxes {
				c.do("create", kind.prefix+box)
				c.deliver(kind.prefix+box, []byte(writeText(box, "was there")))
			}
			filter := imaptest.NewFilter(t, a.addr, imaptest.FilterOptions{})
			m := writable(t, account{filter.Addr, a.user, a.password}, "--poll", "1s")
			t.Cleanup(func() {
				if m.stop(t); t.Failed() {
					t.Logf("the daemon: %s", tail(m.errs.String(), 3000))
				}
			})
			filter.Refuse("APPEND", "[INUSE] later")
			for _, box := range boxes {
				must(t, "ls", m.boxDir(kind.prefix, box))
				if got := refusedWrite(t, writeText(box+"-pending", "text"), m.boxDir(kind.prefix, box)+"/new"); got != "close EBUSY" {
					t.Errorf("%q, want close EBUSY", got)
				}
			}
			c.do("delete", kind.prefix+"Removed")
			c.do("rename", kind.prefix+"Renamed", kind.prefix+"Elsewhere")
			for _, box := range boxes {
				eventually(t, time.Minute, func() string {
					if r := run(t, "ls", m.boxDir(kind.prefix, box)); r.status == 0 {
						return box + " is still there"
					}
					return ""
				})
			}
			if owed, torn := spooled(t, m.home); len(owed) != 2 || len(torn) != 0 {
				t.Errorf("the spool owes %v and %v, want both texts", owed, torn)
			}
			filter.Refuse("APPEND", "")
			c.do("create", kind.prefix+"Removed")
			// Courier's renamed mailbox is another one: it has other UIDs and another UIDVALIDITY.
			where := "Elsewhere"
			if name == "Courier" {
				where = "Renamed"
				c.do("create", kind.prefix+"Renamed")
			}
			wantNothingOwed(t, m.home)
			for box, id := range map[string]string{"Removed": "Removed", where: "Renamed"} {
				want := fmt.Sprintf("%x", sha256.Sum256([]byte(writeText(id+"-pending", "text"))))
				if got := heldIn(t, a, kind.prefix+box); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
					t.Errorf("%s holds %q, want the text of %s, too", box, got, id)
				}
			}
			if n := len(oracle(t, a.addr, a.user, a.password)); n != 3 {
				t.Errorf("there are %d messages, want 3", n)
			}
		})
	}
}

var largeFlag = flag.Int64("large", 20, "the message of TestLargeTextOnASlowLine, in MB of 10⁶ octets")

// TestLargeTextOnASlowLine appends a message over a line so slow that it takes longer than a
// request may: the deadline counts from the last octet that moved. It is read back, and the daemon
// has not grown by more than 16 MiB over its text cache.
func TestLargeTextOnASlowLine(t *testing.T) {
	needServers(t)
	t.Parallel()
	server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
	proxy := imaptest.NewProxy(t, server.Addr)
	const cacheMiB = 8
	m := writable(t, account{proxy.Addr, server.User, server.Password}, "--timeout", "3s", "--cache-size", "8M")
	must(t, "ls", m.path("INBOX"))
	line := []byte("a line of seventy-six octets, as they are in an attachment in base64 xx\r\n")
	text := append([]byte(writeText("large", "body")), bytes.Repeat(line, int(*largeFlag*1_000_000)/len(line))...)
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	before := m.held(t, "RssAnon")
	proxy.SetBandwidth(*largeFlag * 1_000_000 / 6) // twice the deadline
	r := run(t, "cp", file, m.path("INBOX", "large"))
	if r.status != 0 || r.took < 3*time.Second {
		t.Errorf("cp: status %d after %v: %s", r.status, r.took, r.stderr)
	}
	proxy.SetBandwidth(0)
	must(t, "cmp", file, m.path("INBOX", "large"))
	must(t, "bash", "-c", "echo 1 > /proc/sys/vm/drop_caches; cmp "+file+" "+m.path("INBOX", "large"))
	most := m.held(t, "VmHWM") - m.held(t, "RssFile") // the program itself is no growth
	t.Logf("%.1f MiB before, %.1f at most, %v for cp", before, most, r.took)
	if grew := most - before - cacheMiB; grew > 16 && !underRace {
		t.Errorf("the daemon grew by %.1f MiB over its text cache, want 16 at most", grew)
	}
	if got := heldIn(t, account{server.Addr, server.User, server.Password}, "INBOX"); len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf("%x", sha256.Sum256(text))) {
		t.Errorf("the server has %q", got)
	}
}

// held is a line of /proc/PID/status, in MiB.
func (d *daemon) held(t testing.TB, what string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var kib float64
	_, rest, _ := strings.Cut(string(text), what+":")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return kib / 1024
}
