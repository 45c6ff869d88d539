package cache

import (
	"strings"
	"testing"
)

func TestTheLastPatternThatMatchesCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		patterns string
		name     string
		out      bool
	}{
		{"", "INBOX", false},
		{"INBOX", "INBOX", true},
		{"INBOX", "INBOX/a", false},
		{"Arch%", "Archive", true},
		{"Arch%", "Archive/2023", false},
		{"Arch*", "Archive/2023", true},
		{"*/Trash", "a/b/Trash", true},
		{"%/Trash", "a/b/Trash", false},
		{"%/%/Trash", "a/b/Trash", true},
		{"* !INBOX", "INBOX", false},
		{"* !INBOX", "Sent", true},
		{"*", "INBOX", false}, // a wildcard does not mean it
		{"IN%", "INBOX", false},
		{"* INBOX", "INBOX", true},
		{"*", "INBOX/a", true},
		{"!INBOX *", "INBOX", false},
		{"* !Work/* Work/old", "Work/old", true},
		{"* !Work/* Work/old", "Work/new", false},
		{"%*%", "", true},
		{"a%c%e", "abcde", true},
		{"a%c%e", "ab/cde", false},
		{"*b%d", "ab/bcd", true},
		{"*é", "Entwürfé", true},
	} {
		if got := patterns(strings.Fields(c.patterns)).excludes(c.name); got != c.out {
			t.Errorf("%q on %q: excluded %v", c.patterns, c.name, got)
		}
	}
}

func TestManyWildcardsTakeNoTime(t *testing.T) {
	t.Parallel()
	if matches(strings.Repeat("*a%a", 200)+"b", strings.Repeat("a", 5000)) {
		t.Error("matches")
	}
}

// FuzzMatches compares with the definition, written as a recursion.
func FuzzMatches(f *testing.F) {
	f.Add("a%b*c", "axb/yc")
	f.Add("%/%", "a/b/c")
	f.Add("*%*", "")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 12 {
			return
		}
		if got, want := matches(pattern, name), naiveMatches(pattern, name); got != want {
			t.Errorf("matches(%q, %q) = %v", pattern, name, got)
		}
	})
}

func naiveMatches(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if c := pattern[0]; c != '*' && c != '%' {
		return name != "" && name[0] == c && naiveMatches(pattern[1:], name[1:])
	}
	for i := 0; ; i++ {
		if naiveMatches(pattern[1:], name[i:]) {
			return true
		}
		if i == len(name) || pattern[0] == '%' && name[i] == '/' {
			return false
		}
	}
}
