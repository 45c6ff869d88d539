package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
	"imapfs/imapconn/imapwire"
	"imapfs/testdata"
)

// checks is the read suite, in its order: each goes on with the account and the
// mount of those before it.
var checks = []struct {
	name  string
	shows string // a line for the table
	run   func(t *testing.T, tr *trial)
}{
	{"tail", "`tail` of a large message moves no more than 512 KiB, in two round trips", checkTail},
	{"texts", "every text, size, date and flag is what another client gets, under every kind of mailbox name", checkTexts},
	{"leaves", "reading changes nothing, `\\Recent` included", checkLeaves},
	{"rsync", "`rsync` moves nothing the second time, nor after a remount", checkRsync},
	{"news", "new mail, flags and expunged messages of another client's are seen within seconds", checkNews},
	{"gone", "a message expunged while a program has it open ends in its own text or an error", checkGone},
	{"renewed", "a mailbox deleted and made again never shows a text of the old one under a new name", checkRenewed},
	{"mailboxes", "mailboxes made, renamed and deleted elsewhere come, move and go", checkMailboxes},
	{"cut", "the read after a cut connection works", checkCut},
}

// soon bounds the wait for what the poll finds; it is for machines that are busy.
const soon = time.Minute

// trial is one account of one server, a mount of it through a proxy, and
// another client.
type trial struct {
	kind   serverKind
	acc    account
	client *anotherClient
	proxy  *imaptest.Proxy
	dir    string
	mount  *daemon
	held   []told   // what another client saw at the beginning
	lied   []string // files that had another size before they were read

	caught bool // changing UIDs, in one of the mounts

	home func() string // a directory that lasts as long as the trial
}

// hugeBox holds a message of hugeOctets and a small one.
const (
	hugeBox    = "Huge"
	hugeOctets = 6 << 20
)

func newTrial(t *testing.T, k serverKind) *trial {
	t.Helper()
	tr := &trial{kind: k, acc: k.start(t), dir: t.TempDir(), home: t.TempDir}
	tr.client = newAnotherClient(t, tr.acc)
	tr.client.settles = k.settles
	tr.fill(t)
	tr.held = oracle(t, tr.acc.addr, tr.acc.user, tr.acc.password)
	tr.proxy = imaptest.NewProxy(t, tr.acc.addr)
	tr.remount(t)
	t.Cleanup(func() { tr.mount.stop(t) })
	return tr
}

// remount mounts anew. Its daemon outlives the check that asked for it.
func (tr *trial) remount(t *testing.T) {
	t.Helper()
	if tr.mount != nil {
		tr.mount.stop(t)
	}
	flags := append([]string{"--tls", "none", "--poll", "1s"}, tr.kind.flags...)
	tr.mount = startMount(t, tr.dir, tr.home(), "imap://"+tr.acc.user+"@"+tr.proxy.Addr+"/", tr.acc.password, flags...)
}

// wire is the name on the wire of a mailbox given by its decoded levels.
func (tr *trial) wire(levels ...string) string {
	if len(levels) == 1 && levels[0] == "INBOX" {
		return "INBOX"
	}
	encoded := make([]string, len(levels))
	for i, l := range levels {
		encoded[i] = imapwire.EncodeUTF7(l)
	}
	return tr.kind.prefix + strings.Join(encoded, tr.kind.delimiter)
}

// odd is mailboxes that people have, as levels. A server may refuse one.
var odd = [][]string{
	{"Übergröße"}, {"2024"}, {"2024", "12"}, {"Tom & Jerry"}, {"100%"}, {"a%2Fb"}, {".hidden"}, {"with space"},
	{`quote"back\slash`}, {"Inbox2"}, {"a/b"}, {"a.b"}, {strings.Repeat("long ", 40)}, {"日本語", "Писма"}, {"tab\there"}, {"~"}, {"%41"},
}

