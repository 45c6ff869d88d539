package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// spoolText is a text in the spool, by its file there (cache/spool, doc.go): so it can be
// seen without the daemon, and when there is none.
type spoolText struct {
	path, name string // the mailbox, levels joined with /, and the name in it
	state      string
	damage     string // empty: the text is whole
	failure    string // the kind of the last one
}

func (s spoolText) String() string {
	return strings.Join(strings.Fields(strings.Join([]string{s.path + "/" + s.name, s.state, s.damage, s.failure}, " ")), " ")
}

// spooled gives the texts of all daemons under a $XDG_STATE_HOME: those that the server is owed,
// and those that are not whole, which are never sent. Scratch files are neither, nor what
// a program is just writing.
func spooled(t testing.TB, home string) (owed, torn []spoolText) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(home, "imapfs/*.spool/*/*.entry"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) { // it has gone meanwhile
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s := spoolText{}
		for line := range strings.Lines(string(b)) {
			key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch key {
			case "state":
				s.state = unquoted(t, rest)
			case "path":
				var levels []string
				for rest != "" {
					word, err := strconv.QuotedPrefix(rest)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					levels = append(levels, unquoted(t, word))
					rest = strings.TrimSpace(rest[len(word):])
				}
				s.path = strings.Join(levels, "/")
			case "name":
				s.name = unquoted(t, rest)
			case "damage":
				s.damage = unquoted(t, rest)
			case "failure":
				word, _ := strconv.QuotedPrefix(rest)
				s.failure = unquoted(t, word)
			}
		}
		switch {
		case s.damage != "":
			torn = append(torn, s)
		case s.state == "ready" || s.state == "sending" || s.state == "unknown" || s.state == "refused" || s.state == "changed":
			owed = append(owed, s)
		}
	}
	return owed, torn
}

func unquoted(t testing.TB, s string) string {
	t.Helper()
	u, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("in an entry of the spool: %s: %v", s, err)
	}
	return u
}

// eventually waits until a condition holds, and fails the test where it never does: it is
// what is wrong, or nothing.
func eventually(t testing.TB, limit time.Duration, wrong func() string) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		said := wrong()
		if said == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", limit, said)
		}
	}
}
