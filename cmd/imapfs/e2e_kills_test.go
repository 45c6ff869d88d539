package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

var (
	killsFlag     = flag.Int("kills", 20, "how often TestKills kills a daemon or cuts it off, over all servers")
	killsSeedFlag = flag.Uint64("kills-seed", 0, "the seed of TestKills; 0: another each time")
	killsOnFlag   = flag.String("kills-on", "Dovecot,Cyrus", "the servers of TestKills; Courier is another")
)

// TestKills kills daemons by SIGKILL and cuts their connections while programs change an
// account through them: at any moment, and at the one in which a text is sent and nobody
// knows whether it has arrived. The next daemon goes on. Another client judges then: what a
// program was told is done is done, once; what it was not told may be; nothing else has
// gone, come twice or become another text.
func TestKills(t *testing.T) {
	needServers(t)
	t.Parallel() // with the other suites: each mostly waits
	servers := strings.Split(*killsOnFlag, ",")
	for _, name := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, ok := killServers[name]
			if !ok {
				t.Fatalf("-kills-on %s: no such server", name)
			}
			seed := *killsSeedFlag
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("-kills-on %s -kills-seed %d", name, seed)
			runKills(t, k, seed, max(1, *killsFlag/len(servers)))
		})
	}
}

var killServers = map[string]killServer{
	"Dovecot": {start: dovecotKind(imaptest.DovecotOptions{NoTLS: true}, nil)},
	"Cyrus":   {start: installedKind(imaptest.StartCyrus)},
	"Courier": {start: installedKind(imaptest.StartCourier), prefix: "INBOX.", copies: true},
}

type killServer struct {
	start  func(t testing.TB) account
	prefix string
	copies bool // moves are COPY and a deletion: one that is cut off may leave both
}

// killed is an account to which daemons come and go, and what is to be found in it.
type killed struct {
	t      *testing.T
	kind   killServer
	acc    account
	client *anotherClient
	proxy  *imaptest.Proxy
	dir    string // of the mount
	beside string // of the mount that is not killed
	home   string // $XDG_STATE_HOME of both
	src    string
	r      *rand.Rand

	letters                  []*killedLetter
	versions                 map[string]string // by SHA-256: N/V, the letter and the version of it
	boxes                    int               // how many were made
	acked, failed, leftovers int
	ends                     map[string]int // how often a round ended how
}

// killedLetter is a message, by its Message-ID, and where another client has seen it.
type killedLetter struct {
	n      int
	held   []string // MAILBOX version flags, sorted; what it may be until it is judged
	uid    string   // where it is held once
	spoilt bool
	busy   bool // a program of this round does something with it
	after  killedOutcome
}

// killedOutcome is what may be held of a letter after a program had to do with it.
type killedOutcome struct {
	what   string
	done   []string   // when it was told that it is done
	failed [][]string // what else when it was not
}

const killBoxes = 3 // of the usual ones: Box0 and so on

// runKills does rounds until there were so many ends.
func runKills(t *testing.T, kind killServer, seed uint64, rounds int) {
	k := &killed{
		t: t, kind: kind, acc: kind.start(t), dir: t.TempDir(), beside: t.TempDir(), home: t.TempDir(), src: t.TempDir(),
		r: rand.New(rand.NewPCG(seed, 1)), versions: make(map[string]string), ends: make(map[string]int),
	}
	k.client = newAnotherClient(t, k.acc)
	k.proxy = imaptest.NewProxy(t, k.acc.addr)
	for i := range killBoxes {
		k.client.do("create", kind.prefix+fmt.Sprint("Box", i))
	}
	for i := range 24 {
		k.arrive(fmt.Sprint("Box", i%killBoxes))
	}
	k.judge("at first")
	for i := 0; i < rounds && !t.Failed(); {
		var ends []string
		for end := min(i+killsInARow, rounds); i < end && !t.Failed(); i++ {
			ends = append(ends, k.round())
		}
		k.settle(fmt.Sprintf("after %d kills, the last of them %q", i, ends))
		t.Logf("%d kills, %d programs were told that it is done, %d were not", i, k.acked, k.failed)
	}
	t.Logf("%d programs were told that it is done, %d were not; %d texts were not whole; ends: %v", k.acked, k.failed, k.leftovers, k.ends)
	if k.acked < rounds || k.failed == 0 {
		t.Error("too little happened to show anything")
	}
}

