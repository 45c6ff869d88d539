package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A writeRow is what a program does in a mailbox through the mount, and what the mailbox
// and another one have to hold then, each message once. In the beginning both hold the
// messages 1, 2 and 3, of which 2 is flagged.
type writeRow struct {
	name   string
	script string // of bash; it is in the mailbox, $OTHER is the other one, $SRC is a directory on the disk
	here   []string
	other  []string // nil: as it was
	fails  bool     // the last command has to
	needs  string   // a program
}

// Words of a message: its Message-ID, its body, then perhaps a date and flags: old is
// the date of what was there before, src that of the files in $SRC, any any.
var (
	heldAll  = []string{"1 body old", `2 body old \flagged`, "3 body old"}
	otherAll = []string{"o1 body old", `o2 body old \flagged`, "o3 body old"}
)

const (
	oldDate = 1_700_000_000
	srcDate = 1_588_748_889
)

func with(lines []string, more ...string) []string { return slices.Concat(lines, more) }

var writeRows = []writeRow{
	{name: "rm", script: `rm 1; test ! -e 1`, here: []string{`2 body old \flagged`, "3 body old"}},
	{name: "rm all", script: `rm *; test -z "$(ls)"`, here: []string{}},
	{name: "mv between mailboxes", script: `mv -f 1 2 3 "$OTHER/"; test -z "$(ls)" && grep -q ^Message-ID:.*[^o]1@ "$OTHER/1"`, here: []string{}, other: with(otherAll, heldAll...)},
	{name: "ln", script: `ln 2 "$OTHER/copy"; cmp 2 "$OTHER/copy"`, here: heldAll, other: with(otherAll, `2 body old \flagged`)},
	{name: "mkdir, mv, rmdir", script: `mkdir ../Made && mv ../Made ../Named && ls -d ../Named && rmdir ../Named && test ! -e ../Named`, here: heldAll},
	{name: "rmdir of mail", script: `cd /; rmdir "$OTHER"`, here: heldAll, fails: true},
	{name: "flags", script: `setfattr -n user.imap.flags -v '\Answered \Flagged' 1`, needs: "setfattr",
		here: []string{`1 body old \answered,\flagged`, `2 body old \flagged`, "3 body old"}},
	{name: "cp", script: `cp "$SRC/new" .`, here: with(heldAll, "new text any")},
	{name: "cp -p", script: `cp -p "$SRC/new" .; test "$(stat -c %Y new)" = 1588748889`, here: with(heldAll, "new text src")},
	{name: "cp onto another's number", script: `cp "$SRC/new" 1; grep -q new@ 1 && grep -q 1@ %31`, here: with(heldAll, "new text any")},
	{name: "cp of a message", script: `cp "$OTHER/1" .; ls`, here: with(heldAll, "o1 body any")},
	{name: "install", script: `install -p "$SRC/new" .`, here: with(heldAll, "new text src")},
	{name: "mv from the disk", script: `cp -p "$SRC/new" "$SRC/moved"; mv "$SRC/moved" .`, here: with(heldAll, "new text src")},
	{name: "tar", script: `tar -C "$SRC" -cf - new two | tar xf -`, here: with(heldAll, "new text src", "two text src")},
	{name: "rsync", script: `rsync -a "$SRC/box/" . && rsync -ai "$SRC/box/" . >"$SRC/again"; ! grep '^[<>c]' "$SRC/again"`, needs: "rsync",
		here: with(heldAll, "new text src", "two text src")},
	{name: "rsync --inplace", script: `rsync -a --inplace "$SRC/new" .`, needs: "rsync", here: with(heldAll, "new text src")},
	{name: "restore twice", script: `rm *; rsync -a --delete "$SRC/back/" . && rsync -ai --delete "$SRC/back/" . >"$SRC/again"; ! grep '^[<>c*]' "$SRC/again"`, needs: "rsync",
		here: []string{"new text src", "two text src"}},
	{name: "sed -i", script: `sed -i s/body/BODY/ 2; grep -q BODY 2`, here: []string{"1 body old", `2 BODY old \flagged`, "3 body old"}},
	{name: "perl -i", script: `perl -pi -e s/body/BODY/ 2`, here: []string{"1 body old", `2 BODY old \flagged`, "3 body old"}},
	{name: "tee -a", script: `echo more | tee -a 2`, here: []string{"1 body old", `2 body+more old \flagged`, "3 body old"}},
	{name: ">>", script: `echo more >> 2`, here: []string{"1 body old", `2 body+more old \flagged`, "3 body old"}},
	{name: "> by the same message", script: `sed s/body/BODY/ 2 > "$SRC/edited"; cat "$SRC/edited" > 2`, here: []string{"1 body old", `2 BODY old \flagged`, "3 body old"}},
	{name: "> by another", script: `cat "$SRC/new" > 2`, here: with(heldAll, "new text any")},
	{name: "> nothing", script: `: > 2; grep -q 2@ 2`, here: heldAll},
	{name: "vim", script: `vim -es -u NONE -c '%s/body/BODY/' -c wq 2 </dev/null; test "$(ls -A)" = "$(printf '1\n2\n3')"`, needs: "vim",
		here: []string{"1 body old", `2 BODY old \flagged`, "3 body old"}},
	{name: "emacs", script: `emacs -nw --batch -q --eval '(setq backup-enable-predicate (lambda (name) t))' 2 --eval '(while (search-forward "body" nil t) (replace-match "BODY" t))' -f save-buffer && rm 2~`, needs: "emacs",
		here: []string{"1 body old", `2 BODY old \flagged`, "3 body old"}},
	{name: "a backup put aside, as emacs", script: `mv 2 2~ && sed s/body/BODY/ 2~ > 2 && rm 2~`, here: []string{"1 body old", `2 BODY old \flagged`, "3 body old"}},
	{name: "put aside and back", script: `mv 2 2~ && mv 2~ 2`, here: heldAll},
	{name: "os.replace", script: `python3 -c 'import os
t = open("2", "rb").read().replace(b"body", b"BODY")
open("2.new", "wb").write(t)
os.replace("2.new", "2")'`, here: []string{"1 body old", `2 BODY old \flagged`, "3 body old"}},
	{name: "os.replace of scratch", script: `python3 -c 'import os
t = open("2", "rb").read().replace(b"body", b"BODY")
open("2.tmp", "wb").write(t)
os.replace("2.tmp", "2")'`, here: []string{"1 body old", `2 BODY old \flagged`, "3 body old"}},
	{name: "shutil.copy2", script: `python3 -c 'import shutil, os; shutil.copy2(os.environ["SRC"]+"/new", "new")'; test "$(stat -c %Y new)" = 1588748889`, here: with(heldAll, "new text src")},
	{name: "touch, mktemp", script: `touch new; mktemp ./tmp.XXXX`, here: heldAll},
	{name: "scratch", script: `cp "$SRC/new" .new.swp; cp "$SRC/new" new~; cp .new.swp back && rm .new.swp new~`, here: with(heldAll, "new text any")},
	{name: "scratch that becomes mail", script: `cp "$SRC/new" .new.part && mv .new.part new`, here: with(heldAll, "new text any")},
	{name: "git init", script: `git init -q .`, here: heldAll, fails: true, needs: "git"},
	{name: "symlink", script: `ln -s 1 two`, here: heldAll, fails: true},
	{name: "truncate", script: `truncate -s 0 1`, here: heldAll},
	{name: "truncate by path", script: `python3 -c 'import os; os.truncate("1", 0)'`, here: heldAll, fails: true},
	{name: "a photo", script: `head -c 20000 /dev/zero > "$SRC/photo"; dd if="$SRC/photo" of=photo 2>&1; r=$?; rm photo; test $r = 0`, here: heldAll, fails: true},
	{name: "rename within", script: `mv 1 invoice && cat invoice && test ! -e 1 && test "$(ls)" = "$(printf '2\n3\ninvoice')"`, here: heldAll},
	{name: "date of another's", script: `touch 1`, here: heldAll, fails: true},
}

