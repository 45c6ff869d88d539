package imaptest

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

const strictLogin = "LOGIN alice strict-secret"

var arrived = time.Date(1994, 7, 17, 2, 44, 25, 0, time.FixedZone("", -7*3600))

func TestStrictTakesRFC1730AndNothingElse(t *testing.T) {
	s := NewStrict(t, StrictOptions{Delimiter: '/'})
	s.Deliver("INBOX", []byte("Subject: one\r\n\r\nfirst"), arrived, `\Seen`)
	s.Deliver("INBOX", []byte("Subject: two\r\nTo: x\r\n\r\nsecond"), arrived)
	for command, want := range map[string]string{
		"CAPABILITY":                           "* CAPABILITY IMAP4\r\n",
		`LIST "" *`:                            `* LIST () "/" "INBOX"`,
		`LIST "" ""`:                           "OK LIST",
		"LSUB \"\" %":                          "OK LSUB",
		"STATUS INBOX (MESSAGES)":              "BAD",
		"UNSELECT":                             "BAD",
		"NAMESPACE":                            "BAD",
		"IDLE":                                 "BAD",
		"ENABLE CONDSTORE":                     "BAD",
		`ID NIL`:                               "BAD",
		"STARTTLS":                             "BAD",
		"noop":                                 "OK NOOP",
		"NOOP ":                                "BAD",
		"NOOP x":                               "BAD",
		"LOGIN alice strict-secret":            "BAD", // twice
		"AUTHENTICATE PLAIN":                   "BAD", // in this state
		"FETCH 1 RFC822.SIZE":                  "* 1 FETCH (RFC822.SIZE 21)",
		"FETCH 3 FLAGS":                        "BAD",
		"FETCH 0 FLAGS":                        "BAD",
		"FETCH  1 FLAGS":                       "BAD",
		"FETCH 2:* (FLAGS)":                    `* 2 FETCH (FLAGS (\Recent))`,
		"FETCH 1 FAST":                         `* 1 FETCH (FLAGS (\Recent \Seen) INTERNALDATE "17-Jul-1994 02:44:25 -0700" RFC822.SIZE 21)`,
		"FETCH 1 FULL":                         "NO",
		"FETCH 1 ENVELOPE":                     "NO",
		"UID FETCH 2 (RFC822.PEEK)":            "* 2 FETCH (RFC822 {29}\r\nSubject: two\r\nTo: x\r\n\r\nsecond UID 2)",
		"UID FETCH 2 (UID RFC822.TEXT.PEEK)":   "RFC822.TEXT {6}\r\nsecond UID 2)",
		"FETCH 2 RFC822.HEADER":                "RFC822.HEADER {23}\r\nSubject: two\r\nTo: x\r\n\r\n)",
		"FETCH 2 RFC822.HEADER.LINES (TO)":     "RFC822.HEADER {9}\r\nTo: x\r\n\r\n)",
		"FETCH 2 RFC822.HEADER.LINES.NOT (TO)": "RFC822.HEADER {16}\r\nSubject: two\r\n\r\n)",
		"FETCH 2 RFC822.HEADER.LINES TO":       "BAD",
		"FETCH 2 BODY.PEEK[0]":                 "BODY[0] {23}\r\n",
		"FETCH 2 BODY.PEEK[1]":                 "BODY[1] {6}\r\nsecond",
		"FETCH 2 BODY.PEEK[2]":                 "BODY[2] NIL",
		"FETCH 2 BODY.PEEK[1.0]":               "BODY[1.0] NIL",
		"FETCH 2 BODY.PEEK[]":                  "BAD",
		"FETCH 2 BODY.PEEK[HEADER]":            "BAD",
		"FETCH 2 BODY.PEEK[1]<0.5>":            "BAD",
		"FETCH 2 (UID FLAGS) (CHANGEDSINCE 1)": "BAD",
		"FETCH 2 BODY[0.1]":                    "BAD",
		"FETCH 2 (UID  FLAGS)":                 "BAD",
		"FETCH 2 ()":                           "BAD",
		"FETCH 2 MODSEQ":                       "BAD",
		"UID FETCH 99 FLAGS":                   "OK UID FETCH",
		"UID EXPUNGE 1":                        "BAD",
		"UID MOVE 1 INBOX":                     "BAD",
		"PARTIAL 2 RFC822.PEEK 1 7":            "* 2 FETCH (RFC822 {7}\r\nSubject)",
		"PARTIAL 2 RFC822.TEXT.PEEK 4 100":     "RFC822.TEXT {3}\r\nond)",
		"PARTIAL 2 RFC822.PEEK 31 5":           "RFC822 {0}\r\n)",
		"PARTIAL 2 RFC822.PEEK 0 5":            "BAD",
		"PARTIAL 2 RFC822.SIZE 1 5":            "BAD",
		"PARTIAL 3 RFC822.PEEK 1 5":            "BAD",
		"PARTIAL 1:2 RFC822.PEEK 1 5":          "BAD",
		"UID PARTIAL 2 RFC822.PEEK 1 5":        "BAD",
		"SEARCH SUBJECT two":                   "* SEARCH 2\r\n",
		"UID SEARCH OR SUBJECT two NOT UNSEEN": "* SEARCH 1 2\r\n",
		`SEARCH HEADER To "X" SMALLER 31`:      "* SEARCH 2\r\n",
		"SEARCH SINCE 17-Jul-1994 (1:* ALL)":   "* SEARCH 1 2\r\n",
		"SEARCH BEFORE 17-Jul-94":              "* SEARCH\r\n",
		"SEARCH CHARSET UTF-8 ALL":             "NO",
		"SEARCH RETURN (ALL) ALL":              "BAD",
		"SEARCH":                               "BAD",
		"STORE 1 +FLAGS (\\Flagged)":           "NO [READ-ONLY]",
		"EXPUNGE":                              "NO [READ-ONLY]",
		"COPY 1 nosuch":                        "NO [TRYCREATE]",
		"EXAMINE \"Entw\xc3\xbcrfe\"":          "BAD",
		"EXAMINE Entw&APw-rfe":                 "NO",
		"CREATE INBOX":                         "NO",
		"DELETE inbox":                         "NO",
		"RENAME nosuch other":                  "NO",
		"XFROB":                                "BAD",
		"EXAMINE INBOX":                        "* OK [UIDVALIDITY 731]",
		"LOGOUT":                               "* BYE",
	} {
		got := talk(t, s.Addr, strictLogin, "EXAMINE INBOX", command)
		_, got, _ = strings.Cut(got, "t1 OK [READ-ONLY] EXAMINE completed\r\n")
		if !strings.Contains(got, want) || strings.Contains(want, "BAD") && !strings.HasPrefix(got, "t2 BAD") {
			t.Errorf("%s: want %q, got\n%s", command, want, got)
		}
	}
	for _, command := range s.Commands("LOGIN") {
		if command != "LOGIN" {
			t.Error("a password was written down")
		}
	}
	if got := s.Flags("INBOX", 2); strings.Join(got, " ") != `\Recent` {
		t.Errorf("EXAMINE and what peeks have made the flags %q", got)
	}
}