// fill makes the account: the sample mail, what real mailboxes hold besides good
// mail, odd names, and a large message.
func (tr *trial) fill(t *testing.T) {
	t.Helper()
	made := map[string]bool{"INBOX": true}
	create := func(levels ...string) bool {
		ok := true
		for i := range levels {
			name := tr.wire(levels[:i+1]...)
			if made[name] {
				continue
			}
			said := tr.client.try("create", name)
			made[name] = said == "OK"
			ok = made[name]
		}
		return ok
	}
	for _, m := range testdata.Messages() {
		levels := strings.Split(m.Mailbox, "/")
		if !create(levels...) { // an mbox has none below it
			if levels = []string{strings.Join(levels, " ")}; !create(levels...) {
				t.Fatalf("%s cannot be made", m.Mailbox)
			}
		}
		if said := tr.client.append(tr.wire(levels...), strings.Join(m.Flags, " "), m.Date, m.Text); said != "OK" {
			t.Fatalf("append to %s: %s", m.Mailbox, said)
		}
	}
	create("Nasty")
	for name, text := range testdata.Nasty() {
		if said := tr.client.append(tr.wire("Nasty"), `\Flagged`, time.Unix(1_600_000_000, 0), text); said != "OK" {
			t.Logf("%s is refused: %s", name, said)
		}
	}
	var refused []string
	for i, levels := range odd {
		if !create(levels...) {
			refused = append(refused, strings.Join(levels, tr.kind.delimiter))
			continue
		}
		if said := tr.client.append(tr.wire(levels...), "", time.Unix(1_500_000_000, 0), letter(fmt.Sprint("odd ", i), 500)); said != "OK" {
			t.Logf("%q takes no mail: %s", levels, said)
		}
	}
	t.Logf("refused as names of mailboxes: %q", refused)
	create(hugeBox)
	tr.client.deliver(tr.wire(hugeBox), letter("huge", hugeOctets))
	tr.client.deliver(tr.wire(hugeBox), letter("beside it", 1_000))
}

// path is where the mount has a mailbox given by its name on the wire.
func (tr *trial) path(wire string) string {
	levels := strings.Split(wire, tr.kind.delimiter)
	for i, l := range levels {
		decoded, ok := imapwire.DecodeUTF7(l)
		if !ok {
			decoded = l
		}
		levels[i] = asFileName(decoded, i == 0)
	}
	return filepath.Join(append([]string{tr.dir}, levels...)...)
}

