package cache

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
	"imapfs/testdata"
)

// TestEachServersOddities plays the transcripts and holds the account to what they
// say a client must make of them. One connection, so that it is always the same one
// that hears what is said.
func TestEachServersOddities(t *testing.T) {
	t.Parallel()
	for server, file := range testdata.Transcripts() {
		t.Run(server, func(t *testing.T) {
			s := imaptest.NewTranscript(t, file)
			a := open(t, s.Addr, "alice", "secret", func(c *Config, _ *imapconn.Dialer) { c.Connections = 1 })
			fetchNothingAhead(a)
			if len(s.Expect) == 0 {
				t.Fatal("nothing is expected of it")
			}
			for _, line := range s.Expect {
				if err := meets(t, a, s, words(line)); err != nil {
					t.Errorf("%s: %v", line, err)
				}
			}
		})
	}
}

// fetchNothingAhead has each text asked for by whoever opens it. What is fetched ahead is
// asked for beside the text before it, before or behind it, and in a transcript the number
// of a message says whether another one has gone by then.
func fetchNothingAhead(a *Account) {
	a.texts.mu.Lock()
	defer a.texts.mu.Unlock()
	a.texts.limit = 0 // of what is fetched; what is kept has its own
}

// words parts a line at its spaces; what stands between quotes is one.
func words(line string) []string {
	var all []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		word, after, _ := strings.Cut(rest, " ")
		if rest[0] == '"' {
			word, after, _ = strings.Cut(rest[1:], `"`)
		}
		all = append(all, word)
		rest = after
	}
	return all
}

// meets reports where an account does not meet an expectation.
func meets(t *testing.T, a *Account, s *imaptest.Transcript, w []string) error {
	if w[0] == "names" {
		var have []string
		for m := range a.Tree().all {
			levels := slices.Clone(m.Path())
			for i := range levels {
				levels[i] = strings.ReplaceAll(levels[i], "/", "%2F")
			}
			have = append(have, strings.Join(levels, "/"))
		}
		slices.Sort(have)
		if !slices.Equal(have, w[1:]) {
			return fmt.Errorf("%q", have)
		}
		return nil
	}
	m := box(t, a, strings.Split(w[1], "/")...)
	var uid UID
	if n, err := strconv.ParseUint(w[2], 10, 32); err == nil {
		uid = UID(n)
	}
	switch w[0] {
	case "uids", "eventually":
		var have string
		list := func() bool {
			snap, err := m.Load(within(t, short))
			if err != nil {
				have = err.Error()
				return false
			}
			have = strings.Trim(fmt.Sprint(uids(snap)), "[]")
			return have == strings.Join(w[2:], " ")
		}
		if w[0] == "uids" && !list() {
			return fmt.Errorf("%s", have)
		} else if w[0] == "eventually" {
			eventually(t, short, strings.Join(w, " "), list)
		}
	case "flags":
		var have []string
		eventually(t, short, strings.Join(w, " "), func() bool {
			message, ok := mustLoad(t, m).Find(uid)
			have = message.Flags
			return ok && slices.Equal(have, w[3:])
		})
	case "text":
		have, err := readAll(t, m, uid, 4096)
		if err != nil {
			return err
		}
		if want, ok := s.Texts[w[3]]; !ok || string(have) != want {
			return fmt.Errorf("%q", have)
		}
	case "fails":
		_, err := m.Load(within(t, short))
		if uid != 0 && err == nil {
			_, err = m.Open(within(t, short), m.Snapshot().Validity(), uid)
		}
		if want := strings.Join(w[3:], " "); err == nil || KindOf(err).String() != want {
			return fmt.Errorf("%v", err)
		}
	default:
		return fmt.Errorf("%q is no expectation", w[0])
	}
	return nil
}