// letter makes a message that nobody has yet.
func (k *killed) letter() *killedLetter {
	l := &killedLetter{n: len(k.letters)}
	k.letters = append(k.letters, l)
	k.text(l, 0)
	return l
}

// text is a version of a letter, which is written where programs find it.
func (k *killed) text(l *killedLetter, version int) string {
	name := fmt.Sprintf("%s/%d.%d", k.src, l.n, version)
	// Long enough for a packet or two to be the half of it.
	text := writeText(fmt.Sprint("m", l.n), fmt.Sprintf("version%d+", version)+strings.Repeat("filler of a line, and more of it+", (l.n*l.n*37)%3000))
	k.versions[fmt.Sprintf("%x", sha256.Sum256([]byte(text)))] = fmt.Sprintf("%d/%d", l.n, version)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Chtimes(name, time.Time{}, time.Unix(oldDate, 0)); err != nil {
		k.t.Fatal(err)
	}
	return name
}

// arrive delivers a letter as another client does.
func (k *killed) arrive(box string) *killedLetter {
	l := k.letter()
	text, err := os.ReadFile(fmt.Sprintf("%s/%d.0", k.src, l.n))
	if err != nil {
		k.t.Fatal(err)
	}
	flags := []string{"", `\Flagged`}[l.n%2]
	if said := k.client.append(k.kind.prefix+box, flags, time.Unix(oldDate, 0), text); said != "OK" {
		k.t.Fatal(said)
	}
	l.held = []string{place(box, 0, strings.ToLower(flags), true)}
	return l
}

// place is how a message is held: old says that it has the date that all have.
func place(box string, version int, flags string, old bool) string {
	return fmt.Sprintf("%s v%d [%s] %v", box, version, flags, old)
}

// parsePlace takes a place apart.
func parsePlace(p string) (box string, version int, flags string) {
	f := strings.Fields(p)
	fmt.Sscanf(f[1], "v%d", &version)
	return f[0], version, strings.Trim(f[2], "[]")
}

// killsInARow is how often a daemon is killed before another one may make everything good: with
// what is left of the one before under way, too.
const killsInARow = 10

// round has programs change things until the daemon ends, and says how it did.
func (k *killed) round() string {
	t := k.t
	d := k.mount(k.dir, k.proxy.Addr)
	var other *daemon
	if k.r.IntN(2) == 0 {
		other = k.mount(k.beside, k.acc.addr)
	}
	var programs sync.WaitGroup
	begin := func(dir string, mustWork bool) {
		script, l := k.something(dir)
		programs.Go(func() {
			k.run(script, dir, l, mustWork)
		})
	}
	end := k.ending(d)
	for range 3 + k.r.IntN(6) {
		begin(k.dir, false)
	}
	if other != nil {
		for range 3 {
			begin(k.beside, true)
		}
	}
	how := end()
	k.ends[how]++
	k.die(d)
	programs.Wait() // before the unmount: what is below is no mailbox
	exec.Command("fusermount3", "-uz", k.dir).Run()
	if other != nil {
		other.stop(t)
	}
	if isMounted(t, k.dir) {
		t.Fatal("the dead mount stays")
	}
	return how
}

// killStuck is how long a killed daemon may take to end. The kernel does not let it while
// it is being told something about a directory in which a program waits for it.
const killStuck = 5 * time.Second

// die waits for the end of a daemon that was killed.
func (k *killed) die(d *daemon) {
	select {
	case <-d.done:
	case <-time.After(killStuck):
		k.ends["stuck in the kernel"]++
		if out, err := exec.Command("imapfs", "unmount", "--no-wait", d.dir).CombinedOutput(); err != nil {
			k.t.Errorf("unmount of a mount that is stuck: %v: %s", err, out)
		}
		select {
		case <-d.done:
		case <-time.After(time.Minute):
			exec.Command("umount", "-f", d.dir).Run()
			k.t.Fatal("unmount does not free who waits for a daemon that was killed")
		}
	}
}

