package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"imapfs/imapconn/imaptest"
	"imapfs/imapconn/imapwire"
)

// plain starts a server of RFC 1730 of the script's own, at $STRICT for $STRICTLOGIN, whose
// password becomes $IMAPFS_PASSWORD. INBOX has four letters. The script says more with
//
//	plain marks MAILBOX UID     another client marks a message \Deleted
//	plain holds MAILBOX UIDS    waits until it has these, those behind a + marked
func plain(t *testing.T) func(*testscript.TestScript, bool, []string) {
	var mu sync.Mutex
	servers := make(map[string]*imaptest.Strict) // by the script's directory
	return func(ts *testscript.TestScript, _ bool, args []string) {
		mu.Lock()
		defer mu.Unlock()
		s := servers[ts.Getenv("WORK")]
		switch {
		case len(args) == 0:
			s = imaptest.NewStrict(t, imaptest.StrictOptions{Delimiter: '/'})
			for i := range 4 {
				s.Deliver("INBOX", letter(fmt.Sprint("letter ", i+1), 300), time.Unix(1_700_000_000, 0))
			}
			servers[ts.Getenv("WORK")] = s
			ts.Setenv("STRICT", port(t, s.Addr))
			ts.Setenv("STRICTLOGIN", s.User)
			ts.Setenv(passwordVar, s.Password)
		case args[0] == "marks":
			var uid imapwire.UID
			_, err := fmt.Sscan(args[2], &uid)
			ts.Check(err)
			s.SetFlags(args[1], uid, `\Deleted`)
		case args[0] == "holds":
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
				got := marksOf(t, account{s.Addr, s.User, s.Password}, args[1])
				if got == args[2] {
					return
				}
				if time.Now().After(deadline) {
					ts.Fatalf("%s has %q, want %q", args[1], got, args[2])
				}
			}
		default:
			ts.Fatalf("plain %q?", args)
		}
	}
}

// marksOf lists the UIDs of a mailbox as the server tells, with a + behind those marked \Deleted.
func marksOf(t testing.TB, a account, mailbox string) string {
	var uids []string
	for _, m := range oracle(t, a.addr, a.user, a.password) {
		if m.mailbox != mailbox {
			continue
		}
		uid := m.uid
		if strings.Contains(strings.ToLower(m.flags), `\deleted`) {
			uid += "+"
		}
		uids = append(uids, uid)
	}
	return strings.Join(uids, " ")
}
