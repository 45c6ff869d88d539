package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// A block is what stands between two fences of the README.
type block struct {
	line  int      // of the first fence
	lines []string // without the indentation of the fence
}

func readmeBlocks(t *testing.T) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	indent, open := "", false
	for i, line := range strings.Split(string(text), "\n") {
		bare := strings.TrimLeft(line, " ")
		switch {
		case strings.HasPrefix(bare, "```"):
			if open = !open; open {
				indent = line[:len(line)-len(bare)]
				blocks = append(blocks, block{line: i + 1})
			}
		case open:
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, strings.TrimPrefix(line, indent))
		}
	}
	return blocks
}

// notRun are the commands and blocks of the README that TestReadme does not run, by how they
// begin, and what shows them.
var notRun = map[string]string{
	"make test ":      "runs this test",
	"kernel ──▶ fs  ": "is a picture",
}

// steps are what TestReadme does, in this order, each with the block that begins so.
var steps = []struct {
	begins string
	do     func(*newcomer, block)
}{
	{"make demo ", (*newcomer).types},
	{"make && sudo make install ", (*newcomer).types},
	{"$ imapfs mount imaps://", (*newcomer).session},
	{`cache-size = "512M"`, (*newcomer).configures},
	{"imapfs mount work ~/mail", (*newcomer).types},
	{"PATH=", (*newcomer).leavesToCron},
	{"mkdir ~/mail/Restored", (*newcomer).restores},
	{"work  /home/alice/mail  fuse.imapfs ", (*newcomer).mountsByFstab},
	{"Path: /home/alice/mail", (*newcomer).readsByNmh},
	{"$ imapfs status ~/mail", (*newcomer).looks},
	{"$ imapfs pending", (*newcomer).isOverQuota},
	{"imapfs pending  ", (*newcomer).removes},
}

// TestReadme does what each block of the README says, as an ordinary user who begins with a
// clone, and compares what the terminal shows with what the README shows.
func TestReadme(t *testing.T) {
	needServers(t)
	t.Parallel()
	sample, err := sampleServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sample.Close() })
	n := newNewcomer(t)
	n.has(account{sample.Addr, sample.User, sample.Password})

	blocks := readmeBlocks(t)
	for _, step := range steps {
		i := slices.IndexFunc(blocks, func(b block) bool { return strings.HasPrefix(b.lines[0], step.begins) })
		if i < 0 {
			t.Fatalf("no block of the README begins with %q", step.begins)
		}
		began := time.Now()
		step.do(n, blocks[i])
		t.Logf("README.md:%d: %s: %v", blocks[i].line, step.begins, time.Since(began).Round(time.Millisecond))
		blocks = slices.Delete(blocks, i, i+1)
	}
	for _, b := range blocks {
		if !isNotRun(b.lines[0]) {
			t.Errorf("README.md:%d: nothing runs the block that begins with %q", b.line, b.lines[0])
		}
	}
}

func isNotRun(line string) bool {
	for begins := range notRun {
		if strings.HasPrefix(line, begins) {
			return true
		}
	}
	return false
}

// types runs the lines of a block of sh at a terminal. What is made is made by root in the
// clone; the rest is alice's.
func (n *newcomer) types(b block) {
	n.t.Helper()
	for _, line := range b.lines {
		cmd := n.asAlice(line)
		switch {
		case isNotRun(line):
			continue
		case strings.Contains(line, "make "):
			cmd = n.asRoot(strings.ReplaceAll(line, "sudo ", ""))
		}
		if shown, err := atTerminal(n.t, cmd, n.on.Load().password); err != nil {
			n.t.Fatalf("README.md:%d: %s: %v\n%s", b.line, line, err, shown)
		}
	}
}

// session runs the commands of a block of a console, and wants the terminal to show what the
// block shows.
func (n *newcomer) session(b block) {
	n.t.Helper()
	n.converses(b, asShown, 0)
}

// An exchange is a command of a console and what the console shows then.
type exchange struct{ command, shows string }

func (b block) exchanges() (all []exchange) {
	for _, line := range b.lines {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, exchange{command: command})
		} else {
			all[len(all)-1].shows += line + "\n"
		}
	}
	return all
}

// asShown compares what is shown as it is, but for the width of columns.
func asShown(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(spaces.ReplaceAllString(text, " "), " \n", "\n"))
}

var (
	measures = regexp.MustCompile(`\b(version )\S+,|\b([0-9]+[dhms])+\b|\b[0-9]+(\.[0-9]+)?[BKMG]?\b`)
	spaces   = regexp.MustCompile(`[ \t]+`)
	took     = regexp.MustCompile(` \([0-9.]+ \+ [0-9.]+ secs\)\.`) // Dovecot ends with it
	textID   = regexp.MustCompile(`\b[0-9a-f]{16}\b`)
)

// roughly is asShown but for numbers, sizes, times, the version and the IDs of texts, which
// differ from day to day.
func roughly(text string) string {
	text = textID.ReplaceAllString(took.ReplaceAllString(asShown(text), ""), "ID")
	return measures.ReplaceAllString(text, "${1}N")
}