func (k *killed) mount(dir, addr string) *daemon {
	return startMount(k.t, dir, k.home, "imap://"+k.acc.user+"@"+addr+"/", k.acc.password, "--tls", "none", "--read-only=false", "--connections", "4")
}

// ending arranges how a round ends. What it returns waits for that and says how it was.
func (k *killed) ending(d *daemon) func() string {
	kill := func() { d.cmd.Process.Kill() }
	wait := time.Duration(k.r.IntN(500)) * time.Millisecond
	moment := []imaptest.Moment{imaptest.Uploaded, imaptest.Answered}[k.r.IntN(2)]
	name := map[imaptest.Moment]string{imaptest.Uploaded: "at the last octet", imaptest.Answered: "before the answer"}[moment]
	switch k.r.IntN(4) {
	case 0: // cut off, once or twice, and later killed
		happened := make(chan struct{})
		k.proxy.AtUpload(moment, 200, func() { close(happened) })
		return func() string {
			select {
			case <-happened:
				name = "a cut " + name
			case <-time.After(3 * time.Second):
				name = "nothing"
			}
			time.Sleep(3 * wait) // the daemon goes on for a while
			kill()
			return name + ", and a kill"
		}
	case 1:
		happened := make(chan struct{})
		k.proxy.AtUpload(moment, 200, func() { kill(); close(happened) })
		return func() string {
			select {
			case <-happened:
			case <-time.After(3 * time.Second):
				name = "late"
				kill()
			}
			return "a kill " + name
		}
	default:
		return func() string {
			time.Sleep(wait) // any moment
			kill()
			return "a kill"
		}
	}
}

// run runs a program, and notes what may have come of it.
func (k *killed) run(script, dir string, l *killedLetter, mustWork bool) {
	cmd := exec.Command("bash", "-c", "set -eu\n"+script)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+k.src)
	cmd.Dir = k.src // never in the mount
	out, err := cmd.CombinedOutput()
	if err == nil && len(out) == 0 { // perl -i says that it cannot open, and then 0
		l.after.failed = nil
	} else {
		l.after.done = nil
		if mustWork {
			k.t.Errorf("in the mount that lives, %s: %v: %s", script, err, out)
		}
	}
	l.after.what += fmt.Sprintf(" (%v: %s)", err, tail(string(out), 300))
}

// free is a letter that is held once, in one of the usual mailboxes, and in nobody's hands.
func (k *killed) free() *killedLetter {
	var all []*killedLetter
	for _, l := range k.letters {
		if !l.busy && !l.spoilt && len(l.held) == 1 && strings.HasPrefix(l.held[0], "Box") {
			all = append(all, l)
		}
	}
	if len(all) < 6 {
		return nil
	}
	return all[k.r.IntN(len(all))]
}

