package imapconn

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"imapfs/imapconn/imapwire"
)

// selected is a connection to script with caps, logged in, with INBOX selected.
func selected(t testing.TB, caps, exists string, rec Recorder, script func(*peer)) *Client {
	t.Helper()
	c := dial(t, play(t, func(p *peer) {
		p.login(caps)
		tag := p.hear(`SELECT "INBOX"`)
		p.say("* "+exists+" EXISTS", "* OK [UIDVALIDITY 7] v", "* OK [UIDNEXT 100] n", tag+" OK [READ-WRITE] done")
		script(p)
		p.drain()
	}))
	if _, err := c.Select(t.Context(), "INBOX", rec); err != nil {
		t.Fatal(err)
	}
	return c
}

// uids reads a set; "" is the empty one.
func uids(t testing.TB, s string) UIDSet {
	t.Helper()
	if s == "" {
		return nil
	}
	set, err := imapwire.ParseUIDSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestSelectSaysWhatCanBeChanged(t *testing.T) {
	for name, test := range map[string]struct {
		sent, ok string
		readOnly bool
		permits  string // of those asked for
	}{
		"writable":            {"* FLAGS (\\Seen a)\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] these", "OK [READ-WRITE]", false, `\seen a b`},
		"no new keywords":     {"* FLAGS (\\Seen a b)\r\n* OK [PERMANENTFLAGS (\\Seen a)] these", "OK [READ-WRITE]", false, `\seen a`},
		"RFC 1730":            {"* FLAGS (\\Seen \\Deleted)", "OK", false, `\seen \Deleted`},
		"given for reading":   {"* FLAGS (\\Seen)\r\n* OK [PERMANENTFLAGS ()] none", "OK [READ-ONLY]", true, ""},
		"of the one we leave": {"* OK [READ-ONLY] old\r\n* OK [CLOSED] left\r\n* FLAGS (\\Seen)", "OK [READ-WRITE]", false, `\seen`},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login("IMAP4rev1")
				tag := p.hear(`SELECT "INBOX"`)
				p.say(test.sent, tag+" "+test.ok)
				if !test.readOnly {
					p.answer(`UID STORE 1 +FLAGS.SILENT (\Seen)`)
				}
				p.quiet()
			}))
			data, err := c.Select(t.Context(), "INBOX", nil)
			var permits []string
			for _, f := range []string{`\seen`, `\Deleted`, "a", "b"} {
				if data.Permits(f) {
					permits = append(permits, f)
				}
			}
			if got := strings.Join(permits, " "); err != nil || data.ReadOnly != test.readOnly || got != test.permits {
				t.Errorf("%+v, permits %q, %v", data, got, err)
			}
			if err := c.AddFlags(t.Context(), UIDSet{{First: 1, Last: 1}}, `\Seen`); (err != nil) != test.readOnly || err != nil && !errors.Is(err, ErrReadOnly) {
				t.Error(err)
			}
			c.Close()
		})
	}
}