func TestStrictSetsSeenWithWhatDoesNotPeek(t *testing.T) {
	for _, item := range []string{"RFC822", "RFC822.TEXT", "BODY[1]"} {
		s := NewStrict(t, StrictOptions{})
		s.Deliver("INBOX", []byte("Subject: one\r\n\r\nfirst"), arrived)
		talk(t, s.Addr, strictLogin, "SELECT INBOX", "PARTIAL 1 "+item+" 1 3")
		if got := s.Flags("INBOX", 1); strings.Join(got, " ") != `\Seen` {
			t.Errorf("%s: flags %q", item, got)
		}
	}
}

func TestStrictTellsOfExpungedMessagesWhereItMay(t *testing.T) {
	text := []byte("Subject: x\r\n\r\n")
	for _, inFetch := range []bool{false, true} {
		s := NewStrict(t, StrictOptions{ExpungeInFetch: inFetch})
		for range 5 {
			s.Deliver("INBOX", text, arrived)
		}
		c := dial(t, s.Addr)
		talkOn(t, c, strictLogin, "EXAMINE INBOX")
		s.Expunge("INBOX", 1, 3)
		got := talkOn(t, c, "FETCH 4:5 (UID)", "UID FETCH 2:5 (FLAGS)", "SEARCH ALL", "STORE 4 +FLAGS x")
		if strings.Contains(got, "EXPUNGE") != inFetch || !strings.Contains(got, "* 5 FETCH (UID 5)") {
			t.Errorf("EXPUNGE in UID FETCH is %v; said\n%s", inFetch, got)
		}
		if inFetch {
			wants(t, got, "* 2 FETCH (FLAGS (\\Recent) UID 2)", "* 3 EXPUNGE", "* 1 EXPUNGE", "* 2 FETCH (FLAGS (\\Recent) UID 4)", "* 3 FETCH (FLAGS (\\Recent) UID 5)")
			continue
		}
		wants(t, talkOn(t, c, "NOOP"), "* 3 EXPUNGE", "* 1 EXPUNGE", "t0 OK")
	}
}