// something is what a program does: a script of bash.
func (k *killed) something(dir string) (string, *killedLetter) {
	root := dir
	for _, level := range strings.FieldsFunc(k.kind.prefix, func(c rune) bool { return c == '.' }) {
		root += "/" + level
	}
	what := k.r.IntN(16)
	l := k.free()
	if l == nil || what < 4 {
		return k.somethingNew(root, what)
	}
	l.busy = true
	held := l.held[0]
	box, version, flags := parsePlace(held)
	file := fmt.Sprintf("%s/%s/%s", root, box, l.uid)
	edit := func(name, script string, leaves bool) string {
		is, next := fmt.Sprintf("version%d", version), version+1
		k.text(l, next)
		done := place(box, next, flags, true)
		l.after = killedOutcome{name, []string{done}, [][]string{{held}, {done}}}
		if leaves { // a file with an ordinary name, which is mail of its own until it is renamed
			own := place(box, next, "", false)
			l.after.failed = append(l.after.failed, sorted(held, own), sorted(done, own))
		}
		return strings.NewReplacer("IS", is, "NEXT", fmt.Sprintf("version%d", next), "FILE", file).Replace(script)
	}
	switch {
	case what < 7:
		to := fmt.Sprintf("Box%d", (int(box[3]-'0')+1+k.r.IntN(killBoxes-1))%killBoxes)
		there := place(to, version, flags, true)
		l.after = killedOutcome{"mv", []string{there}, [][]string{{held}, {there}}}
		if k.kind.copies {
			l.after.failed = append(l.after.failed, sorted(held, there))
		}
		name := ""
		if k.hasNumber(to, l.uid) {
			name = fmt.Sprint("m", l.n) // else whoever edits that one would find this one under its name
		}
		return fmt.Sprintf("mv %s %s/%s/%s", file, root, to, name), l
	case what < 9:
		l.after = killedOutcome{"rm", nil, [][]string{{held}, nil}}
		return "rm " + file, l
	case what < 11:
		return edit("sed -i", "sed -i s/IS/NEXT/ FILE", true), l
	case what < 13:
		return edit("perl -i", "perl -pi -e s/IS/NEXT/ FILE", true), l
	case what == 13:
		return edit("os.replace", `python3 -c '
import os
t = open("FILE", "rb").read().replace(b"IS", b"NEXT")
f = open("FILE.tmp", "wb"); f.write(t); f.close()
os.replace("FILE.tmp", "FILE")'`, false), l
	case what == 14:
		return edit("os.replace of mail", `python3 -c '
import os
t = open("FILE", "rb").read().replace(b"IS", b"NEXT")
f = open("FILE.new", "wb"); f.write(t); f.close()
os.replace("FILE.new", "FILE")'`, true), l
	default:
		return edit("in place", `python3 -c '
t = open("FILE", "rb").read().replace(b"IS", b"NEXT")
f = open("FILE", "r+b"); f.write(t); f.close()'`, false), l
	}
}

// hasNumber reports whether a mailbox has a letter of that UID.
func (k *killed) hasNumber(box, uid string) bool {
	return slices.ContainsFunc(k.letters, func(l *killedLetter) bool {
		return l.uid == uid && len(l.held) > 0 && strings.HasPrefix(l.held[0], box+" ")
	})
}

// somethingNew is what makes a message, and mailboxes for it.
func (k *killed) somethingNew(root string, what int) (string, *killedLetter) {
	l := k.letter()
	l.busy = true
	file := fmt.Sprintf("%s/%d.0", k.src, l.n)
	made, renamed := fmt.Sprint("Made", k.boxes), fmt.Sprint("Renamed", k.boxes)
	there := place("Box0", 0, "", true)
	l.after = killedOutcome{"cp", []string{there}, [][]string{nil, {there}}}
	switch what {
	case 0: // a mailbox, its renaming and a refused removal: it is in one of both
		k.boxes++
		was, is := place(made, 0, "", true), place(renamed, 0, "", true)
		l.after = killedOutcome{"mkdir, cp, mv, rmdir", []string{is}, [][]string{nil, {was}, {is}}}
		return fmt.Sprintf("cd %s; mkdir %s; cp -p %s %[2]s/; mv %[2]s %[4]s; ! rmdir %[4]s 2>/dev/null; cd /; test -e %[1]s/%[4]s", root, made, file, renamed), l
	case 1:
		l.after.what = "rsync"
		return fmt.Sprintf("rsync -a %s %s/Box0/%d", file, root, l.n), l
	case 2:
		l.after.what = "mv from the disk"
		return fmt.Sprintf("cp -p %s %[1]s.moved; mv %[1]s.moved %[2]s/Box0/m%d", file, root, l.n), l
	}
	return fmt.Sprintf("cp -p %s %s/Box0/m%d", file, root, l.n), l
}

func sorted(all ...string) []string {
	slices.Sort(all)
	return all
}

// killSettles is how long a daemon may take until it has made everything good: a text whose
// fate is not known is looked for during 42 s before it is sent again.
const killSettles = 3 * time.Minute

