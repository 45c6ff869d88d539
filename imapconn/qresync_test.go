package imapconn

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

const resyncCaps = "IMAP4rev1 ENABLE CONDSTORE QRESYNC"

// enabledQResync dials a server with QRESYNC that goes on with script.
func enabledQResync(t *testing.T, script func(*peer)) *Client {
	t.Helper()
	return dial(t, play(t, func(p *peer) {
		p.login(resyncCaps)
		p.answer("ENABLE QRESYNC", "* ENABLED CONDSTORE QRESYNC")
		script(p)
	}))
}

// modSeqs are what EXAMINE says of a mailbox with mod-sequences.
func modSeqs(exists, highest int) []string {
	return []string{fmt.Sprintf("* %d EXISTS", exists), "* OK [UIDVALIDITY 7] v", "* OK [UIDNEXT 100] n", fmt.Sprintf("* OK [HIGHESTMODSEQ %d] m", highest)}
}

func TestSyncIsEnabledAsItIsOffered(t *testing.T) {
	for name, test := range map[string]struct {
		caps, hears string // "": nothing
		says        []string
		done        string
		parameter   string
		condstore   bool
		qresync     bool
	}{
		"QRESYNC":                     {"ENABLE CONDSTORE QRESYNC", "QRESYNC", []string{"* ENABLED QRESYNC"}, "OK", "", true, true},
		"QRESYNC alone":               {"ENABLE QRESYNC", "QRESYNC", []string{"* ENABLED QRESYNC CONDSTORE"}, "OK", "", true, true},
		"CONDSTORE":                   {"ENABLE CONDSTORE", "CONDSTORE", []string{"* ENABLED CONDSTORE"}, "OK", "", true, false},
		"IMAP4rev2 has ENABLE":        {"IMAP4rev2 CONDSTORE", "CONDSTORE", []string{"* ENABLED CONDSTORE"}, "OK", "", true, false},
		"iCloud, which enables none":  {"ENABLE CONDSTORE QRESYNC", "QRESYNC", []string{"* ENABLED"}, "OK", " (CONDSTORE)", true, false},
		"refused":                     {"ENABLE CONDSTORE QRESYNC", "QRESYNC", nil, "NO", " (CONDSTORE)", true, false},
		"not understood":              {"ENABLE CONDSTORE", "CONDSTORE", nil, "BAD", " (CONDSTORE)", true, false},
		"without ENABLE":              {"CONDSTORE QRESYNC", "", nil, "", " (CONDSTORE)", true, false},
		"nothing of the kind":         {"ENABLE", "", nil, "", "", false, false},
		"enabled before it was asked": {"ENABLE QRESYNC", "QRESYNC", nil, "OK", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.say("* OK [CAPABILITY IMAP4rev1 " + test.caps + "] hello")
				tag := p.hear(`LOGIN "alice" "secret"`)
				p.say("* ENABLED QRESYNC", tag+" OK [CAPABILITY IMAP4rev1 "+test.caps+"] welcome")
				if test.hears != "" {
					tag := p.hear("ENABLE " + test.hears)
					p.say(append(test.says, tag+" "+test.done+" so")...)
				}
				p.answer(`EXAMINE "INBOX"`+test.parameter, modSeqs(3, 5)...)
				p.drain()
			}))
			if c.Condstore() != test.condstore || c.QResync() != test.qresync {
				t.Errorf("CONDSTORE %v, QRESYNC %v", c.Condstore(), c.QResync())
			}
			if data, err := c.Examine(t.Context(), "INBOX", nil); err != nil || data.HighestModSeq != 5 || data.Exists != 3 {
				t.Errorf("%+v, %v", data, err)
			}
			c.Close()
		})
	}
}

// told is who waits for the changes at an EXAMINE.
type told struct{ got []string }

func (r *told) since(m ModSeq) Since {
	return Since{
		UIDValidity: 7, ModSeq: m,
		Flags:    func(uid UID, flags []string) { r.got = append(r.got, fmt.Sprint("flags ", uid, flags)) },
		Vanished: func(first, last UID) { r.got = append(r.got, fmt.Sprintf("vanished %d:%d", first, last)) },
		Again:    func() { r.got = nil },
	}
}

