package imapconn

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestListReadsEveryForm(t *testing.T) {
	for name, test := range map[string]struct {
		sent string
		want []ListData
	}{
		"Dovecot":          {`* LIST (\HasNoChildren \Sent) "/" Sent`, []ListData{{"Sent", '/', []string{`\HasNoChildren`, `\Sent`}, ""}}},
		"Courier":          {`* LIST (\Unmarked \HasChildren) "." "INBOX"`, []ListData{{"INBOX", '.', []string{`\HasChildren`, `\Unmarked`}, ""}}},
		"mailutils":        {"* LIST (\\NoInferiors) NIL INBOX\r\n* LIST () \"/\" ~\r\n* LIST () \"/\" ~/foo", []ListData{{"INBOX", 0, []string{`\NoInferiors`}, ""}, {"~", '/', []string{}, ""}, {"~/foo", '/', []string{}, ""}}},
		"literal":          {"* LIST () \"/\" {5}\r\na\"\\ b", []ListData{{`a"\ b`, '/', []string{}, ""}}},
		"quoted delimiter": {`* LIST () "\\" "a\\b"`, []ListData{{`a\b`, '\\', []string{}, ""}}},
		"named NIL":        {`* LIST () "/" NIL`, []ListData{{"NIL", '/', []string{}, ""}}},
		"8 bits":           {"* LIST () \"/\" \"p\xc3\xa4\"", []ListData{{"pä", '/', []string{}, ""}}},
		"extended":         {`* LIST (\Subscribed) "/" "a" ("CHILDINFO" ("SUBSCRIBED") X (1 2))`, []ListData{{"a", '/', []string{`\Subscribed`}, ""}}},
		"renamed":          {`* LIST () "/" "a" ("CHILDINFO" ("SUBSCRIBED") oldname ("b c") X (1 2))`, []ListData{{"a", '/', []string{}, "b c"}}},
		"empty delimiter":  {`* LIST () "" "a"`, []ListData{{"a", 0, []string{}, ""}}},
		"nothing":          {`* LSUB () "/" a`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login("IMAP4rev1")
				p.answer(`LIST "" "*"`, test.sent)
			}))
			got, err := c.List(t.Context(), "", "*")
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %q, %v\nwant %q", got, err, test.want)
			}
		})
	}
}