func TestStrictExecutesFetchesOutOfOrder(t *testing.T) {
	s := NewStrict(t, StrictOptions{OutOfOrder: true, BareFetch: true, OldDates: true, Obsolete: true})
	s.Deliver("INBOX", []byte("Subject: x\r\n\r\n"), arrived)
	c := dial(t, s.Addr)
	wants(t, talkOn(t, c, strictLogin, "EXAMINE INBOX"), "* MAILBOX INBOX")
	if _, err := c.Write([]byte("a FETCH 1 FLAGS\r\nb FETCH 1 INTERNALDATE\r\n")); err != nil {
		t.Fatal(err)
	}
	wants(t, talkOn(t, c, "NOOP"), `* 1 FETCH INTERNALDATE "17-Jul-94 02:44:25-PDT"`, "b OK", "* 1 FETCH FLAGS", "a OK", "t0 OK")
}

func TestStrictTakesNoLiteralThatDoesNotWait(t *testing.T) {
	s := NewStrict(t, StrictOptions{})
	got := talk(t, s.Addr, strictLogin, "SELECT {5+}\r\nINBOX")
	if !strings.Contains(got, "t1 BAD literals synchronise") || strings.Contains(got, "EXISTS") {
		t.Errorf("said\n%s", got)
	}
}

// Python's imaplib knows RFC 1730: it changes an account here as on any server.
func TestStrictServesImaplib(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("needs python3 (apt install python3)")
	}
	s := NewStrict(t, StrictOptions{Delimiter: '/', Obsolete: true})
	script := `
import imaplib, sys
host, port = sys.argv[1].rsplit(":", 1)
m = imaplib.IMAP4(host, int(port))
assert m.PROTOCOL_VERSION == "IMAP4", m.PROTOCOL_VERSION
m.login("alice", "strict-secret")
def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]
ok(m.create("Work/Old"))
ok(m.append("INBOX", r"(\Flagged new)", imaplib.Time2Internaldate(1000000000), b"Subject: a\r\n\r\nbody a"))
ok(m.append("INBOX", None, None, b"Subject: b\r\n\r\nbody b"))
assert m.append("Nowhere", None, None, b"x: y\r\n\r\n")[0] == "NO"
assert ok(m.select("INBOX")) == [b"2"]
assert ok(m.fetch("1", "(RFC822.PEEK)"))[0][1] == b"Subject: a\r\n\r\nbody a"
assert ok(m.partial("1", "RFC822.PEEK", "1", "7"))[0][1] == b"Subject"
assert ok(m.search(None, "UNSEEN")) == [b"1 2"]
ok(m.copy("1:2", "Work/Old"))
ok(m.store("1", "+FLAGS", r"(\Deleted)"))
ok(m.expunge())

ok(m.rename("Work/Old", "Work/New"))
ok(m.subscribe("Work/New"))
assert ok(m.lsub()) == [b'() "/" "Work/New"']
assert ok(m.select("Work/New")) == [b"2"]
assert b"\\Flagged" in ok(m.fetch("1", "(FLAGS INTERNALDATE)"))[0]
ok(m.close())
ok(m.delete("Work/New"))
m.logout()
`
	if out, err := exec.Command(python, "-c", script, s.Addr).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wants(t, talk(t, s.Addr, strictLogin, `LIST "" "*"`, "SELECT INBOX", "FETCH 1 (UID FLAGS)"), `"INBOX"`, "* 1 EXISTS", "* 1 FETCH (UID 2")
}
