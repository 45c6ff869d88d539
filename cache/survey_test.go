package cache

import (
	"slices"
	"strings"
	"testing"

	"imapfs/imapconn/imaptest"
	"imapfs/imapconn/imapwire"
)

// surveyed is a scripted server with mailboxes as LIST gives them, apart by |.
func surveyed(t *testing.T, lists string, cfg Config) ([]Surveyed, error) {
	t.Helper()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1")
	s.On("LIST", func(call *imaptest.Call) {
		for l := range strings.SplitSeq(lists, "|") {
			call.Send("* LIST " + l)
		}
		call.Done("OK done")
	})
	client := newPeer(t, changeServer{addr: s.Addr, user: s.User, password: s.Password}).c
	return Survey(t.Context(), client, cfg)
}

func TestASurveyHasWhatATreeWouldShow(t *testing.T) {
	t.Parallel()
	const lists = `() "/" inbox|(\Noselect) "/" a|(\All) "/" a/all|() "/" &BBAEQARFBDgEMg-|() "/" b`
	for want, cfg := range map[string]Config{
		"INBOX a/all b Архив": {},
		"INBOX b Архив":       {Exclude: []string{"a/*"}},
		"a/all":               {Root: "a"},
	} {
		all, err := surveyed(t, lists, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range all {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%+v: %q, want %q", cfg, got, want)
		}
		i := slices.IndexFunc(all, func(s Surveyed) bool { return s.Name == "a/all" })
		if i >= 0 && (all[i].WireName != "a/all" || !has(all[i].Attrs, `\All`)) {
			t.Errorf("%+v", all[i])
		}
	}
	if _, err := surveyed(t, lists, Config{Root: "nowhere"}); KindOf(err) != NotExist {
		t.Errorf("a root that is not there: %v", err)
	}
}

func TestTheTrashAmongMailboxes(t *testing.T) {
	t.Parallel()
	for lists, want := range map[string]string{
		`() "/" INBOX|() "/" Trash`:                             "",
		`() "/" INBOX|() "/" "Deleted Messages"`:                "Deleted Messages",
		`() "." INBOX|() "." "INBOX.Deleted Messages"`:          "INBOX/Deleted Messages",
		`() "/" INBOX|() "/" "x/Deleted Messages"`:              "",
		`() "/" "Deleted Messages"|(\trash) "/" x|() "/" INBOX`: "x",
		`(\Trash \Noselect) "/" x|() "/" "Deleted Messages"`:    "Deleted Messages",
	} {
		all, err := surveyed(t, lists, Config{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if trash := TrashAmong(all); trash != nil {
			got = trash.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", lists, got, want)
		}
	}
}

func TestWhatBecomesOfADeletedMessage(t *testing.T) {
	t.Parallel()
	for caps, want := range map[string][2]Removal{ // by DeleteExpunge and by DeleteTrash
		"IMAP4rev1":                    {Marked, Trashed},
		"IMAP4rev1 UIDPLUS":            {Expunged, Trashed},
		"IMAP4rev1 MOVE":               {Trashed, Trashed},
		"IMAP4rev1 MOVE UIDPLUS":       {Expunged, Trashed},
		"IMAP4rev2":                    {Expunged, Trashed},
		"IMAP4rev1 UIDPLUS X-GM-EXT-1": {Trashed, Trashed},
	} {
		have := imapwire.NewCaps(strings.Fields(caps)...)
		if got := [2]Removal{DeleteExpunge.RemovalBy(have), DeleteTrash.RemovalBy(have)}; got != want {
			t.Errorf("%s: %v, want %v", caps, got, want)
		}
	}
}