func TestNothingIsChangedInAMailboxThatWasExamined(t *testing.T) {
	const caps = "IMAP4rev1 UIDPLUS MOVE REPLACE LITERAL+"
	c := dial(t, play(t, func(p *peer) {
		p.login(caps)
		tag := p.hear(`EXAMINE "INBOX"`)
		p.say("* 3 EXISTS", tag+" OK [READ-WRITE] Courier says so")
		p.answer(`UID COPY 1:2 "B"`)
		p.quiet()
	}))
	set, ctx := UIDSet{{First: 1, Last: 2}}, t.Context()
	change := map[string]func() error{
		"AddFlags":    func() error { return c.AddFlags(ctx, set, `\Deleted`) },
		"RemoveFlags": func() error { return c.RemoveFlags(ctx, set, `\Seen`) },
		"Move":        func() error { _, err := c.Move(ctx, set, "B"); return err },
		"Expunge":     func() error { _, err := c.Expunge(ctx, set); return err },
		"Remove":      func() error { _, err := c.Remove(ctx, set); return err },
		"ExpungeAll":  func() error { return c.ExpungeAll(ctx) },
		"Replace":     func() error { _, err := c.Replace(ctx, 1, "B", message("x")); return err },
	}
	for name, f := range change {
		if err := f(); !errors.Is(err, ErrNotSelected) {
			t.Errorf("%s with nothing selected: %v", name, err)
		}
	}
	if _, err := c.Examine(ctx, "INBOX", nil); err != nil {
		t.Fatal(err)
	}
	for name, f := range change {
		if err := f(); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Copy(ctx, set, "B"); err != nil { // it changes another
		t.Error(err)
	}
	c.Close()
}

func TestFlagsGoOutAsDifferences(t *testing.T) {
	c := selected(t, "IMAP4rev1", "9", nil, func(p *peer) {
		p.answer(`UID STORE 1:3,7 +FLAGS.SILENT (\Seen $Junk)`)
		p.answer(`UID STORE 1:* -FLAGS.SILENT (a)`)
		p.say(p.hear(`UID STORE 5 +FLAGS.SILENT (b)`) + " NO [NOPERM] not you")
		p.quiet()
	})
	ctx := t.Context()
	five := UIDSet{{First: 5, Last: 5}}
	if err := c.AddFlags(ctx, uids(t, "1:3,7"), `\Seen`, "$Junk"); err != nil {
		t.Error(err)
	}
	if err := c.RemoveFlags(ctx, AllUIDs(), "a"); err != nil {
		t.Error(err)
	}
	err := c.AddFlags(ctx, five, "b")
	var se *StatusError
	if !errors.As(err, &se) || se.Code != CodeNoPerm {
		t.Error(err)
	}
	for _, err := range []error{
		c.AddFlags(ctx, five, `\Recent`), c.AddFlags(ctx, five, "a b"), c.AddFlags(ctx, five, ""), c.AddFlags(ctx, five, `\`),
		c.AddFlags(ctx, five, `\*`), c.AddFlags(ctx, five, "a)\r\na9 LOGOUT"), c.AddFlags(ctx, five, "ä"), c.AddFlags(ctx, five, strings.Repeat("x", 5000)),
	} {
		if err == nil {
			t.Error("a flag was sent that is none")
		}
	}
	if err := c.AddFlags(ctx, five); err != nil {
		t.Error(err)
	}
	if err := c.AddFlags(ctx, nil, "x"); err != nil {
		t.Error(err)
	}
	c.Close()
}

// Each is what is said to a COPY of 1:5, and what must be made of it.
func TestCOPYUIDIsBelievedWhereItCanBe(t *testing.T) {
	for name, test := range map[string]struct {
		sent, ok        string
		copied, unnamed string
		targets         map[UID]UID
	}{
		"all":               {"", "OK [COPYUID 9 1:5 101:105] done", "1:5", "", map[UID]UID{1: 101, 5: 105, 6: 0}},
		"in its own order":  {"", "OK [COPYUID 9 3,1:2,5,4 101:105] done", "1:5", "", map[UID]UID{3: 101, 1: 102, 2: 103, 5: 104, 4: 105}},
		"in pieces":         {"", "OK [COPYUID 9 1:5 101:102,200,300:301] done", "1:5", "", map[UID]UID{2: 102, 3: 200, 5: 301}},
		"some are gone":     {"", "OK [COPYUID 9 2,4 7:8] done", "2,4", "", map[UID]UID{2: 7, 3: 0, 4: 8}},
		"untagged":          {"* OK [COPYUID 9 1:5 101:105] moved", "OK done", "1:5", "", map[UID]UID{5: 105}},
		"in two":            {"* OK [COPYUID 9 1:3 101:103] moved", "OK [COPYUID 9 4:5 7:8] done", "1:5", "", map[UID]UID{3: 103, 5: 8}},
		"twice":             {"* OK [COPYUID 9 1:5 101:105] moved", "OK [COPYUID 9 1:5 201:205] done", "1:5", "", map[UID]UID{3: 103}},
		"none":              {"", "OK done", "", "1:5", map[UID]UID{1: 0}},
		"hoodiecrow's":      {"", "OK [COPYUID 9  ] done", "", "1:5", nil},
		"more than asked":   {"", "OK [COPYUID 9 1:6 101:106] done", "", "1:5", nil},
		"another's":         {"", "OK [COPYUID 9 7 8] done", "", "1:5", nil},
		"uneven":            {"", "OK [COPYUID 9 1:5 101:104] done", "", "1:5", nil},
		"a source twice":    {"", "OK [COPYUID 9 1,1 101:102] done", "", "1:5", nil},
		"without validity":  {"", "OK [COPYUID 0 1 2] done", "", "1:5", nil},
		"a star":            {"", "OK [COPYUID 9 1:5 *:*] done", "", "1:5", nil},
		"two UIDVALIDITIES": {"* OK [COPYUID 9 1:3 101:103] moved", "OK [COPYUID 8 4:5 7:8] done", "1:3", "", map[UID]UID{5: 0}},
		"another mailbox's": {"* OK [APPENDUID 9 3] what", "OK done", "", "1:5", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := selected(t, "IMAP4rev1", "9", nil, func(p *peer) {
				tag := p.hear(`UID COPY 1:5 "B"`)
				if test.sent != "" {
					p.say(test.sent)
				}
				p.say(tag + " " + test.ok)
			})
			got, err := c.Copy(t.Context(), uids(t, "1:5"), "B")
			if err != nil || got.Copied.String() != test.copied || got.Unnamed.String() != test.unnamed {
				t.Errorf("%+v, %v", got, err)
			}
			if (got.UIDValidity != 0) != (test.copied != "") {
				t.Errorf("UIDVALIDITY %d", got.UIDValidity)
			}
			for from, want := range test.targets {
				if to, ok := got.Target(from); to != want || ok != (want != 0) {
					t.Errorf("%d is %d, want %d", from, to, want)
				}
			}
		})
	}
}

func TestMoveThatIsRefusedSaysWhatWasMoved(t *testing.T) {
	rec := &recorded{}
	c := selected(t, "IMAP4rev1 MOVE", "3", rec, func(p *peer) {
		p.answer("UID FETCH 10:30 (UID)", "* 1 FETCH (UID 10)", "* 2 FETCH (UID 20)", "* 3 FETCH (UID 30)")
		tag := p.hear(`UID MOVE 10:30 "B"`)
		p.say("* OK [COPYUID 9 10,20 1:2] moved", "* 1 EXPUNGE", "* 1 EXPUNGE", tag+" NO [OVERQUOTA] full")
	})
	set := uids(t, "10:30")
	if err := c.FetchMeta(t.Context(), set, 0, func(Meta) {}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Move(t.Context(), set, "B")
	var se *StatusError
	if !errors.As(err, &se) || se.Code != CodeOverQuota || se.Mailbox != "B" || got.Copied.String() != "10,20" || got.Unnamed != nil {
		t.Errorf("%+v, %v", got, err)
	}
	rec.want(t, "expunged 10", "expunged 20")
}

func TestCOPYUIDsOfTwoMovesFindTheirOwn(t *testing.T) {
	c := selected(t, "IMAP4rev1 MOVE", "9", nil, func(p *peer) {
		one, two := "", ""
		for range 2 { // in either order
			tag, line, _ := strings.Cut(p.line(), " ")
			if strings.HasPrefix(line, "UID MOVE 1:2 ") {
				one = tag
			} else {
				two = tag
			}
		}
		p.say("* OK [COPYUID 9 3:4 33:34] moved", "* OK [COPYUID 9 1:2 11:12] moved", one+" OK", two+" OK")
	})
	var group sync.WaitGroup
	for _, from := range []UID{1, 3} {
		group.Go(func() {
			d, err := c.Move(t.Context(), UIDSet{{First: from, Last: from + 1}}, "B")
			if to, _ := d.Target(from + 1); err != nil || to != 11*from+1 {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
	group.Wait()
}

func TestASetOfManyGoesInSeveralLines(t *testing.T) {
	var set UIDSet
	for u := UID(1_000_001); u < 1_006_001; u += 2 {
		set.Add(u)
	}
	c := selected(t, "IMAP4rev1", "9", nil, func(p *peer) {
		var asked UIDSet
		for lines := 1; asked.Len() < set.Len(); lines++ {
			line := p.line()
			if len(line) > 8000 {
				p.t.Errorf("a line of %d octets", len(line))
			}
			f := strings.Fields(line)
			part, err := imapwire.ParseUIDSet(f[3])
			if err != nil {
				p.t.Error(err)
				return
			}
			add(&asked, part)
			if asked.Len() < set.Len() {
				p.say(fmt.Sprintf("%s OK [COPYUID 9 %s %d:%d] done", f[0], f[3], 5000*lines, 5000*lines+int(part.Len())-1))
			} else {
				p.say(f[0] + " OK done")
			}
		}
		if !reflect.DeepEqual(asked, set) {
			p.t.Error("another set was asked for")
		}
	})
	got, err := c.Copy(t.Context(), set, strings.Repeat("n", 500))
	if err != nil || got.Copied.Len()+got.Unnamed.Len() != 3000 || len(got.Unnamed) == 0 {
		t.Errorf("%d and %d, %v", got.Copied.Len(), got.Unnamed.Len(), err)
	}
	if to, ok := got.Target(1_000_003); !ok || to != 5001 {
		t.Error(to)
	}
}

func TestExpungeReturnsWhatWasNamed(t *testing.T) {
	rec := &recorded{}
	c := selected(t, "IMAP4rev1 UIDPLUS", "4", rec, func(p *peer) {
		p.answer("UID FETCH 10:30 (UID)", "* 1 FETCH (UID 10)", "* 2 FETCH (UID 20)", "* 3 FETCH (UID 30)")
		p.answer("UID EXPUNGE 10:20,40", "* 3 EXPUNGE", "* 2 EXPUNGE", "* 2 EXPUNGE")
		p.answer("UID EXPUNGE 10")
	})
	if err := c.FetchMeta(t.Context(), uids(t, "10:30"), 0, func(Meta) {}); err != nil {
		t.Fatal(err)
	}
	gone, err := c.Expunge(t.Context(), uids(t, "10:20,40"))
	if err != nil || gone.String() != "20" {
		t.Errorf("%s, %v", gone, err)
	}
	rec.want(t, "expunged 30", "expunged 20", "expunged 0") // 30 is another client's, 40 was never met
	if gone, err := c.Expunge(t.Context(), uids(t, "10")); err != nil || gone != nil {
		t.Errorf("%s, %v", gone, err)
	}
}

// Each is how a server deals with a Remove of 10,20 in a mailbox of 3.
func TestRemoveGoesOnUntilTheyAreGone(t *testing.T) {
	const mark, expunge, ask = `UID STORE 10,20 +FLAGS.SILENT (\Deleted)`, "UID EXPUNGE 10,20", "UID FETCH 10,20 (UID)"
	for name, test := range map[string]struct {
		script func(p *peer)
		left   string
		fails  bool
	}{
		"at once": {func(p *peer) {
			tags := []string{p.hear(mark), p.hear(ask), p.hear(expunge)} // in one flight
			p.say(tags[0]+" OK", "* 1 FETCH (UID 10)", "* 2 FETCH (UID 20)", tags[1]+" OK", "* 1 EXPUNGE", "* 1 EXPUNGE", tags[2]+" OK")
		}, "", false},
		"Dovecot, another session in the way": {func(p *peer) {
			tags := []string{p.hear(mark), p.hear(ask), p.hear(expunge)}
			p.say(tags[0]+" OK", "* 1 FETCH (UID 10)", "* 2 FETCH (UID 20)", tags[1]+" OK", "* 1 EXPUNGE", tags[2]+" OK")
			p.answer("NOOP")
			tags = []string{p.hear("UID FETCH 20 (UID)"), p.hear("UID EXPUNGE 20")}
			p.say("* 1 FETCH (UID 20)", tags[0]+" OK", "* 1 EXPUNGE", tags[1]+" OK")
		}, "", false},
		"a session that has not heard of them yet": {func(p *peer) {
			tags := []string{p.hear(mark), p.hear(ask), p.hear(expunge)}
			p.say(tags[0]+" OK", tags[1]+" OK", tags[2]+" OK")
			p.answer("NOOP", "* 5 EXISTS")
			tags = []string{p.hear(mark), p.hear(ask), p.hear(expunge)}
			p.say(tags[0]+" OK", "* 4 FETCH (UID 10)", "* 5 FETCH (UID 20)", tags[1]+" OK", "* 5 EXPUNGE", "* 4 EXPUNGE", tags[2]+" OK")
		}, "", false},
		"another client was faster": {func(p *peer) {
			tags := []string{p.hear(mark), p.hear(ask), p.hear(expunge)}
			p.say(tags[0]+" OK", "* 1 FETCH (UID 10)", tags[1]+" OK", "* 1 EXPUNGE", tags[2]+" OK")
			p.answer("NOOP")
			tags = []string{p.hear(`UID STORE 20 +FLAGS.SILENT (\Deleted)`), p.hear("UID FETCH 20 (UID)"), p.hear("UID EXPUNGE 20")}
			p.say(tags[0]+" OK", tags[1]+" OK", tags[2]+" OK")
		}, "", false},
		"another client takes the mark off": {func(p *peer) {
			tags := []string{p.hear(mark), p.hear(ask), p.hear(expunge)}
			p.say(tags[0]+" OK", "* 1 FETCH (UID 10)", "* 2 FETCH (UID 20)", tags[1]+" OK", "* 2 EXPUNGE", "* 1 FETCH (UID 10 FLAGS ())", tags[2]+" OK")
			for range removeTries - 1 {
				p.answer("NOOP")
				tags = []string{p.hear("UID FETCH 10 (UID)"), p.hear("UID EXPUNGE 10")}
				p.say("* 1 FETCH (UID 10)", tags[0]+" OK", tags[1]+" OK")
			}
			p.answer("NOOP")
		}, "10", false},
		"no right to mark": {func(p *peer) {
			tags := []string{p.hear(mark), p.hear(ask), p.hear(expunge)}
			p.say(tags[0]+" NO [NOPERM] no", "* 1 FETCH (UID 10)", "* 2 FETCH (UID 20)", tags[1]+" OK", tags[2]+" OK")
		}, "10,20", true},
		"cut": {func(p *peer) {
			p.hear(mark)
			p.hear(ask)
			p.hear(expunge)
			p.say("* 1 FETCH (UID 10)", "* 1 EXPUNGE")
			p.conn.Close()
		}, "20", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := selected(t, "IMAP4rev1 UIDPLUS", "3", nil, test.script)
			left, err := c.Remove(t.Context(), uids(t, "10,20"))
			if left.String() != test.left || (err != nil) != test.fails {
				t.Errorf("left %s, %v", left, err)
			}
		})
	}
}

func TestReplaceTakesItsUIDFromEitherAnswer(t *testing.T) {
	c := selected(t, "IMAP4rev1 REPLACE LITERAL+", "3", nil, func(p *peer) {
		tag := p.hear(`UID REPLACE 20 "INBOX" (\Seen) {2+}`)
		p.octets("hi\r\n")
		p.say("* OK [APPENDUID 7 100] ready", "* 4 EXISTS", "* 2 EXPUNGE", tag+" OK done")
		tag = p.hear(`UID REPLACE 100 "B" {2+}`)
		p.octets("ho\r\n")
		p.say("* 3 EXPUNGE", tag+" OK [APPENDUID 8 1] done")
		tag = p.hear(`UID REPLACE 100 "B" {2+}`)
		p.octets("ho\r\n")
		p.say(tag + " NO [NONEXISTENT] it is gone")
		p.hear(`UID REPLACE 100 "B" {2+}`)
		p.octets("ho\r\n")
		p.conn.Close()
	})
	if got, err := c.Replace(t.Context(), 20, "INBOX", message("hi", `\Seen`)); err != nil || got != (AppendData{7, 100}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.Replace(t.Context(), 100, "B", message("ho")); err != nil || got != (AppendData{8, 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	var ae *AppendError
	if _, err := c.Replace(t.Context(), 100, "B", message("ho")); !errors.As(err, &ae) || ae.State != Refused {
		t.Error(err)
	}
	if _, err := c.Replace(t.Context(), 100, "B", message("ho")); !errors.As(err, &ae) || ae.State != Unknown {
		t.Error(err)
	}
}

func TestChangesThatAreNotOfferedAreNotSent(t *testing.T) {
	c := selected(t, "IMAP4rev1", "3", nil, func(p *peer) { p.quiet() })
	set, ctx := UIDSet{{First: 1, Last: 1}}, t.Context()
	_, move := c.Move(ctx, set, "B")
	_, expunge := c.Expunge(ctx, set)
	_, remove := c.Remove(ctx, set)
	_, replace := c.Replace(ctx, 1, "B", message("x"))
	for _, err := range []error{move, expunge, remove, replace} {
		if !errors.Is(err, ErrNotOffered) {
			t.Error(err)
		}
	}
	c.Close()
}

func TestMailboxCommandsSayWhatTheServerSays(t *testing.T) {
	ctx := t.Context()
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 LITERAL+")
		p.answer(`CREATE "a/b"`)
		p.say(p.hear(`CREATE "c"`) + " OK [MAILBOXID (F2212ea87-6097)] done")
		p.say(p.hear(`CREATE "c"`) + " NO [ALREADYEXISTS] there is one")
		tag := p.hear(`RENAME "a\"b" {3+}`)
		p.want("pä")
		p.say(tag + " OK")
		p.say(p.hear(`DELETE "p"`) + " NO [HASCHILDREN] it has some")
		p.answer(`SUBSCRIBE "c"`)
		p.answer(`UNSUBSCRIBE "c"`)
		p.quiet()
	}))
	if id, err := c.Create(ctx, "a/b"); err != nil || id != "" {
		t.Error(id, err)
	}
	if id, err := c.Create(ctx, "c"); err != nil || id != "F2212ea87-6097" {
		t.Error(id, err)
	}
	_, err := c.Create(ctx, "c")
	var se *StatusError
	if !errors.As(err, &se) || se.Code != CodeAlreadyExists || se.Mailbox != "c" {
		t.Error(err)
	}
	if err := c.Rename(ctx, `a"b`, "pä"); err != nil {
		t.Error(err)
	}
	oneLine(t, c.Delete(ctx, "p"), `delete "p": server says NO [HASCHILDREN] it has some`)
	if err := errors.Join(c.Subscribe(ctx, "c"), c.Unsubscribe(ctx, "c")); err != nil {
		t.Error(err)
	}
	if _, err := c.Create(ctx, "a\x00"); err == nil {
		t.Error("a NUL was sent")
	}
	c.Close()
}

func TestChangesOfTheSameMessagesWait(t *testing.T) {
	set, others := UIDSet{{First: 5, Last: 9}}, UIDSet{{First: 1, Last: 4}}
	ctx := t.Context()
	store := func(set UIDSet) func(*Client) error {
		return func(c *Client) error { return c.AddFlags(ctx, set, "a") }
	}
	copies := func(set UIDSet) func(*Client) error {
		return func(c *Client) error { _, err := c.Copy(ctx, set, "B"); return err }
	}
	expunge := func(c *Client) error { _, err := c.Expunge(ctx, set); return err }
	const hearStore, hearCopy, hearExpunge = "UID STORE 5:9 +FLAGS.SILENT (a)", `UID COPY 5:9 "B"`, "UID EXPUNGE 5:9"
	for name, test := range map[string]struct {
		first, second func(*Client) error
		hear1, hear2  string
		sharing       bool
	}{
		"STORE behind COPY":           {copies(set), store(set), hearCopy, hearStore, false},
		"EXPUNGE behind COPY":         {copies(set), expunge, hearCopy, hearExpunge, false},
		"COPY behind STORE":           {store(set), copies(set), hearStore, hearCopy, false},
		"STORE behind EXPUNGE":        {expunge, store(set), hearExpunge, hearStore, false},
		"DELETE behind NOOP":          {func(c *Client) error { return c.Noop(ctx) }, func(c *Client) error { return c.Delete(ctx, "B") }, "NOOP", `DELETE "B"`, false},
		"EXPUNGE behind STORE shares": {store(set), expunge, hearStore, hearExpunge, true},
		"STORE of others shares":      {copies(set), store(others), hearCopy, "UID STORE 1:4 +FLAGS.SILENT (a)", true},
		"two COPYs of others share":   {copies(set), copies(others), hearCopy, `UID COPY 1:4 "B"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan struct{})
			c := selected(t, "IMAP4rev1 UIDPLUS", "9", nil, func(p *peer) {
				p.hearTwo(test.hear1, test.hear2, test.sharing, heard)
			})
			first := pending(func() error { return test.first(c) })
			<-heard
			second := pending(func() error { return test.second(c) })
			if err := errors.Join(first(), second()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheAppendLimitIsAskedForWhereItDiffers(t *testing.T) {
	for caps, test := range map[string]struct {
		sent string
		want int64
	}{
		"IMAP4rev1":                {"", NoAppendLimit},
		"IMAP4rev1 APPENDLIMIT=17": {"", 17},
		"IMAP4rev1 APPENDLIMIT":    {"(APPENDLIMIT 5000000000)", 5000000000},
		"IMAP4 APPENDLIMIT":        {"(APPENDLIMIT NIL)", NoAppendLimit},
		"IMAP4rev2 APPENDLIMIT":    {"()", NoAppendLimit},
		"IMAP4rev1 APPENDLIMIT=x":  {"", NoAppendLimit},
	} {
		c := dial(t, play(t, func(p *peer) {
			p.login(caps)
			if test.sent != "" {
				p.answer(`STATUS "B" (APPENDLIMIT)`, "* STATUS B "+test.sent)
			}
			p.quiet()
		}))
		if got, err := c.AppendLimit(t.Context(), "B"); err != nil || got != test.want {
			t.Errorf("%s: %d, %v", caps, got, err)
		}
		c.Close()
	}
}

// CLOSE leaves a mailbox of RFC 1730 that was examined, and is sent nowhere else.
func TestCLOSEIsSentBehindEXAMINEOnly(t *testing.T) {
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4")
		p.answer(`EXAMINE "INBOX"`, "* 1 EXISTS")
		p.answer("CLOSE")
		p.answer(`SELECT "INBOX"`, "* 1 EXISTS")
		p.quiet()
	}))
	ctx := t.Context()
	c.Examine(ctx, "INBOX", nil)
	if err := c.Unselect(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Unselect(ctx); !errors.Is(err, ErrNotSelected) {
		t.Error(err)
	}
	c.Select(ctx, "INBOX", nil)
	if err := c.Unselect(ctx); !errors.Is(err, ErrNotOffered) {
		t.Error(err)
	}
	c.Close()
}