// converses is session with a way to compare. What does not show what it is to is run anew for
// as long as patience says. An ID of a text stands for the one that was shown in its place.
func (n *newcomer) converses(b block, compared func(string) string, patience time.Duration) {
	n.t.Helper()
	ids := strings.NewReplacer()
	for _, e := range b.exchanges() {
		for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			shown, err := atTerminal(n.t, n.asAlice(ids.Replace(e.command)), n.on.Load().password)
			if err == nil && compared(shown) == compared(e.shows) {
				if written, real := textID.FindString(e.shows), textID.FindString(shown); e.command == "imapfs pending" {
					ids = strings.NewReplacer(written, real)
				}
				break
			}
			if time.Now().After(deadline) {
				n.t.Fatalf("README.md:%d: $ %s: %v\n%s\n--- in the README:\n%s", b.line, e.command, err, shown, e.shows)
			}
		}
	}
}

// configures writes the block to her configuration.
func (n *newcomer) configures(b block) {
	n.t.Helper()
	n.writes("~/.config/imapfs/config.toml", b)
	if got := n.alice("imapfs __complete mount '' 2>/dev/null"); !strings.HasPrefix(got, "gmail\nwork\n") {
		n.t.Fatalf("the accounts are %q", got)
	}
}

func (n *newcomer) writes(name string, b block) {
	n.t.Helper()
	cmd := n.asAlice("mkdir -p $(dirname " + name + ") && cat >" + name)
	cmd.Stdin = strings.NewReader(strings.Join(b.lines, "\n") + "\n")
	n.did(cmd, "cat >"+name)
}

// leavesToCron runs what the block has for crontab(5), as cron does: with /bin/sh, its four
// variables and those of the block.
func (n *newcomer) leavesToCron(b block) {
	n.t.Helper()
	env := "HOME=$HOME LOGNAME=$LOGNAME SHELL=/bin/sh PATH=/usr/bin:/bin"
	ran := 0
	for _, line := range b.lines {
		if name, value, ok := strings.Cut(line, "="); ok && !strings.Contains(name, " ") {
			env += " " + name + "='" + value + "'"
			continue
		}
		ran++
		command := regexp.MustCompile(`^(\S+ +){5}`).ReplaceAllString(line, "")
		n.alice("env -i " + env + " /bin/sh -c '" + command + "'")
	}
	if ran == 0 {
		n.t.Fatalf("README.md:%d: no command", b.line)
	}
	n.alice("diff -r ~/mail /srv/backup/mail")
}

// restores puts the backup of leavesToCron back.
func (n *newcomer) restores(b block) {
	n.t.Helper()
	n.types(b)
	n.alice("diff -r /srv/backup/mail/INBOX ~/mail/Restored && test -s ~/mail/Restored/13")
}

// mountsByFstab has root mount what the line of fstab(5) says.
func (n *newcomer) mountsByFstab(b block) {
	n.t.Helper()
	n.alice("imapfs unmount ~/mail")
	n.root("echo '" + strings.Join(b.lines, "\n") + "' >>/etc/fstab && mount /home/alice/mail")
	n.alice("test -s ~/mail/INBOX/13")
	n.root("umount /home/alice/mail")
	n.alice("test ! -e ~/mail/INBOX")
}

// readsByNmh has nmh read what it can with the block for a profile, move and remove.
func (n *newcomer) readsByNmh(b block) {
	n.t.Helper()
	n.alice("imapfs mount work ~/mail")
	n.writes("~/.mh_profile", b)
	if got := n.alice("export MHTMPDIR=/tmp; mkdir ~/mail/Filed; scan +INBOX && refile 2 -src +Restored +Filed && rmm +Restored 1 && ls ~/mail/Restored | wc -l"); strings.Count(got, "\n") != 14 || !strings.HasSuffix(got, "\n11\n") {
		n.t.Fatalf("nmh says %s", got)
	}
}

// looks has status say what it says of a mount that INBOX was read in.
func (n *newcomer) looks(b block) {
	n.t.Helper()
	n.alice("imapfs unmount ~/mail && imapfs mount work ~/mail && cat ~/mail/INBOX/* >/dev/null")
	n.converses(b, roughly, time.Minute)
}

// isOverQuota has her account on a Dovecot that is nearly full, and the rest of the session
// be about a text that it refuses.
func (n *newcomer) isOverQuota(b block) {
	n.t.Helper()
	n.alice("imapfs unmount ~/mail")
	dovecot := imaptest.StartDovecot(n.t, imaptest.DovecotOptions{NoTLS: true, ExtraConf: fullConf})
	n.has(account{dovecot.Addr, dovecot.User, dovecot.Password})
	n.alice("imapfs mount work ~/mail && (echo Subject: album; echo; head -c 19M /dev/zero | tr '\\0' x | fold) >album && ! cp album ~/mail/INBOX/ 2>/dev/null")
	n.converses(b, roughly, time.Minute)
	n.alice("cmp album album.eml")
}

// removes does what the block says, and looks for what is left.
func (n *newcomer) removes(b block) {
	n.t.Helper()
	n.types(b)
	if left := n.root("find /usr/local /run/user /home/alice -newer /proc -name '*imapfs*'; grep -l '^imapfs$' /proc/[0-9]*/comm || true"); left != "" {
		n.t.Errorf("left behind:\n%s", left)
	}
}