// asFileName says once more, and plainly, how a mailbox is named.
func asFileName(component string, top bool) string {
	digits := strings.Trim(component, "0123456789") == ""
	var b strings.Builder
	for i := range len(component) {
		c, rest := component[i], component[i+1:]
		hex := len(rest) >= 2 && strings.Trim(rest[:2], "0123456789abcdefABCDEF") == ""
		if c < ' ' || c == 0x7f || c == '/' || c == '%' && hex || i == 0 && (c == '.' || digits && !top) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// list is the messages that ls shows in a mailbox, in the order of their numbers.
func (tr *trial) list(t *testing.T, wire string) (uids []int) {
	t.Helper()
	for name := range strings.Lines(must(t, "ls", tr.path(wire))) {
		if n, err := strconv.Atoi(strings.TrimSpace(name)); err == nil {
			uids = append(uids, n)
		}
	}
	slices.Sort(uids)
	return uids
}

// same compares two listings, by their numbers alone where the server changes UIDs.
func (tr *trial) same(a, b []int) bool {
	return slices.Equal(a, b) || tr.kind.shuffles && len(a) == len(b)
}

func (tr *trial) message(wire string, uid int) string {
	return filepath.Join(tr.path(wire), strconv.Itoa(uid))
}

// is says whether got is a text that was delivered, as far as the server keeps it.
func (tr *trial) is(got, delivered []byte) bool {
	if tr.kind.addsHeader {
		_, got, _ = bytes.Cut(got, []byte("\r\n\r\n"))
		_, delivered, _ = bytes.Cut(delivered, []byte("\r\n\r\n"))
	}
	return bytes.Equal(got, delivered)
}

// read gives the i-th message of a mailbox, at the first try unless the server
// changes UIDs.
func (tr *trial) read(t *testing.T, wire string, i int) (text []byte) {
	t.Helper()
	waitFor(t, soon, "a readable message", func() bool {
		uids := tr.list(t, wire)
		if len(uids) <= i {
			t.Fatalf("%s holds %v", wire, uids)
		}
		var err error
		if text, err = os.ReadFile(tr.message(wire, uids[i])); err != nil && !tr.kind.shuffles {
			t.Fatal(err)
		}
		return err == nil
	})
	return text
}

func checkTail(t *testing.T, tr *trial) {
	box := tr.wire(hugeBox)
	uids := tr.list(t, box)
	if len(uids) != 2 {
		t.Fatalf("listed %v", uids)
	}
	must(t, "ls", "-l", tr.path(box))
	must(t, "cat", tr.message(box, uids[1]))
	time.Sleep(1500 * time.Millisecond) // the connections that it makes are made
	tr.proxy.Reset()
	text := letter("huge", hugeOctets)
	if got := must(t, "tail", "-c", "1000", tr.message(box, uids[0])); got != string(text[len(text)-1000:]) {
		t.Errorf("the tail is %.80q", got)
	}
	c := tr.proxy.Counters()
	t.Logf("%d octets, %d round trips", c.Down, c.Turns)
	// A poll may fall between; it is small.
	if c.Down > 520<<10 {
		t.Errorf("%d octets for 1,000 of %d", c.Down, len(text))
	}
}

func checkTexts(t *testing.T, tr *trial) {
	for _, m := range tr.held {
		name := filepath.Join(tr.path(m.mailbox), m.uid)
		first, err := os.Stat(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if strconv.FormatInt(first.Size(), 10) != m.octets {
			tr.lied = append(tr.lied, strings.TrimPrefix(name, tr.dir+"/"))
			if _, err := os.ReadFile(name); err != nil {
				t.Error(err)
			}
		}
		got := lookAt(t, name, m)
		want := m
		want.flags = withoutRecent(m.flags)
		got.flags, want.flags = strings.ToLower(got.flags), strings.ToLower(want.flags)
		if got != want {
			t.Errorf("%s/%s is shown as\n%+v, and is\n%+v", m.mailbox, m.uid, got, want)
		}
	}
	if deviates := tr.kind.deviates["texts"] != ""; deviates != (len(tr.lied) > 0) {
		t.Errorf("of another size before they were read: %q", tr.lied)
	}
	if n := strings.Count(must(t, "find", tr.dir, "-type", "f", "-printf", ".\n"), "."); n != len(tr.held) {
		t.Errorf("%d messages are listed, and there are %d", n, len(tr.held))
	}
}

func checkLeaves(t *testing.T, tr *trial) {
	grep := run(t, "grep", "-r", "-c", "Subject", tr.dir)
	if grep.status > 1 || grep.stderr != "" {
		t.Errorf("grep: status %d: %s", grep.status, tail(grep.stderr, 500))
	}
	now := oracle(t, tr.acc.addr, tr.acc.user, tr.acc.password)
	if !slices.Equal(now, tr.held) {
		t.Error("the account is not what it was before it was read")
	}
}

func checkRsync(t *testing.T, tr *trial) {
	backup := t.TempDir()
	sync := func(options ...string) string {
		return must(t, "rsync", append([]string{"-aX", "--itemize-changes", tr.dir + "/", backup + "/"}, options...)...)
	}
	if first := sync("--delete"); strings.Count(first, ">f+++") != len(tr.held) {
		t.Fatalf("the first rsync moved %d messages of %d", strings.Count(first, ">f+++"), len(tr.held))
	}
	if second := sync("--delete"); second != "" {
		t.Errorf("the second rsync moved something:\n%s", second)
	}
	tr.remount(t)
	third := sync("--omit-dir-times")
	for _, name := range tr.lied {
		third = strings.Replace(third, ">f.s....... "+name+"\n", "", 1)
	}
	if third != "" {
		t.Errorf("rsync after a remount moved something:\n%s", third)
	}
}

func checkNews(t *testing.T, tr *trial) {
	before := tr.list(t, "INBOX")
	tr.client.deliver("INBOX", letter("the news", 2_000))
	var uid int
	took := waitFor(t, soon, "the new message in ls", func() bool {
		now := tr.list(t, "INBOX")
		if len(now) > len(before) {
			uid = now[len(now)-1]
		}
		return uid != 0
	})
	if got, err := os.ReadFile(tr.message("INBOX", uid)); err != nil || !bytes.Contains(got, []byte("the news, line 3\r\n")) {
		t.Errorf("the new message reads %.60q, %v", got, err)
	}
	tr.client.do("store", "INBOX", uid, "+FLAGS", `\Flagged`)
	flagged := waitFor(t, soon, "the flag", func() bool {
		tr.list(t, "INBOX")
		return strings.Contains(strings.ToLower(flagsOf(tr.message("INBOX", uid))), "flagged")
	})
	tr.client.do("expunge", "INBOX", uid)
	gone := waitFor(t, soon, "the expunged message to vanish", func() bool {
		_, err := os.Stat(tr.message("INBOX", uid))
		return os.IsNotExist(err) && tr.same(tr.list(t, "INBOX"), before)
	})
	t.Logf("seen after: new %v, flagged %v, expunged %v", took, flagged, gone)
}

func checkGone(t *testing.T, tr *trial) {
	text := letter("soon gone", 1<<20)
	before := tr.list(t, "INBOX")
	tr.client.deliver("INBOX", text)
	waitFor(t, soon, "the new message in ls", func() bool { return len(tr.list(t, "INBOX")) > len(before) })
	now := tr.list(t, "INBOX")
	uid := now[len(now)-1]
	f, err := os.Open(tr.message("INBOX", uid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	tr.client.do("expunge", "INBOX", uid)
	got := make([]byte, len(text)+1000)
	n := 0
	for n < len(got) && err == nil {
		var k int
		k, err = f.Read(got[n:])
		n += k
	}
	if whole := int(info.Size()); n < whole && err.Error() == "EOF" {
		t.Errorf("after %d octets of %d the text ends as if it were whole", n, whole)
	}
	_, body, _ := bytes.Cut(text, []byte("\r\n\r\n"))
	if _, read, _ := bytes.Cut(got[:n], []byte("\r\n\r\n")); !bytes.HasPrefix(body, read) {
		t.Errorf("read %d octets of another text", n)
	}
	t.Logf("%d octets of %d, then %v", n, len(text), err)
	waitFor(t, soon, "the expunged message to vanish", func() bool { return tr.same(tr.list(t, "INBOX"), before) })
}

func checkRenewed(t *testing.T, tr *trial) {
	box := tr.wire("Renewed")
	old, renewed := letter("of the old mailbox", 40_000), letter("of the new mailbox", 30_000)
	tr.client.do("create", box)
	tr.client.deliver(box, old)
	read := func() string {
		ls := run(t, "ls", tr.path(box))
		name, _, _ := strings.Cut(ls.stdout, "\n")
		if ls.status != 0 || name == "" {
			return ""
		}
		text, err := os.ReadFile(filepath.Join(tr.path(box), name))
		switch {
		case err != nil:
			return ""
		case tr.is(text, old):
			return "old"
		case tr.is(text, renewed):
			return "new"
		}
		t.Fatalf("neither the old nor the new text: %d octets, %.80q", len(text), text)
		return ""
	}
	waitFor(t, soon, "the mailbox", func() bool { return read() == "old" })
	tr.client.do("delete", box)
	if tr.kind.deviates["renewed"] != "" {
		waitFor(t, soon, "the deleted mailbox to vanish", func() bool { return run(t, "ls", tr.path(box)).status != 0 })
	}
	tr.client.do("create", box)
	tr.client.deliver(box, renewed)
	began, lost := time.Now(), false
	waitFor(t, 2*soon, "the mailbox that was made again", func() bool {
		if !lost && time.Since(began) > soon/2 && !tr.holds(t, box) {
			// Who looks finds it empty: a session that had the old one open was a
			// moment late to leave. It happens with Dovecot.
			t.Log("the server has lost what was delivered to the mailbox that was made again")
			lost = true
			tr.client.deliver(box, renewed)
		}
		return read() == "new"
	})
	for range 3 {
		if got := read(); got != "new" {
			t.Fatalf("the text is %q once more", got)
		}
	}
}

func checkMailboxes(t *testing.T, tr *trial) {
	exists := func(name string) bool {
		_, err := os.Stat(tr.path(name))
		listed := strings.Contains("\n"+must(t, "ls", filepath.Dir(tr.path(name))), "\n"+filepath.Base(tr.path(name))+"\n")
		return err == nil && listed
	}
	vanished := func(name string) bool {
		_, err := os.Stat(tr.path(name))
		return os.IsNotExist(err)
	}
	fresh, moved := tr.wire("Fresh"), tr.wire("Moved")
	tr.client.do("create", fresh)
	tr.client.deliver(fresh, letter("goes along", 3_000))
	waitFor(t, soon, "the new mailbox", func() bool { return exists(fresh) })
	must(t, "ls", "-l", tr.path(fresh))
	tr.client.do("rename", fresh, moved)
	waitFor(t, soon, "the renamed mailbox", func() bool { return exists(moved) && vanished(fresh) })
	if got := tr.read(t, moved, 0); !tr.is(got, letter("goes along", 3_000)) {
		t.Errorf("its message reads %.80q", got)
	}
	tr.client.do("delete", moved)
	waitFor(t, soon, "the deleted mailbox to vanish", func() bool { return vanished(moved) })
}

func checkCut(t *testing.T, tr *trial) {
	box := tr.wire("Cut")
	tr.client.do("create", box)
	var texts [][]byte
	for i := range 3 {
		text := letter(fmt.Sprint("cut ", i), 50_000)
		texts = append(texts, text)
		tr.client.deliver(box, text)
	}
	waitFor(t, soon, "the new mailbox", func() bool { _, err := os.Stat(tr.path(box)); return err == nil })
	for i := range texts {
		tr.list(t, box)
		tr.proxy.Cut()
		if got := tr.read(t, box, i); !tr.is(got, texts[i]) {
			t.Errorf("read %.80q", got)
		}
	}
	tr.proxy.Cut()
	if got := tr.list(t, box); len(got) != 3 {
		t.Errorf("listed %v", got)
	}
}

// holds says whether another client sees a message in a mailbox.
func (tr *trial) holds(t *testing.T, wire string) bool {
	t.Helper()
	return slices.ContainsFunc(oracle(t, tr.acc.addr, tr.acc.user, tr.acc.password), func(m told) bool { return m.mailbox == wire })
}

// checkShuffled is for a server that changes UIDs: whatever can be read is a text
// of that mailbox, each of them can be read, and the log says once what is wrong.
func checkShuffled(t *testing.T, tr *trial) {
	left := make(map[string]map[string]bool) // by the mailbox: sums
	for _, m := range tr.held {
		if left[m.mailbox] == nil {
			left[m.mailbox] = make(map[string]bool)
		}
		left[m.mailbox][m.sum] = true
	}
	for wire, sums := range left {
		unread := len(sums)
		waitFor(t, 3*soon, "all texts of "+wire, func() bool {
			names, err := os.ReadDir(tr.path(wire))
			if err != nil {
				return false
			}
			for _, e := range names {
				text, err := os.ReadFile(filepath.Join(tr.path(wire), e.Name()))
				if err != nil {
					continue // a directory, or the number is no longer that message's
				}
				sum := fmt.Sprintf("%x", sha256.Sum256(text))
				if first, ok := sums[sum]; !ok {
					t.Fatalf("%s/%s holds a text of %d octets that is not in that mailbox", wire, e.Name(), len(text))
				} else if first {
					sums[sum] = false
					unread--
				}
			}
			return unread == 0
		})
	}
	before := tr.mount
	tr.remount(t)
	logged := before.errs.String()
	switch n := strings.Count(logged, "the server gives messages other UIDs"); {
	case n == 1:
		tr.caught = true
	case n > 1 || !tr.caught:
		t.Errorf("that the server changes UIDs is said %d times", n)
	}
}
