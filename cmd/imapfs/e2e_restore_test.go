package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
	"imapfs/imapconn/imapwire"
)

// writable is another mount of an account, in which things can be changed.
func writable(t testing.TB, a account, flags ...string) *daemon {
	t.Helper()
	return mountPlain(t, a.addr, a.user, a.password, append([]string{"--read-only=false"}, flags...)...)
}

// boxDir is where a mount shows a mailbox of a server that puts all below a prefix.
func (d *daemon) boxDir(prefix, box string) string {
	return d.path(append(strings.FieldsFunc(prefix, func(c rune) bool { return c == '.' }), box)...)
}

// backup makes files as rsync has made them of a mailbox, named by numbers with gaps, and says
// what a mailbox holds that they are restored to: sums and dates.
func backup(t testing.TB) (dir string, want []string) {
	t.Helper()
	dir = t.TempDir()
	for n := 1; n <= 40; n += 1 + n%3 {
		text := writeText(fmt.Sprint("backup", n), fmt.Sprintf("text %d", n))
		date := int64(oldDate + 1000*n)
		name := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Time{}, time.Unix(date, 0)); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%x %d", sha256.Sum256([]byte(text)), date))
	}
	return dir, want
}

// held is the sums and dates of a mailbox's messages, as the server tells them.
func heldIn(t testing.TB, a account, mailbox string) []string {
	t.Helper()
	var all []string
	for _, m := range oracle(t, a.addr, a.user, a.password) {
		if m.mailbox == mailbox {
			all = append(all, m.sum+" "+m.date)
		}
	}
	return sorted(all...)
}

// transfersNothing runs rsync once more, which has nothing to do.
func transfersNothing(t testing.TB, args ...string) {
	t.Helper()
	out := must(t, "rsync", append([]string{"--itemize-changes", "--stats"}, args...)...)
	before, stats, _ := strings.Cut(out, "\nNumber of files:")
	changed := slices.DeleteFunc(strings.Fields(before), func(word string) bool {
		return strings.HasPrefix(word, ".d") || strings.HasSuffix(word, "/") // a mailbox has its own time and mode
	})
	if len(changed) > 0 || !strings.Contains(stats, "transferred: 0\n") || strings.Contains(stats, "deleted files: 1") {
		t.Errorf("rsync %q once more: %s", args, out)
	}
}

// TestRestores restores a backup by rsync -a: into an empty mailbox, into one whose messages
// have the same numbers, with --delete, and each once more in the same mount.
func TestRestores(t *testing.T) {
	needServers(t)
	t.Parallel()
	for name, kind := range map[string]killServer{"Dovecot": killServers["Dovecot"], "Courier": killServers["Courier"]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := kind.start(t)
			c := newAnotherClient(t, a)
			dir, want := backup(t)
			var others []string
			for _, box := range []string{"Empty", "Others", "Deleting", "Beside"} {
				c.do("create", kind.prefix+box)
				if box == "Empty" || box == "Deleting" {
					continue
				}
				others = nil
				for n := range 12 {
					text := writeText(fmt.Sprint("other", n), "of somebody else")
					c.deliver(kind.prefix+box, []byte(text))
					others = append(others, fmt.Sprintf("%x %d", sha256.Sum256([]byte(text)), oldDate))
				}
			}
			m := writable(t, a)
			for _, r := range []struct {
				box    string
				delete bool
				want   []string
			}{{"Empty", false, want}, {"Others", false, with(want, others...)}, {"Deleting", true, want}} {
				args := []string{"-a", dir + "/", m.boxDir(kind.prefix, r.box) + "/"}
				if r.delete {
					args = append(args, "--delete")
				}
				must(t, "rsync", args...)
				transfersNothing(t, args...)
				if got := heldIn(t, a, kind.prefix+r.box); !slices.Equal(got, sorted(slices.Clone(r.want)...)) {
					t.Errorf("%s holds %d messages, want %d: missing %q, not expected %q", r.box, len(got), len(r.want), less(r.want, got), less(got, r.want))
				}
			}
			if got := heldIn(t, a, kind.prefix+"Beside"); !slices.Equal(got, sorted(others...)) {
				t.Errorf("another mailbox was changed: %q", got)
			}
		})
	}
}

// less is what is in a and not in b.
func less(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// TestAccountMoves takes an account from one server to the disk, and from there to another server
// with another delimiter: rsync -aX both ways, and everything is there with date and flags.
func TestAccountMoves(t *testing.T) {
	needServers(t)
	t.Parallel()
	dovecot := func(separator rune) func(t testing.TB) account {
		return dovecotKind(imaptest.DovecotOptions{NoTLS: true, Separator: separator}, nil)
	}
	for _, way := range []struct {
		name           string
		from, to       func(t testing.TB) account
		between, there string // delimiters
		prefix         string
	}{
		{"Dovecot to Cyrus", dovecot('.'), killServers["Cyrus"].start, ".", "/", ""},
		{"Courier to Dovecot", killServers["Courier"].start, dovecot('/'), ".", "/", "INBOX."},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			from, to := way.from(t), way.to(t)
			c := newAnotherClient(t, from)
			n := 0
			for _, levels := range [][]string{{"INBOX"}, {"Work"}, {"Work", "2023"}, {"Work", "2023", "Q&-A"}, {"Entw&APw-rfe"}, {"Trash"}} {
				box := way.prefix + strings.Join(levels, way.between)
				if levels[0] == "INBOX" {
					box = "INBOX"
				} else if said := c.try("create", box); said != "OK" && levels[0] != "Trash" {
					t.Fatal(said)
				}
				for range 7 {
					flags := []string{"", `\Seen`, `\Flagged \Seen`, `\Answered $Label1`, `\Draft`}[n%5]
					text := writeText(fmt.Sprint("mine", n), strings.Repeat("line+", n))
					if said := c.append(box, flags, time.Unix(int64(oldDate+n*86_400), 0), []byte(text)); said != "OK" {
						t.Fatal(said)
					}
					n++
				}
			}
			disk := t.TempDir()
			a := writable(t, from)
			must(t, "rsync", "-aX", a.dir+"/", disk+"/")
			b := writable(t, to)
			must(t, "rsync", "-aX", disk+"/", b.dir+"/")
			transfersNothing(t, "-aX", "--omit-dir-times", disk+"/", b.dir+"/")
			b.stop(t)

			want, got := all(t, from, way.between), all(t, to, way.there)
			if len(want) != n || !slices.Equal(got, want) {
				t.Errorf("%d messages were there, %d are here, want %d: missing %q, not expected %q", len(want), len(got), n, less(want, got), less(got, want))
			}
		})
	}
}

// all is what an account holds, the levels of its mailboxes as people read them.
func all(t testing.TB, a account, delimiter string) []string {
	t.Helper()
	var held []string
	for _, m := range oracle(t, a.addr, a.user, a.password) {
		levels := strings.Split(m.mailbox, delimiter)
		for i, l := range levels {
			levels[i], _ = imapwire.DecodeUTF7(l)
		}
		held = append(held, fmt.Sprintf("%q %s %s [%s]", levels, m.sum[:12], m.date, strings.ToLower(withoutRecent(m.flags))))
	}
	return sorted(held...)
}
