package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
	"imapfs/testdata"
)

// TestACompressedMountGivesTheSameOctets reads an account with --compress and without,
// through a proxy that counts: the texts are the server's both times, and fewer octets
// move. What is written arrives as it is.
func TestACompressedMountGivesTheSameOctets(t *testing.T) {
	needServers(t)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	for _, m := range testdata.Messages() {
		s.Deliver(t, m.Mailbox, m.Text)
	}
	for _, text := range testdata.Nasty() {
		s.Deliver(t, "Nasty", text)
	}
	deliverCorpus(t, s)
	held := oracle(t, s.Addr, s.User, s.Password)
	moved := make(map[string]int64)
	for _, mode := range []string{"off", "on"} {
		proxy := imaptest.NewProxy(t, s.TLSAddr)
		d := mountURL(t, "imaps://"+s.User+"@"+proxy.Addr+"/", s.Password, "--ca-file", s.CertFile, "--compress", mode)
		for _, m := range held {
			want := m
			want.flags = withoutRecent(m.flags)
			if got := d.look(t, m); got != want {
				t.Errorf("--compress %s shows %+v, the server has %+v", mode, got, want)
			}
		}
		r := statusOf(t, d)
		for _, c := range r.Connections {
			if c.Compressed != (mode == "on") {
				t.Errorf("--compress %s: %+v", mode, c)
			}
		}
		if said := strings.Contains(must(t, "imapfs", "status", d.dir), "TLS 1.3, DEFLATE"); said != (mode == "on") {
			t.Errorf("--compress %s: the table says DEFLATE: %v", mode, said)
		}
		name := "written " + mode
		text := letter(name, 300_000)
		written := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(written, text, 0o600); err != nil {
			t.Fatal(err)
		}
		must(t, "cp", written, d.path("INBOX", name))
		d.stop(t)
		sum := fmt.Sprintf("%x", sha256.Sum256(text))
		if !slices.ContainsFunc(oracle(t, s.Addr, s.User, s.Password), func(m told) bool { return m.mailbox == "INBOX" && m.sum == sum }) {
			t.Errorf("--compress %s: what was written is not what the server has", mode)
		}
		c := proxy.Counters()
		moved[mode] = c.Down
		t.Logf("--compress %s: %d octets down, %d up", mode, c.Down, c.Up)
	}
	if moved["on"] > moved["off"]*9/10 {
		t.Errorf("%d octets compressed, %d plain", moved["on"], moved["off"])
	}
}

// TestASlowLineIsCompressedWhereThatIsLeftToTheMount reads a large message over a line
// that is slow by --bwlimit: what is dialed before is not compressed, what is dialed
// after that is.
func TestASlowLineIsCompressedWhereThatIsLeftToTheMount(t *testing.T) {
	needServers(t)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	large := letter("large", 4<<20)
	s.Deliver(t, "INBOX", large, letter("small", 1_000))
	proxy := imaptest.NewProxy(t, s.Addr)
	d := mountPlain(t, proxy.Addr, s.User, s.Password, "--compress", "auto", "--bwlimit", "2M")
	compressed := func() (all, some bool) {
		conns := statusOf(t, d).Connections
		all = len(conns) > 0
		for _, c := range conns {
			all, some = all && c.Compressed, some || c.Compressed
		}
		return all, some
	}
	must(t, "cat", d.path("INBOX", "2"))
	if _, some := compressed(); some {
		t.Error("compressed before anything was measured")
	}
	if got := must(t, "cat", d.path("INBOX", "1")); got != string(large) {
		t.Errorf("%d octets of %d came, or others", len(got), len(large))
	}
	proxy.Cut()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		run(t, "ls", d.path()) // somebody wants a connection
		if all, _ := compressed(); all {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", statusOf(t, d).Connections)
		}
	}
}
