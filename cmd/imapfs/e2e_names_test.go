package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imapfs/imapconn/imaptest"
)

// TestEveryNameIsADirectory has a server list all that servers have been seen to
// list, and worse, each mailbox with one message that says where it belongs. Each
// is found by walking the mount, once, under the name that it is to have; the
// message is read by that name; and nothing is outside.
func TestEveryNameIsADirectory(t *testing.T) {
	t.Parallel()
	needServers(t)
	long := strings.Repeat("ö", 200) // 400 octets
	mailboxes := []struct {
		wire, attrs, delimiter string
		want                   string // below the mount; %~ is followed by a hash; "": holds no messages
	}{
		{"INBOX", "", `"/"`, "INBOX"},
		{"inbox/below", "", `"/"`, "INBOX/below"},
		{"Inbox2", "", `"/"`, "Inbox2"},
		{"a/inbox", "", `"/"`, "a/inbox"},
		{"plain", "", `"/"`, "plain"},
		{"no/parent/listed", "", `"/"`, "no/parent/listed"},
		{"after/child", "", `"/"`, "after/child"},
		{"after", "", `"/"`, "after"},
		{"place", `\Noselect \HasChildren`, `"/"`, ""},
		{"place/holds", "", `"/"`, "place/holds"},
		{"ghost", `\NonExistent`, `"/"`, ""},
		{"nil/is.no^delimiter", "", "NIL", "nil%2Fis.no^delimiter"},
		{"dots.per.name", "", `"."`, "dots/per/name"},
		{`back\slash`, "", `"\\"`, "back/slash"},
		{"caret^name", "", `"^"`, "caret/name"},
		{"with/slash", "", `"."`, "with%2Fslash"},
		{"1999", "", `"/"`, "1999"},
		{"1999/2000", "", `"/"`, "1999/%32000"},
		{"years/4294967296", "", `"/"`, "years/%34294967296"},
		{"..", "", `"/"`, "%2E."},
		{".", "", `"/"`, "%2E"},
		{"../../etc/passwd", "", `"^"`, "%2E.%2F..%2Fetc%2Fpasswd"},
		{"../up", "", `"/"`, "%2E./up"},
		{"../down/..", "", "NIL", "%2E.%2Fdown%2F.."},
		{".mh_sequences", "", `"/"`, "%2Emh_sequences"},
		{"%2F", "", `"/"`, "%252F"},
		{"%", "", `"/"`, "%"},
		{"100% of it", "", `"/"`, "100% of it"},
		{"%~abc", "", `"/"`, "%25~abc"},
		{"bell\x07tab\t", "", `"/"`, "bell%07tab%09"},
		{"del\x7f", "", `"/"`, "del%7F"},
		{"c1&AIU-", "", `"/"`, "c1%C2%85"},
		{"nul&AAA-", "", `"/"`, "nul%00"},
		{"line&AAo-feed", "", `"/"`, "line%0Afeed"},
		{"&AC8-", "", `"/"`, "&AC8-"}, // ASCII is not to be encoded: this is no modified UTF-7
		{"slash&AC8-", "", `"/"`, "slash&AC8-"},
		{"bad&utf7", "", `"/"`, "bad&utf7"},
		{"&", "", `"/"`, "&%~"}, // shown as it is, and so a twin of the next
		{"&-", "", `"/"`, "&%~"},
		{"R&D", "", `"/"`, "R&D"},
		{"raw\xff\xfe", "", `"/"`, "raw%FF%FE"},
		{"raw\xc3\xa4", "", `"/"`, "rawä"},
		{"Entw&APw-rfe", "", `"/"`, "Entwürfe"},
		{"Entwu&Awg-rfe", "", `"/"`, "Entwu\u0308rfe"}, // decomposed: to Linux another name
		{"&ZeVnLIqe-", "", `"/"`, "日本語"},
		{"&2D3cqQ-", "", `"/"`, "💩"},
		{"&2D0-", "", `"/"`, "&2D0-"}, // half of a surrogate pair
		{"quote\"d", "", `"/"`, `quote"d`},
		{" spaces ", "", `"/"`, " spaces "},
		{"-rf", "", `"/"`, "-rf"},
		{"*", "", `"/"`, "*"},
		{"trailing", "", `"/"`, "trailing"},
		{"trailing/child/", "", `"/"`, "trailing/child"},
		{"NIL", "", `"/"`, "NIL"},
		{"long" + long, "", `"/"`, "long" + strings.Repeat("ö", 111) + "%~"},
		{"long" + long + "2", "", `"/"`, "long" + strings.Repeat("ö", 111) + "%~"},
		{"twin&AOQ-", "", `"/"`, "twinä%~"},
		{"twin\xc3\xa4", "", `"/"`, "twinä%~"},
	}
	s := imaptest.NewScripted(t)
	var lines []string
	for i, m := range mailboxes {
		if m.want != "" {
			s.Mailbox(m.wire).Add(letter(fmt.Sprint("box ", i), 300))
		}
		quoted := fmt.Sprintf("{%d}\r\n%s", len(m.wire), m.wire)
		lines = append(lines, fmt.Sprintf("* LIST (%s) %s %s", m.attrs, m.delimiter, quoted))
	}
	s.On("LIST", func(c *imaptest.Call) {
		for _, l := range lines {
			c.Send(l)
		}
		c.Done("OK done")
	})
	d := mountPlain(t, s.Addr, s.User, s.Password)

	found := make(map[string][]string) // by the text: paths below the mount
	err := filepath.WalkDir(d.dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		dir, _ := filepath.Rel(d.dir, filepath.Dir(name))
		found[string(text)] = append(found[string(text)], dir)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	hash := regexp.MustCompile(`%~[0-9a-v]{26}$`)
	seen := make(map[string]bool)
	for i, m := range mailboxes {
		at := found[string(letter(fmt.Sprint("box ", i), 300))]
		if m.want == "" {
			if fi, err := os.Stat(d.path(m.wire)); err == nil && !fi.IsDir() || m.wire == "place" && err != nil {
				t.Errorf("%q is %v, %v", m.wire, fi, err)
			}
			continue
		}
		if len(at) != 1 {
			t.Errorf("%q is found at %q", m.wire, at)
			continue
		}
		if got := hash.ReplaceAllString(at[0], "%~"); got != m.want || seen[at[0]] {
			t.Errorf("%q is shown as %q, want %q", m.wire, at[0], m.want)
		}
		seen[at[0]] = true
		if wire := must(t, "getfattr", "--only-values", "-n", "user.imap.mailbox", d.path(at[0])); strings.TrimSuffix(wire, "/") != strings.TrimSuffix(m.wire, "/") && !strings.HasPrefix(m.wire, "inbox/") {
			t.Errorf("%q has the name %q on the wire", at[0], wire)
		}
	}
	if outside, err := os.ReadDir(filepath.Dir(d.dir)); err != nil || slices.ContainsFunc(outside, func(e os.DirEntry) bool { return e.Name() == "up" }) {
		t.Errorf("beside the mount: %v, %v", outside, err)
	}
	// An all-digit mailbox answers to its plain name, too.
	if got := must(t, "cat", d.path("1999", "2000", "1")); got == "" {
		t.Error("1999/2000 cannot be entered")
	}
}