// writeText is a message of the rows.
func writeText(id, body string) string {
	body = strings.ReplaceAll(body, "+", "\r\n")
	return fmt.Sprintf("From: a@example.org\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nSubject: %s\r\nMessage-ID: <%[1]s@example.org>\r\n\r\n%s\r\n", id, body)
}

// TestWritesOnServers is the write suite: what programs do through a writable mount,
// against every server there is, judged by imaplib.
func TestWritesOnServers(t *testing.T) {
	needServers(t)
	t.Parallel() // with the other suites: each mostly waits
	for _, k := range serverKinds() {
		// GNU mailutils gives messages other UIDs, and stores what it likes.
		if *serversFlag == "few" && !k.few || k.settles {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			checkWrites(t, k)
		})
	}
}

func checkWrites(t *testing.T, k serverKind) {
	tr := &trial{kind: k, acc: k.start(t), dir: t.TempDir(), home: t.TempDir}
	tr.client = newAnotherClient(t, tr.acc)
	box := func(i int, what string) string { return fmt.Sprintf("%s%02d", what, i) }
	for i := range writeRows {
		for _, what := range []string{"here", "other"} {
			fillWritten(tr.client, tr.wire(box(i, what)), map[string]string{"here": "", "other": "o"}[what])
		}
	}
	d := startMount(t, tr.dir, tr.home(), "imap://"+tr.acc.user+"@"+tr.acc.addr+"/", tr.acc.password, append([]string{"--tls", "none"}, k.flags...)...)
	defer func() {
		if d.stop(t); t.Failed() {
			t.Logf("the daemon: %s", tail(d.errs.String(), 6000))
		}
	}()
	dir := func(name string) string {
		return d.path(append(strings.FieldsFunc(k.prefix, func(c rune) bool { return c == '.' }), name)...)
	}
	ran := make(map[int]string)
	for i, r := range writeRows {
		if r.needs != "" {
			if _, err := exec.LookPath(r.needs); err != nil {
				t.Fatalf("%v (make deps)", err)
			}
		}
		src := writeSources(t)
		cmd := exec.Command("bash", "-c", "set -u\n"+r.script)
		cmd.Dir = dir(box(i, "here"))
		cmd.Env = append(os.Environ(), "SRC="+src, "OTHER="+dir(box(i, "other")), "LC_ALL=C", "HOME="+src, "TMPDIR="+src)
		out, err := cmd.CombinedOutput()
		ran[i] = string(out)
		if (err != nil) != r.fails {
			t.Errorf("%s: %v\n%s", r.name, err, out)
		}
	}
	// What a busy server shows its other sessions late is checked late, and what it replaces
	// stays until then.
	wrong := func() (all string) {
		found := writtenIn(t, tr.acc)
		for i, r := range writeRows {
			if r.other == nil {
				r.other = otherAll
			}
			for what, want := range map[string][]string{"here": r.here, "other": r.other} {
				if wrong := compareWritten(found[tr.wire(box(i, what))], want); wrong != "" {
					all += fmt.Sprintf("%s: %s: %s\nthe program said: %s", r.name, what, wrong, ran[i])
				}
			}
		}
		return all
	}
	if late := wrong(); late != "" {
		t.Logf("at once: %s", late)
		eventually(t, time.Minute, wrong)
	}
}

