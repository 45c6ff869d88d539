package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// TestRoundTripsOfChanges counts at the proxy what rm, mv and cp of many messages cost
// at a round trip of 50 ms: about one round trip each. What the look at the mailbox costs
// before, the news of it behind, and the check of what has arrived, is in it.
func TestRoundTripsOfChanges(t *testing.T) {
	t.Parallel()
	needServers(t)
	const each = 150
	const most = 1.3 // of 1,000 make bench wants 1.1: what is fixed, and a pause on a busy machine, weighs more here
	d := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
	var texts [][]byte
	for i := range 2 * each {
		texts = append(texts, []byte(writeText(fmt.Sprint("m", i), "body")))
	}
	d.Deliver(t, "INBOX", texts...)
	d.Deliver(t, "To", []byte(writeText("t", "body")))
	src := t.TempDir()
	for i := range each {
		if err := os.WriteFile(filepath.Join(src, fmt.Sprintf("n%d", i)), []byte(writeText(fmt.Sprint("n", i), "text")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	proxy := imaptest.NewProxy(t, d.Addr)
	m := mountPlain(t, proxy.Addr, d.User, d.Password)
	run := func(command string) {
		t.Helper()
		cmd := exec.Command("bash", "-c", command)
		cmd.Dir = m.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	run(`ls INBOX To`)
	proxy.SetDelay(50 * time.Millisecond)
	for _, c := range []string{
		fmt.Sprintf(`rm INBOX/{1..%d}`, each), fmt.Sprintf(`mv INBOX/{%d..%d} To/`, each+1, 2*each), `cp ` + src + `/* To/`,
	} {
		proxy.Reset()
		run(c)
		turns := float64(proxy.Counters().Turns) / each
		t.Logf("%.2f round trips for each of %q", turns, c)
		if turns > most {
			t.Errorf("%q: %.2f round trips for each, want at most %v", c, turns, most)
		}
	}
	if n := len(oracle(t, d.Addr, d.User, d.Password)); n != 2*each+1 {
		t.Errorf("%d messages are left, want %d", n, 2*each+1)
	}
}

// TestLargeTextIsWritten writes a message of 20 MB and reads it back.
func TestLargeTextIsWritten(t *testing.T) {
	t.Parallel()
	needServers(t)
	d := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
	m := mountPlain(t, d.Addr, d.User, d.Password)
	line := []byte("a line of seventy-six octets, as they are in an attachment in base64 xx\r\n")
	text := append([]byte(writeText("large", "body")), bytes.Repeat(line, 20_000_000/len(line))...)
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", file, m.path("INBOX", "large")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("cmp", file, m.path("INBOX", "large")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	all := oracle(t, d.Addr, d.User, d.Password)
	if len(all) != 1 || all[0].sum != fmt.Sprintf("%x", sha256.Sum256(text)) {
		t.Errorf("the server has %v", all)
	}
}