func TestAListThatIsCutIsAnError(t *testing.T) {
	for name, script := range map[string]func(*peer){
		"cut":     func(p *peer) { p.hear(`LIST "" "*"`); p.say(`* LIST () "/" a`); p.raw(`* LIST () "/`) },
		"refused": func(p *peer) { tag := p.hear(`LIST "" "*"`); p.say(`* LIST () "/" a`, tag+" NO enough") },
		"BYE":     func(p *peer) { p.hear(`LIST "" "*"`); p.say(`* LIST () "/" a`, "* BYE shutting down"); p.drain() },
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) { p.login("IMAP4rev1"); script(p) }))
			got, err := c.List(t.Context(), "", "*")
			if err == nil || got != nil {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestNamesGoAsTheyAre(t *testing.T) {
	for name, sent := range map[string]string{
		"INBOX":                  `EXAMINE "INBOX"`,
		`a"b\c`:                  `EXAMINE "a\"b\\c"`,
		"Entw&APw-rfe/x y":       `EXAMINE "Entw&APw-rfe/x y"`,
		"pä":                     "EXAMINE {3+}|pä",
		"two\r\nlines":           "EXAMINE {10+}|two|lines",
		strings.Repeat("x", 1e4): "EXAMINE {10000+}|" + strings.Repeat("x", 1e4),
		"":                       `EXAMINE ""`,
	} {
		c := dial(t, play(t, func(p *peer) {
			p.login("IMAP4rev1 LITERAL+")
			first, more, _ := strings.Cut(sent, "|")
			tag := p.hear(first)
			for more != "" {
				var line string
				line, more, _ = strings.Cut(more, "|")
				p.want(line)
			}
			p.say(tag + " OK")
			p.drain()
		}))
		if _, err := c.Examine(t.Context(), name, nil); err != nil {
			t.Error(err)
		}
	}
	c := dial(t, play(t, func(p *peer) { p.login("IMAP4rev1 LITERAL-"); p.quiet() }))
	if _, err := c.Examine(t.Context(), "a\x00b", nil); err == nil {
		t.Error("a NUL was sent")
	}
	c.Close()
}

func TestExamineReadsEveryForm(t *testing.T) {
	for name, test := range map[string]struct {
		sent string // before the tagged OK
		ok   string // behind the tag
		want SelectData
	}{
		"Dovecot": {"* FLAGS (\\Answered \\Seen)\r\n* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 1] First unseen.\r\n* OK [UIDVALIDITY 1795463053] UIDs valid\r\n* OK [UIDNEXT 5] Predicted next UID\r\n* OK [HIGHESTMODSEQ 12] Highest",
			"OK [READ-ONLY] done", SelectData{Exists: 3, UIDValidity: 1795463053, HasUIDValidity: true, UIDNext: 5,
				Flags: []string{`\Answered`, `\Seen`}, PermanentFlags: []string{}, ReadOnly: true, HighestModSeq: 12}},
		"no text behind codes": {"* 3 EXISTS\r\n* OK [UIDNEXT 5]\r\n* OK [UIDVALIDITY 1]", "OK",
			SelectData{Exists: 3, UIDValidity: 1, HasUIDValidity: true, UIDNext: 5, ReadOnly: true}},
		"Courier": {"* FLAGS ($Forwarded \\Draft \\Recent)\r\n* OK [PERMANENTFLAGS (\\* \\Draft)] Limited\r\n* 2 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 795444129] Ok\r\n* OK [MYRIGHTS \"acdilrsw\"] ACL", "OK [READ-WRITE] Ok",
			SelectData{Exists: 2, UIDValidity: 795444129, HasUIDValidity: true, Flags: []string{"$Forwarded", `\Draft`}, PermanentFlags: []string{`\*`, `\Draft`}, ReadOnly: true}},
		"no mod-sequences": {"* 0 EXISTS\r\n* OK [NOMODSEQ] none\r\n* OK [MAILBOXID (F1)] id", "OK", SelectData{ReadOnly: true, NoModSeq: true, MailboxID: "F1"}},
		"no identifiers": {"* 0 EXISTS\r\n* OK [MAILBOXID F1] x\r\n* OK [MAILBOXID (F 1)] x\r\n* OK [MAILBOXID (" + strings.Repeat("x", MaxObjectID+1) + ")] x\r\n* OK [MAILBOXID ()] x", "OK",
			SelectData{ReadOnly: true}},
		"words about the mailbox that was left": {"* 99 EXISTS\r\n* 5 EXPUNGE\r\n* OK [CLOSED] left\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 1]", "OK",
			SelectData{Exists: 2, UIDValidity: 1, HasUIDValidity: true, ReadOnly: true}},
		"the same without CLOSED":  {"* 5 EXPUNGE\r\n* 99 EXISTS\r\n* 2 EXISTS", "OK", SelectData{Exists: 2, ReadOnly: true}},
		"an EXPUNGE behind EXISTS": {"* 5 EXISTS\r\n* 5 EXPUNGE\r\n* 1 FETCH (FLAGS ())", "OK", SelectData{Exists: 4, ReadOnly: true}},
		"absurd numbers":           {"* 0 EXISTS\r\n* OK [UIDVALIDITY 4294967296]\r\n* OK [UIDNEXT x]\r\n* OK [HIGHESTMODSEQ]\r\n* OK [", "OK [", SelectData{ReadOnly: true}},
		"an unclosed code":         {"* OK [UIDNEXT 5\r\n* 1 EXISTS", "OK", SelectData{Exists: 1, ReadOnly: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login("IMAP4rev1")
				tag := p.hear(`EXAMINE "INBOX"`)
				p.say(test.sent, tag+" "+test.ok)
				p.drain()
			}))
			got, err := c.Examine(t.Context(), "INBOX", nil)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestARefusedExamineLeavesNoMailbox(t *testing.T) {
	c := examined(t, "3", nil, func(p *peer) {
		p.say(p.hear(`EXAMINE "gone"`) + " NO [NONEXISTENT] no such mailbox.\x1b[2J")
		p.quiet()
	})
	_, err := c.Examine(t.Context(), "gone", nil)
	var se *StatusError
	if !errors.As(err, &se) || se.Type != "NO" || se.Code != "NONEXISTENT" || se.Mailbox != "gone" || se.Op != "EXAMINE" {
		t.Errorf("%#v", err)
	}
	oneLine(t, err, `examine "gone": server says NO [NONEXISTENT] no such mailbox`)
	if err := c.FetchMeta(t.Context(), AllUIDs(), MetaAll, nil); !errors.Is(err, ErrNotSelected) {
		t.Error(err)
	}
	c.Close()
}

func TestStatusReadsEveryForm(t *testing.T) {
	full := StatusData{Mailbox: "a b", Messages: 3, UIDNext: 9, UIDValidity: 7, Unseen: 1, Size: 5e9, HighestModSeq: 4,
		HasMessages: true, HasUIDNext: true, HasUIDValidity: true, HasUnseen: true, HasSize: true, HasHighestModSeq: true}
	for name, test := range map[string]struct {
		sent string
		want StatusData
	}{
		"all":     {`* STATUS "a b" (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 UNSEEN 1 SIZE 5000000000 HIGHESTMODSEQ 4)`, full},
		"odd":     {"* status {3}\r\na b ( messages 3  X-THING (a (b)) uidnext 9 MAILBOXID (F2) uidvalidity 7 unseen 1 size 5000000000 highestmodseq 4 ) ", full},
		"little":  {`* STATUS "a b" (MESSAGES 3)`, StatusData{Mailbox: "a b", Messages: 3, HasMessages: true}},
		"nothing": {`* STATUS "a b" ()`, StatusData{Mailbox: "a b"}},
		"another besides": {"* STATUS c (MESSAGES 8)\r\n* STATUS \"a b\" (MESSAGES 3)\r\n* STATUS c (MESSAGES 8)",
			StatusData{Mailbox: "a b", Messages: 3, HasMessages: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login("IMAP4rev1")
				p.answer(`STATUS "a b" (MESSAGES UIDNEXT)`, test.sent)
			}))
			got, err := c.Status(t.Context(), "a b", "MESSAGES", "UIDNEXT")
			if err != nil || got != test.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
	c := dial(t, play(t, func(p *peer) { p.login("IMAP4rev1"); p.answer(`STATUS "a" (MESSAGES)`) }))
	_, err := c.Status(t.Context(), "a", "MESSAGES")
	oneLine(t, err, "server says OK and gives no STATUS")
}

func TestSearchReadsEveryForm(t *testing.T) {
	for name, test := range map[string]struct{ caps, command, sent, want string }{
		"plain":           {"IMAP4rev1", "UID SEARCH SEEN", "* SEARCH 5 1 2 3 9", "1:3,5,9"},
		"in pieces":       {"IMAP4rev1", "UID SEARCH SEEN", "* SEARCH\r\n* SEARCH 1\r\n* SEARCH 3 4 ", "1,3:4"},
		"with MODSEQ":     {"IMAP4rev1", "UID SEARCH SEEN", "* SEARCH 2 (MODSEQ 917)", "2"},
		"empty":           {"IMAP4rev1", "UID SEARCH SEEN", "* SEARCH", ""},
		"nothing":         {"IMAP4rev1", "UID SEARCH SEEN", "* OK", ""},
		"ESEARCH":         {"IMAP4rev1 ESEARCH", "UID SEARCH RETURN (ALL) SEEN", `* ESEARCH (TAG "a3") UID ALL 1:3,9,7:5`, "1:3,5:7,9"},
		"ESEARCH, more":   {"IMAP4rev2", "UID SEARCH RETURN (ALL) SEEN", `* ESEARCH (TAG a3) UID COUNT 3 MIN 1 ALL 1:3 MODSEQ 5`, "1:3"},
		"ESEARCH, none":   {"IMAP4rev1 ESEARCH", "UID SEARCH RETURN (ALL) SEEN", `* ESEARCH (TAG "a3") UID`, ""},
		"another's":       {"IMAP4rev1 ESEARCH", "UID SEARCH RETURN (ALL) SEEN", "* ESEARCH (TAG \"a9\") UID ALL 8\r\n* ESEARCH (TAG \"a3\") UID ALL 1", "1"},
		"SEARCH anyway":   {"IMAP4rev1 ESEARCH", "UID SEARCH RETURN (ALL) SEEN", "* SEARCH 4 5", "4:5"},
		"ESEARCH, no tag": {"IMAP4rev1 ESEARCH", "UID SEARCH RETURN (ALL) SEEN", "* ESEARCH UID ALL 4:5", "4:5"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login(test.caps)
				p.examine("9")
				p.answer(test.command, test.sent)
			}))
			c.Examine(t.Context(), "INBOX", nil)
			got, err := c.UIDSearch(t.Context(), "SEEN")
			if err != nil || got.String() != test.want {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	c := examined(t, "1", nil, func(p *peer) { p.quiet() })
	if _, err := c.UIDSearch(t.Context(), "ALL\r\na9 LOGOUT"); err == nil {
		t.Error("criteria brought a command of their own")
	}
	c.Close()
}

func TestQuotaIsThatOfTheTightestRoot(t *testing.T) {
	for name, test := range map[string]struct {
		sent string
		want QuotaData
	}{
		"one":         {"* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 10 512 MESSAGE 3 100)", QuotaData{10240, 524288, true}},
		"two":         {"* QUOTA a (STORAGE 10 512)\r\n* QUOTA b (STORAGE 50 100)\r\n* QUOTA c (STORAGE 1 900)", QuotaData{51200, 102400, true}},
		"none":        {"* QUOTAROOT INBOX\r\n* QUOTA \"\" ()", QuotaData{}},
		"Courier":     {"* QUOTAROOT \"INBOX\" \"ROOT\"\r\n* QUOTA \"ROOT\"", QuotaData{}},
		"no storage":  {"* QUOTA \"\" (MESSAGE 1 2)", QuotaData{}},
		"very large":  {"* QUOTA \"\" (STORAGE 9223372036854775 9223372036854775)", QuotaData{1 << 62, 1 << 62, true}},
		"not a quota": {"* OK", QuotaData{}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login("IMAP4rev1 QUOTA")
				p.answer(`GETQUOTAROOT "INBOX"`, test.sent)
			}))
			if got, err := c.Quota(t.Context(), "INBOX"); err != nil || got != test.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestEnableComesBeforeExamineAndIsChecked(t *testing.T) {
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 ENABLE UNSELECT")
		p.answer("ENABLE CONDSTORE QRESYNC", "* ENABLED CONDSTORE QRESYNC")
		p.answer("ENABLE UTF8=ACCEPT", "* ENABLED")
		p.examine("3")
		p.answer("UNSELECT")
		p.quiet()
	}))
	if err := c.Enable(t.Context(), "CONDSTORE", "QRESYNC"); err != nil {
		t.Error(err)
	}
	if err := c.Enable(t.Context(), "UTF8=ACCEPT"); !errors.Is(err, ErrNotOffered) {
		t.Error(err)
	}
	c.Examine(t.Context(), "INBOX", nil)
	if err := c.Enable(t.Context(), "CONDSTORE"); err == nil {
		t.Error("ENABLE after EXAMINE")
	}
	if err := c.Unselect(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.UIDSearch(t.Context(), "ALL"); !errors.Is(err, ErrNotSelected) {
		t.Error(err)
	}
	c.Close()
}

func TestWhatIsNotOfferedIsNotSent(t *testing.T) {
	c := examined(t, "3", nil, func(p *peer) { p.quiet() })
	_, quota := c.Quota(t.Context(), "INBOX")
	for _, err := range []error{quota, c.Idle(t.Context()), c.Unselect(t.Context()), c.Enable(t.Context(), "CONDSTORE")} {
		if !errors.Is(err, ErrNotOffered) {
			t.Error(err)
		}
	}
	c.Close()
}