// fillWritten makes a mailbox with the messages 1, 2 and 3, their names behind id, of which
// 2 is flagged.
func fillWritten(c *anotherClient, mailbox, id string) {
	c.t.Helper()
	c.do("create", mailbox)
	for n, flags := range []string{"", `\Flagged`, ""} {
		text := writeText(id+strconv.Itoa(n+1), "body")
		if said := c.append(mailbox, flags, time.Unix(oldDate, 0), []byte(text)); said != "OK" {
			c.t.Fatal(said)
		}
	}
}

// writtenIn is what each mailbox of an account has, as another client is told.
func writtenIn(t testing.TB, acc account) map[string][]told {
	t.Helper()
	found := make(map[string][]told)
	for _, m := range oracle(t, acc.addr, acc.user, acc.password) {
		m.flags = withoutRecent(m.flags)
		if m.flags = strings.ToLower(m.flags); !strings.Contains(m.flags, `\deleted`) { // hidden, where single messages cannot be expunged
			found[m.mailbox] = append(found[m.mailbox], m)
		}
	}
	return found
}

// writeSources makes the files that the rows write: with the line ends of Unix, as people have them.
func writeSources(t testing.TB) string {
	t.Helper()
	src := t.TempDir()
	for _, name := range []string{"new", "two", "box/new", "box/two", "back/2", "back/7"} {
		id := filepath.Base(name)
		id = map[string]string{"2": "new", "7": "two"}[id] + map[string]string{"new": "new", "two": "two"}[id]
		text := writeText(id, "text")
		if filepath.Dir(name) == "." {
			text = strings.ReplaceAll(text, "\r\n", "\n")
		}
		file := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, time.Unix(srcDate, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return src
}

// compareWritten says what of a mailbox is not as it should be.
func compareWritten(found []told, want []string) string {
	var have []string
	for _, m := range found {
		have = append(have, fmt.Sprintf("%s %s %s", m.sum, m.date, m.flags))
	}
	var missing []string
	for _, w := range want {
		f := strings.Fields(w)
		sum := sha256.Sum256([]byte(writeText(f[0], f[1])))
		flags := ""
		if len(f) > 3 {
			flags = strings.ReplaceAll(f[3], ",", " ")
		}
		i := slices.IndexFunc(have, func(h string) bool {
			g := strings.SplitN(h, " ", 3)
			date := map[string]string{"old": strconv.Itoa(oldDate), "src": strconv.Itoa(srcDate), "any": g[1]}[f[2]]
			return g[0] == hex.EncodeToString(sum[:]) && g[1] == date && g[2] == flags
		})
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		have = slices.Delete(have, i, i+1)
	}
	if len(missing)+len(have) == 0 {
		return ""
	}
	return fmt.Sprintf("missing %q, not expected %q", missing, have)
}
