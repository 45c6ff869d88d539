package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"imapfs/imapconn/imaptest"
)

// fullConf gives an account room for 40 KiB; APPENDs beyond that are refused, OVERQUOTA.
const fullConf = `protocol imap {
  mail_plugins = zlib imap_zlib notify quota
}
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=40K
  quota_grace = 0
}
`

// A fullServer is a Dovecot of one script's own, which is nearly full, behind a proxy.
type fullServer struct {
	t     *testing.T
	d     *imaptest.Dovecot
	proxy *imaptest.Proxy
}

// full starts one, for the script to reach at $FULL as $FULLLOGIN, whose password becomes
// $IMAPFS_PASSWORD. INBOX has two messages of 15 KiB. The script says more with
//
//	full line OCTETS         lets so many octets a second through; 0: as many as come
//	full holds MAILBOX N     waits until the server has N messages there
//	full has MAILBOX N       wants that many to be there now
func full(t *testing.T) func(*testscript.TestScript, bool, []string) {
	var mu sync.Mutex
	servers := make(map[string]*fullServer) // by the script's directory
	return func(ts *testscript.TestScript, _ bool, args []string) {
		mu.Lock()
		defer mu.Unlock()
		f := servers[ts.Getenv("WORK")]
		switch {
		case len(args) == 0:
			d := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true, ExtraConf: fullConf})
			d.Deliver(t, "INBOX", letter("first", 15<<10), letter("second", 15<<10))
			p := imaptest.NewProxy(t, d.Addr)
			servers[ts.Getenv("WORK")] = &fullServer{t, d, p}
			ts.Setenv("FULL", port(t, p.Addr))
			ts.Setenv("FULLLOGIN", d.User)
			ts.Setenv(passwordVar, d.Password)
			secretsOf(ts)["full"] = d.Password
			writeLetters(ts)
		case args[0] == "line":
			n, err := strconv.ParseInt(args[1], 10, 64)
			ts.Check(err)
			f.proxy.SetBandwidth(n)
		case args[0] == "holds":
			f.holds(ts, args[1], args[2], time.Minute)
		case args[0] == "has":
			f.holds(ts, args[1], args[2], 0)
		default:
			ts.Fatalf("full %q?", args)
		}
	}
}

// writeLetters gives the script two texts to write: one that fits and one that does not.
func writeLetters(ts *testscript.TestScript) {
	for name, octets := range map[string]int{"small": 4 << 10, "large": 20 << 10} {
		text := strings.ReplaceAll(string(letter(name, octets)), "\r\n", "\n")
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func (f *fullServer) holds(ts *testscript.TestScript, mailbox, want string, limit time.Duration) {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		said := f.d.Doveadm("mailbox", "status", "-u", f.d.User, "messages", mailbox)
		if strings.Contains(said, fmt.Sprintf("messages=%s\n", want)) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s, want %s", said, want)
		}
	}
}