func TestExamineSinceTellsWhatHasChanged(t *testing.T) {
	for name, test := range map[string]struct {
		says     []string
		resynced bool
		want     []string
	}{
		"changes": {append(modSeqs(3, 9), "* VANISHED (EARLIER) 41,300:310,1:2", `* 2 FETCH (UID 20 FLAGS (\Seen) MODSEQ (8))`, "* 3 FETCH (MODSEQ (9) FLAGS () UID 30)"),
			true, []string{"vanished 41:41", "vanished 300:310", "vanished 1:2", `flags 20 [\Seen]`, "flags 30 []"}},
		"of the mailbox that is left": {slices.Concat([]string{"* 9 EXISTS", "* VANISHED 3", "* 1 FETCH (UID 1 FLAGS (x))", "* OK [CLOSED] x"}, modSeqs(3, 9), []string{"* 1 FETCH (UID 10 FLAGS ())"}),
			true, []string{"flags 10 []"}},
		"nothing":                  {modSeqs(3, 5), true, nil},
		"a VANISHED out of place":  {append(modSeqs(3, 9), "* VANISHED 41"), true, nil},
		"lower mod-sequences":      {modSeqs(3, 4), false, nil},
		"no mod-sequences":         {append(modSeqs(3, 9), "* OK [NOMODSEQ] none"), false, nil},
		"no word of them":          {modSeqs(3, 9)[:3], false, nil},
		"another UIDVALIDITY":      {append(modSeqs(3, 9), "* OK [UIDVALIDITY 8] v"), false, nil},
		"no word of UIDVALIDITY":   {[]string{"* 3 EXISTS", "* OK [HIGHESTMODSEQ 9] m"}, false, nil},
		"flags without a UID":      {append(modSeqs(3, 9), "* 1 FETCH (FLAGS ())"), true, nil},
		"no flags of a known UID":  {append(modSeqs(3, 9), "* 1 FETCH (UID 10 MODSEQ (7))"), true, nil},
		"an EXPUNGE out of place":  {append(modSeqs(3, 9), "* 1 EXPUNGE", "* 3 EXISTS"), true, nil},
		"mod-sequences of 63 bits": {append(modSeqs(3, 9), "* OK [HIGHESTMODSEQ 9223372036854775807] m"), true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := enabledQResync(t, func(p *peer) {
				p.answer(`EXAMINE "INBOX" (QRESYNC (7 5))`, test.says...)
				p.drain()
			})
			var r told
			rec := &recorded{}
			data, err := c.ExamineSince(t.Context(), "INBOX", rec, r.since(5))
			if err != nil || data.Resynced != test.resynced || data.Exists != 3 {
				t.Errorf("%+v, %v", data, err)
			}
			if !slices.Equal(r.got, test.want) {
				t.Errorf("told %q, want %q", r.got, test.want)
			}
			rec.want(t)
			c.Close()
		})
	}
}

func TestAnUnreadableParameterIsNotSentAgain(t *testing.T) {
	c := enabledQResync(t, func(p *peer) {
		p.say(p.hear(`EXAMINE "INBOX" (QRESYNC (7 5))`) + " BAD what")
		p.answer(`EXAMINE "INBOX"`, modSeqs(3, 9)...)
		p.drain()
	})
	var r told
	data, err := c.ExamineSince(t.Context(), "INBOX", nil, r.since(5))
	if err != nil || data.Resynced || data.Exists != 3 || c.QResync() || c.Condstore() {
		t.Errorf("%+v, %v", data, err)
	}
	if _, err := c.ExamineSince(t.Context(), "INBOX", nil, r.since(5)); !errors.Is(err, ErrNotOffered) {
		t.Error(err)
	}
	if err := c.FetchChanged(t.Context(), AllUIDs(), 5, func(Meta) {}); !errors.Is(err, ErrNotOffered) {
		t.Error(err)
	}
	c.Close()
}

