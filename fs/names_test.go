package fs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"imapfs/cache"
)

// unescape is the inverse of mailboxName for names that were not cut: what
// makes it reversible.
func unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && len(name) >= i+3 {
			if c, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil && isHex(name[i+1]) {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

func TestMailboxNames(t *testing.T) {
	long := strings.Repeat("é", 200)
	for _, c := range []struct {
		component, suffix string
		top               bool
		want              string
	}{
		{component: "Entwürfe", top: true, want: "Entwürfe"},
		{component: "INBOX", top: true, want: "INBOX"},
		{component: "Inbox", top: true, want: "INBOX"},
		{component: "Inbox", want: "Inbox"},
		{component: "a/b", want: "a%2Fb"},
		{component: "..", top: true, want: "%2E."},
		{component: ".", want: "%2E"},
		{component: ".hidden", want: "%2Ehidden"},
		{component: "a\x00b\x7f\n", want: "a%00b%7F%0A"},
		{component: "a\u0085b", want: "a%C2%85b"},
		{component: "caf\xe9", want: "caf%E9"},
		{component: "100%", want: "100%"},
		{component: "%2F", want: "%252F"},
		{component: "%2f", want: "%252f"},
		{component: "%zz", want: "%zz"},
		{component: "%~x", want: "%25~x"},
		{component: "2023", top: true, want: "2023"},
		{component: "2023", want: "%32023"},
		{component: "0", want: "%30"},
		{component: "2023", suffix: ".eml", want: "2023"},
		{component: "2023.eml", suffix: ".eml", want: "%32023.eml"},
		{component: "2023a", want: "2023a"},
		{component: long, want: long[:226] + "%~" + "8i1jd4ln0u5h2k4u8nsk4t7c5g"},
	} {
		got := naming{c.suffix}.mailboxName(c.component, c.top)
		if strings.Contains(c.want, "%~") && !strings.Contains(c.want, "%25~") {
			if len(got) > maxName || !utf8.ValidString(got) || got[:len(got)-26] != c.want[:len(c.want)-26] {
				t.Errorf("mailboxName(%q) = %q (%d octets)", c.component, got, len(got))
			}
			continue
		}
		if got != c.want {
			t.Errorf("mailboxName(%q, suffix %q, top %v) = %q, want %q", c.component, c.suffix, c.top, got, c.want)
		}
	}
}

func TestMessageNameHasOneSpelling(t *testing.T) {
	for _, c := range []struct {
		name, suffix string
		uid          cache.UID
		ok           bool
	}{
		{"1", "", 1, true},
		{"4294967295", "", 4294967295, true},
		{"4294967296", "", 0, false},
		{"0", "", 0, false},
		{"01", "", 0, false},
		{"+1", "", 0, false},
		{"-1", "", 0, false},
		{" 1", "", 0, false},
		{"1_0", "", 0, false},
		{"", "", 0, false},
		{"٣", "", 0, false},
		{"7.eml", "", 0, false},
		{"7.eml", ".eml", 7, true},
		{"7", ".eml", 0, false},
		{".eml", ".eml", 0, false},
		{"07.eml", ".eml", 0, false},
	} {
		uid, ok := naming{c.suffix}.parseMessage(c.name)
		if ok != c.ok || ok && uid != c.uid {
			t.Errorf("parseMessage(%q, suffix %q) = %d, %v", c.name, c.suffix, uid, ok)
		}
	}
}

func TestSuffixThatCannotBeAName(t *testing.T) {
	for _, s := range []string{"", ".eml", "~", "-mail", ".é"} {
		if err := (naming{s}).check(); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"0", "1.eml", "/x", ".e\x00", "\n", ".\xff", strings.Repeat("x", 33)} {
		if (naming{s}).check() == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestNamesThatLookTheSameAreToldApart(t *testing.T) {
	cs := []component{{"Inbox", "Inbox"}, {"INBOX", "INBOX"}, {"inbox", "inbox"}, {"Entwürfe", "Entw&APw-rfe"}, {"Entwürfe", "Entwürfe"}, {"x", "x"}}
	names := naming{}.assign(cs, true)
	if names[1] != "INBOX" || names[5] != "x" {
		t.Errorf("names that nothing is wrong with were changed: %q", names)
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != len(cs) {
		t.Errorf("not told apart: %q", names)
	}
	slices.Reverse(cs)
	again := naming{}.assign(cs, true)
	slices.Reverse(again)
	if !slices.Equal(names, again) {
		t.Errorf("the order decides: %q, %q", names, again)
	}
}

func TestNumberMeansTheEscapedMailboxToo(t *testing.T) {
	for _, n := range []naming{{}, {".eml"}} {
		plain := n.messageName(2023)
		listed, ok := n.alias(plain, false)
		if !ok || listed != n.mailboxName(plain, false) || listed == plain {
			t.Errorf("alias(%q) = %q, %v", plain, listed, ok)
		}
		if back, ok := n.unalias(listed, false); !ok || back != plain {
			t.Errorf("unalias(%q) = %q, %v", listed, back, ok)
		}
		if _, ok := n.alias(plain, true); ok {
			t.Error("alias at the root")
		}
		if _, ok := n.alias("INBOX", false); ok {
			t.Error("alias of no number")
		}
	}
}

// FuzzMailboxName: whatever a server calls a mailbox, its name is one component
// that stays in its directory, is nobody else's, and leads back.
func FuzzMailboxName(f *testing.F) {
	for _, s := range []string{"", "INBOX", "inbox", ".", "..", "a/b", "%", "%%", "%2F", "%~", "2023", "2023.eml", "\xff\xfe", "a\x00", "\u0085", strings.Repeat("%2", 200), strings.Repeat("ü", 130)} {
		f.Add(s, "", true)
		f.Add(s, ".eml", false)
	}
	f.Fuzz(func(t *testing.T, c, suffix string, top bool) {
		n := naming{suffix}
		if n.check() != nil {
			return
		}
		name := n.mailboxName(c, top)
		switch {
		case name == "" || len(name) > maxName:
			t.Fatalf("%q has %d octets", name, len(name))
		case name[0] == '.' || strings.ContainsAny(name, "/\x00") || !utf8.ValidString(name):
			t.Fatalf("%q is no component", name)
		}
		if _, ok := n.parseMessage(name); ok && !top {
			t.Fatalf("%q hides a message", name)
		}
		if top && strings.EqualFold(c, inbox) {
			if name != inbox {
				t.Fatalf("%q is shown as %q", c, name)
			}
			return
		}
		if strings.Contains(name, "%~") {
			if len(name) < maxName-3 && c != "" {
				t.Fatalf("%q was cut to %q", c, name)
			}
			return
		}
		if back := unescape(name); back != c {
			t.Fatalf("%q is shown as %q, which leads to %q", c, name, back)
		}
		if plain, ok := n.unalias(name, top); ok {
			if listed, ok := n.alias(plain, top); !ok || listed != name {
				t.Fatalf("%q means %q means %q", name, plain, listed)
			}
		}
	})
}

// FuzzLookupName is the other way: a name leads to at most one mailbox, the one
// that is listed so.
func FuzzLookupName(f *testing.F) {
	for _, s := range []string{"INBOX", "%2E", "%2e", "%32023", "2023", "%252F", "a%00", "4711", "%~0"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, name string, top bool) {
		n := naming{}
		if uid, ok := n.parseMessage(name); ok && n.messageName(uid) != name {
			t.Fatalf("message %d has two names: %q", uid, name)
		}
		c := unescape(name)
		listed := n.mailboxName(c, top)
		if strings.Contains(listed, "%~") {
			return
		}
		if unescape(listed) != c && !(top && strings.EqualFold(c, inbox)) {
			t.Fatalf("%q leads to %q, which is listed as %q", name, c, listed)
		}
		if alias, ok := n.alias(name, top); ok {
			if alias == name || unescape(alias) != name {
				t.Fatalf("%q also means %q", name, alias)
			}
		} else if _, ok := n.parseMessage(name); ok && !top {
			t.Fatalf("a mailbox %q cannot be reached by its number", name)
		}
	})
}

func FuzzAssign(f *testing.F) {
	f.Add("a\xffb\xffINBOX\xffinbox\xff2023", true)
	f.Add(strings.Repeat("x", 300)+"\xff"+strings.Repeat("x", 301), false)
	f.Fuzz(func(t *testing.T, list string, top bool) {
		var cs []component
		for i, c := range strings.Split(list, "\xff") {
			cs = append(cs, component{c, fmt.Sprint(i)})
		}
		names := naming{}.assign(cs, top)
		seen := map[string]int{}
		for i, name := range names {
			if j, ok := seen[name]; ok {
				t.Fatalf("%q and %q are both %q", cs[i].name, cs[j].name, name)
			}
			if len(name) > maxName {
				t.Fatalf("%q is too long", name)
			}
			seen[name] = i
		}
	})
}
