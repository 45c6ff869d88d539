package imaptest

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestFilterHidesWhatItIsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Dovecot")
	}
	d := StartDovecot(t, DovecotOptions{})
	d.Deliver(t, "INBOX", []byte("Subject: one\r\n\r\nfirst"))
	// The command that needs it, after a login and an EXAMINE.
	for name, command := range map[string]string{
		"CONDSTORE":     "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)",
		"ENABLE":        "ENABLE QRESYNC",
		"ESEARCH":       "UID SEARCH RETURN (ALL) ALL",
		"ID":            `ID ("name" "x")`,
		"LIST-EXTENDED": `LIST (SUBSCRIBED) "" "*"`,
		"LIST-STATUS":   `LIST "" "*" RETURN (STATUS (MESSAGES))`,
		"LITERAL+":      "APPEND INBOX {3+}\r\nabc {3+}\r\ndef",
		"LITERAL-":      "APPEND INBOX {3+}\r\nabc {3+}\r\ndef",
		"MOVE":          "UID MOVE 99 INBOX",
		"NAMESPACE":     "NAMESPACE",
		"QRESYNC":       "ENABLE QRESYNC",
		"STATUS=SIZE":   "STATUS INBOX (SIZE)",
		"UIDPLUS":       "UID EXPUNGE 1",
		"UNSELECT":      "UNSELECT",
	} {
		f := NewFilter(t, d.Addr, FilterOptions{Hide: []string{name}})
		got := talk(t, f.Addr, login, "CAPABILITY", "EXAMINE INBOX", command, "EXAMINE INBOX", "LOGOUT")
		wants(t, got, "t0 OK", "t1 OK", "t2 OK", "t3 BAD this server has no", " EXISTS", "t4 OK", "t5 OK")
		if strings.Contains(got, " "+name+" ") || strings.Contains(got, " "+name+"]") {
			t.Errorf("%s is still advertised:\n%s", name, got)
		}
		if f.Refused.Load() != 1 {
			t.Errorf("%s: %d commands refused", name, f.Refused.Load())
		}
		if got := talk(t, d.Addr, login, "EXAMINE INBOX", command, "LOGOUT"); strings.Contains(got, "t2 BAD") {
			t.Errorf("without the filter: %s", got)
		}
	}
	for hide, want := range map[string]bool{"UIDPLUS": false, "MOVE": true} {
		f := NewFilter(t, d.Addr, FilterOptions{Hide: []string{hide}})
		got := talk(t, f.Addr, login, "APPEND INBOX {3+}\r\na:b", "SELECT INBOX", "UID COPY 1 INBOX", "LOGOUT")
		if strings.Contains(got, "APPENDUID") != want || strings.Contains(got, "COPYUID") != want {
			t.Errorf("without %s:\n%s", hide, got)
		}
		wants(t, got, "t1 OK", "t3 OK")
	}
	f := NewFilter(t, d.Addr, FilterOptions{Only: []string{"IDLE", "UIDPLUS"}})
	wants(t, talk(t, f.Addr, login, "CAPABILITY"), "* CAPABILITY IMAP4rev1", "IDLE", "UIDPLUS", "t1 OK")
	if got := talk(t, f.Addr, login, "CAPABILITY", "ENABLE QRESYNC"); strings.Contains(got, " ENABLE ") || !strings.Contains(got, "t2 BAD") {
		t.Errorf("more than two are left:\n%s", got)
	}
}

// filtered by a noisy Filter, a server is still what another client takes it for.
const throughFilter = `
import imaplib, sys
host, port = sys.argv[1].split(":")
c = imaplib.IMAP4(host, int(port))
c.login("alice", "alice-secret")
text = b"Subject: a literal\r\n\r\nx1 IDLE\r\nx2 UNSELECT\r\n"
assert c.append("Filtered", None, None, text)[0] == "NO"
assert c.create("Filtered")[0] == "OK"
assert c.append("Filtered", None, None, text)[0] == "OK"
assert c.select("Filtered")[0] == "OK"
for item in c.uid("FETCH", "1", "BODY.PEEK[]")[1]:
    if isinstance(item, tuple) and item[1] == text:
        break
else:
    raise SystemExit("another text")
c.logout()
`

func TestFilterCarriesLiteralsAndNoise(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Dovecot")
	}
	d := StartDovecot(t, DovecotOptions{})
	f := NewFilter(t, d.Addr, FilterOptions{Hide: []string{"IDLE", "UNSELECT"}, Noise: true})
	if out, err := exec.Command("python3", "-c", throughFilter, f.Addr).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if f.Refused.Load() != 0 {
		t.Errorf("%d commands refused", f.Refused.Load())
	}
	c := dial(t, f.Addr)
	var all strings.Builder
	for range 3 {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		all.WriteString(talkOn(t, c, login, "NOOP", "NOOP", "NOOP", "NOOP", "NOOP", "NOOP", "NOOP"))
	}
	wants(t, all.String(), "* NO [ALERT]", "* X-UNKNOWN", "* BAD", "* STATUS")
}