// Each is what a server with QRESYNC says at a NOOP in a mailbox of 4.
func TestWithQResyncNoMessageNumbersAreKept(t *testing.T) {
	for name, test := range map[string]struct {
		sent string
		want []string
	}{
		"expunge":                  {"* VANISHED 20", []string{"vanished 20:20"}},
		"expunge of some":          {"* VANISHED 10:11,30", []string{"vanished 10:11", "vanished 30:30"}},
		"new mail":                 {"* 5 EXISTS", []string{"exists 5"}},
		"expunge, EXISTS behind":   {"* VANISHED 20\r\n* 3 EXISTS\r\n* 4 EXISTS", []string{"vanished 20:20", "exists 4"}},
		"all is told":              {"* VANISHED 20\r\n* OK [HIGHESTMODSEQ 12] m", []string{"vanished 20:20", "reached 12"}},
		"no mod-sequences now":     {"* OK [NOMODSEQ] none", []string{"reached 0"}},
		"flags":                    {"* 2 FETCH (UID 20 FLAGS (a) MODSEQ (11))", []string{"flags 20 a"}},
		"flags, and other numbers": {"* 2 FETCH (UID 20 FLAGS (a))\r\n* 2 FETCH (UID 30 FLAGS (b))", []string{"flags 20 a", "flags 30 b"}},
		"flags without a UID":      {"* 2 FETCH (FLAGS (a))", []string{"changed"}},
		"earlier, unasked":         {"* VANISHED (EARLIER) 1:4", nil},
		"more than there are":      {"* VANISHED 1:2,3:5", []string{"vanished 1:2", "lost: VANISHED of more messages than there are"}},
		"all UIDs":                 {"* VANISHED 1:4294967295", []string{"lost: VANISHED of more messages than there are"}},
		"EXPUNGE all the same":     {"* 1 EXPUNGE\r\n* VANISHED 1", []string{"lost: EXPUNGE in the place of VANISHED"}},
		"fewer":                    {"* 3 EXISTS", []string{"lost: fewer EXISTS without VANISHED"}},
		"another UIDVALIDITY":      {"* OK [UIDVALIDITY 8] new\r\n* VANISHED 1\r\n* 9 EXISTS", []string{"lost: another UIDVALIDITY"}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorded{}
			c := enabledQResync(t, func(p *peer) {
				p.answer(`EXAMINE "INBOX"`, modSeqs(4, 9)...)
				p.answer("NOOP", test.sent)
				p.drain()
			})
			if _, err := c.Examine(t.Context(), "INBOX", rec); err != nil {
				t.Fatal(err)
			}
			if box, _ := c.selection(); box.table != nil {
				t.Error("a table of message numbers is kept")
			}
			if err := c.Noop(t.Context()); err != nil {
				t.Error(err)
			}
			rec.want(t, test.want...)
			c.Close()
		})
	}
}

// RFC 7162 §3.2.10: a mailbox without mod-sequences has EXPUNGE, whatever is enabled.
func TestAMailboxWithoutModSequencesHasNumbers(t *testing.T) {
	rec := &recorded{}
	c := enabledQResync(t, func(p *peer) {
		p.answer(`EXAMINE "INBOX"`, "* 4 EXISTS", "* OK [UIDVALIDITY 7] v", "* OK [NOMODSEQ] none")
		p.answer("UID FETCH 1:* (UID)", "* 1 FETCH (UID 10)", "* 2 FETCH (UID 20)", "* 3 FETCH (UID 30)", "* 4 FETCH (UID 40)")
		p.answer("NOOP", "* 2 EXPUNGE", "* VANISHED 30")
		p.drain()
	})
	if _, err := c.Examine(t.Context(), "INBOX", rec); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.FetchMeta(t.Context(), AllUIDs(), 0, func(Meta) {}), c.Noop(t.Context())); err != nil {
		t.Error(err)
	}
	rec.want(t, "expunged 20", "lost: VANISHED")
	c.Close()
}

func TestFetchChangedAsksForWhatHasChanged(t *testing.T) {
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1 CONDSTORE")
		p.answer(`EXAMINE "INBOX" (CONDSTORE)`, modSeqs(4, 9)...)
		p.answer("UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 5)", "* 2 FETCH (UID 20 MODSEQ (7) FLAGS (a))", "* 4 FETCH (UID 41 MODSEQ (9))")
		p.drain()
	}))
	if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := c.FetchChanged(t.Context(), AllUIDs(), 5, func(m Meta) { got = append(got, fmt.Sprint(m.UID, m.Flags)) }); err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, []string{"20 [a]"}) {
		t.Errorf("%q", got)
	}
	c.Close()
}