// settle mounts once more and waits until nothing is owed and everything is where it has to
// be, and takes away what a program had not written whole.
func (k *killed) settle(when string) {
	d := k.mount(k.dir, k.proxy.Addr) // by the same port: another one may be another account
	defer func() {
		if d.stop(k.t); k.t.Failed() {
			k.t.Logf("the daemon that went on: %s", tail(d.errs.String(), 3000))
		}
	}()
	for deadline := time.Now().Add(killSettles); ; time.Sleep(100 * time.Millisecond) {
		owed, torn := spooled(k.t, k.home)
		if len(owed) == 0 {
			k.leftovers += len(torn)
			k.discard(torn)
			if wrong := k.compare(); wrong == "" || time.Now().After(deadline) {
				break
			}
		}
		if time.Now().After(deadline) {
			k.t.Errorf("%s: after %v there are still in the spool: %q", when, killSettles, owed)
			break
		}
	}
	k.judge(when)
}

// discard removes by rm what is listed and was not written whole.
func (k *killed) discard(torn []spoolText) {
	for _, f := range torn {
		name := k.dir + "/" + f.path + "/" + f.name
		if strings.Trim(f.name, "0123456789") == "" {
			k.spoil(f) // rm would take the message, too
			continue
		}
		// A mount that has just begun lists it when it has looked into the mailbox.
		eventually(k.t, killSettles, func() string {
			if out, err := exec.Command("rm", name).CombinedOutput(); err != nil {
				return fmt.Sprintf("a text that is not whole (%v) cannot be removed: %v: %s", f, err, out)
			}
			return ""
		})
	}
}

// spoil has no program change a message again whose name shows an edit that is not whole.
func (k *killed) spoil(f spoolText) {
	for _, l := range k.letters {
		if l.uid == f.name && len(l.held) == 1 && strings.HasPrefix(l.held[0], filepath.Base(f.path)+" ") {
			l.spoilt = true
		}
	}
}

// found is what the account holds, by letter: MAILBOX version flags, and the UID of the last.
func (k *killed) found() (map[int][]string, map[int]string, string) {
	held, uids, wrong := make(map[int][]string), make(map[int]string), ""
	for _, m := range oracle(k.t, k.acc.addr, k.acc.user, k.acc.password) {
		box := strings.TrimPrefix(m.mailbox, k.kind.prefix)
		v, ok := k.versions[m.sum]
		if !ok {
			wrong += fmt.Sprintf("%s holds a text of %s octets that nobody wrote; ", box, m.octets)
			continue
		}
		var n, version int
		fmt.Sscanf(v, "%d/%d", &n, &version)
		flags := strings.ToLower(withoutRecent(m.flags))
		held[n] = append(held[n], place(box, version, flags, m.date == fmt.Sprint(oldDate)))
		uids[n] = m.uid
	}
	for _, all := range held {
		slices.Sort(all)
	}
	return held, uids, wrong
}

// compare says what is not as it may be.
func (k *killed) compare() string {
	held, _, wrong := k.found()
	for _, l := range k.letters {
		may := [][]string{l.held}
		if l.busy {
			may = append(l.after.failed, l.after.done)
			if l.after.failed != nil && l.after.done == nil {
				may = l.after.failed
			}
		}
		if !slices.ContainsFunc(may, func(m []string) bool { return slices.Equal(m, held[l.n]) }) {
			wrong += fmt.Sprintf("m%d, %s: %q, may be %q; ", l.n, l.after.what, held[l.n], may)
		}
	}
	return wrong
}

// judge is compare, and takes what is there for what has to be there from now on.
func (k *killed) judge(when string) {
	k.t.Helper()
	if wrong := k.compare(); wrong != "" {
		k.t.Errorf("%s: %s", when, wrong)
	}
	held, uids, _ := k.found()
	for _, l := range k.letters {
		if l.busy {
			if l.after.failed == nil {
				k.acked++
			} else {
				k.failed++
			}
		}
		l.held, l.uid, l.busy = held[l.n], uids[l.n], false
	}
}
