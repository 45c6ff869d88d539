package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

var (
	chaosFlag     = flag.Duration("chaos", time.Minute, "how long TestChaos goes on")
	chaosSeedFlag = flag.Uint64("chaos-seed", 0, "the seed of TestChaos; 0: another each time")
)

const (
	// cutEvery is how often all connections are cut, whatever else is wrong.
	cutEvery = 5 * time.Second
	// stableBox is left alone by everybody.
	stableBox      = "Stable"
	stableMessages = 60
	// staleLimit is how long a deleted mailbox's texts may be read under its name:
	// until a poll has found out, on a line that is cut meanwhile.
	staleLimit = 40 * time.Second
)

// TestChaos reads through a mount whose network fails, while another client
// delivers, flags, expunges, renames and deletes at the server. Every text that is
// read names whose it is.
func TestChaos(t *testing.T) {
	needServers(t)
	t.Parallel() // with the other suites: each mostly waits
	for _, k := range []struct {
		name, prefix string
		start        func(t testing.TB) account
	}{
		{"Dovecot", "", dovecotKind(imaptest.DovecotOptions{}, nil)},
		{"Courier", "INBOX.", installedKind(imaptest.StartCourier)},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			seed := *chaosSeedFlag
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("-chaos-seed %d", seed)
			runChaos(t, k.start(t), k.prefix, seed)
		})
	}
}

func runChaos(t *testing.T, acc account, prefix string, seed uint64) {
	c := &chaos{t: t, prefix: prefix, client: newAnotherClient(t, acc), stop: make(chan struct{}), tokens: map[string]*chaosMessage{}}
	c.makeBox(stableBox)
	for i := range stableMessages {
		c.deliver(c.boxes[0], 300+i*i*30)
	}
	for i := range 3 {
		c.makeBox(fmt.Sprint("box", i))
		c.deliver(c.boxes[i+1], 2_000)
	}
	c.proxy = imaptest.NewProxy(t, acc.addr)
	home := t.TempDir()
	c.log = home + "/log"
	d := startMount(t, t.TempDir(), home, "imap://"+acc.user+"@"+c.proxy.Addr+"/", acc.password,
		"--tls", "none", "--poll", "2s", "--log-file", c.log, "--cache-size", "32M") // full before growth is judged
	c.root = d.path(strings.Split(strings.TrimSuffix(prefix, "."), ".")...)

	var others sync.WaitGroup
	others.Go(func() { c.live(rand.New(rand.NewPCG(seed, 1))) })
	others.Go(func() { c.fail(rand.New(rand.NewPCG(seed, 2))) })
	for i := range 3 {
		others.Go(func() { c.read(rand.New(rand.NewPCG(seed, uint64(10+i)))) })
	}
	others.Go(c.grep)
	others.Go(c.list)
	var grown growth
	others.Go(func() { grown.sample(t, d, c.stop) })
	time.Sleep(*chaosFlag)
	close(c.stop)
	others.Wait()
	c.proxy.Stall(false)

	// What is wrong now stays wrong.
	c.grepOnce("at the end")
	c.checkFlags()
	c.judge()
	grown.judge(t)
	t.Logf("%d texts read whole, %d in part, %d that went meanwhile; %d greps; another client did %d things; %d faults",
		c.whole.Load(), c.parts.Load(), c.went.Load(), c.greps.Load(), c.done, c.faults.Load())
	if c.whole.Load() < 20 || c.parts.Load() < 5 || c.greps.Load() < 2 || c.done < 5 {
		t.Error("too little happened to show anything")
	}
	d.stop(t)
	if t.Failed() {
		t.Logf("the daemon has written %q", tail(d.errs.String(), 6_000))
	}
}

// errorf says what is wrong, and what the daemon had logged by then.
func (c *chaos) errorf(format string, args ...any) {
	log, _ := os.ReadFile(c.log)
	c.t.Errorf(format+"\nthe daemon's log ended with:\n%s", append(args, tail(string(log), 3_000))...)
}

// chaos is what is true of the account, by the other client's word.
type chaos struct {
	t      *testing.T
	prefix string
	client *anotherClient
	proxy  *imaptest.Proxy
	root   string // of the mailboxes in the mount
	log    string // the daemon's, a file
	stop   chan struct{}
	done   int // by the other client

	whole, parts, went, greps, faults atomic.Int64

	mu     sync.Mutex
	boxes  []*chaosBox
	tokens map[string]*chaosMessage
	seen   []sighting
}

type chaosBox struct {
	name string
	gone time.Time
	uids map[string]*chaosMessage
}

type chaosMessage struct {
	token string
	size  int
	box   *chaosBox
	uid   string          // empty: not told yet
	at    map[string]bool // MAILBOX/UID, all that it has had
	flags string
	gone  bool
}

// sighting is a text as a reader has found it.
type sighting struct {
	token, box, uid string
	opened          time.Time
}

func (c *chaos) running() bool {
	select {
	case <-c.stop:
		return false
	default:
		return true
	}
}

func (c *chaos) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.stop:
	}
}

func (c *chaos) makeBox(name string) {
	said := c.client.try("create", c.prefix+name)
	for try := 0; try < 5 && strings.Contains(said, "ALREADYEXISTS"); try++ {
		// A session of Dovecot's that has it open may make anew what was deleted just now.
		c.client.try("delete", c.prefix+name)
		c.pause(time.Second)
		said = c.client.try("create", c.prefix+name)
	}
	if said != "OK" {
		c.errorf("create %s: %s", name, said)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boxes = append(c.boxes, &chaosBox{name: name, uids: map[string]*chaosMessage{}})
}

func (c *chaos) deliver(b *chaosBox, size int) {
	c.mu.Lock()
	m := &chaosMessage{token: fmt.Sprintf("token-%d-", len(c.tokens)), size: size, box: b, at: map[string]bool{}}
	c.tokens[m.token] = m
	c.mu.Unlock()
	text := base64.StdEncoding.EncodeToString(m.text())
	said := c.client.try("deliver", c.prefix+b.name, text)
	for range 5 {
		// Dovecot, of a mailbox that was renamed just now, also in a session that had none open.
		if !strings.Contains(said, "was deleted under us") {
			break
		}
		c.pause(time.Second)
		said = c.client.try("deliver", c.prefix+b.name, text)
	}
	f := strings.Fields(said)
	if len(f) != 3 || f[0] != "OK" {
		c.errorf("deliver to %s: %s", b.name, said)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b.hold(m, f[2])
}

// hold notes that a message is in a mailbox under a UID. c.mu is held.
func (b *chaosBox) hold(m *chaosMessage, uid string) {
	m.uid = uid
	m.at[b.name+"/"+uid] = true
	b.uids[uid] = m
}

// rename moves a mailbox. Courier numbers the messages anew, under another UIDVALIDITY.
func (c *chaos) rename(b *chaosBox, name string) {
	c.client.do("rename", c.prefix+b.name, c.prefix+name)
	said := c.client.try("subjects", c.prefix+name)
	var subjects map[string]string
	if err := json.Unmarshal([]byte(strings.TrimPrefix(said, "OK ")), &subjects); err != nil {
		c.errorf("subjects of %s: %v: %s", name, err, said)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := len(b.uids)
	b.name, b.uids = name, map[string]*chaosMessage{}
	for uid, token := range subjects {
		if m := c.tokens[token]; m != nil {
			b.hold(m, uid)
		}
	}
	if len(b.uids) != was {
		c.errorf("%s holds %d messages after its renaming, %d before", name, len(b.uids), was)
	}
}

func (m *chaosMessage) text() []byte { return letter(m.token, m.size) }

// live is another client's day.
func (c *chaos) live(r *rand.Rand) {
	made := 3
	for c.running() {
		c.pause(time.Duration(r.IntN(300)) * time.Millisecond)
		b := c.boxes[1+r.IntN(len(c.boxes)-1)]
		if !b.gone.IsZero() {
			continue
		}
		c.done++
		switch what := r.IntN(20); {
		case what < 9:
			size := 300 + r.IntN(20_000)
			if r.IntN(12) == 0 {
				size = 1_500_000
			}
			c.deliver(b, size)
		case what < 13:
			if m := c.any(r, b); m != nil {
				c.client.do("store", c.prefix+b.name, m.uid, "+FLAGS", `\Flagged`)
				m.flags = `\Flagged`
			}
		case what < 17:
			if m := c.any(r, b); m != nil {
				c.mu.Lock()
				m.gone = true
				delete(b.uids, m.uid)
				c.mu.Unlock()
				c.client.do("expunge", c.prefix+b.name, m.uid)
			}
		case what == 17:
			made++
			c.rename(b, fmt.Sprint("box", made))
		case what == 18:
			c.mu.Lock()
			b.gone = time.Now()
			c.mu.Unlock()
			c.client.do("delete", c.prefix+b.name)
			if r.IntN(2) == 0 {
				c.pause(time.Second) // UIDVALIDITY counts seconds at some
			}
			c.makeBox(b.name) // another mailbox of the same name
			c.deliver(c.boxes[len(c.boxes)-1], 1_000)
		default:
			made++
			c.makeBox(fmt.Sprint("box", made))
			c.deliver(c.boxes[len(c.boxes)-1], 500)
		}
	}
}

// any is a message of a mailbox. Only the other client changes these.
func (c *chaos) any(r *rand.Rand, b *chaosBox) *chaosMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	uids := make([]string, 0, len(b.uids))
	for uid := range b.uids {
		uids = append(uids, uid)
	}
	if len(uids) == 0 {
		return nil
	}
	slices.Sort(uids)
	return b.uids[uids[r.IntN(len(uids))]]
}

// fail is the network.
func (c *chaos) fail(r *rand.Rand) {
	lastCut := time.Now()
	for c.running() {
		c.pause(time.Duration(200+r.IntN(1200)) * time.Millisecond)
		c.faults.Add(1)
		lasts := time.Duration(100+r.IntN(1000)) * time.Millisecond
		switch r.IntN(10) {
		case 0:
			c.proxy.CutAfter(int64(r.IntN(200_000)))
		case 1:
			c.proxy.CutInLiteral(int64(r.IntN(20_000)))
		case 2:
			c.proxy.Drip(true)
			c.pause(lasts / 4)
			c.proxy.Drip(false)
		case 3:
			c.proxy.Stall(true)
			c.pause(lasts)
			c.proxy.Stall(false)
		case 4:
			c.proxy.StallWays(r.IntN(2) == 0, r.IntN(2) == 0)
			c.pause(lasts)
			c.proxy.Stall(false)
		case 5:
			c.proxy.Refuse(true)
			c.pause(lasts / 2)
			c.proxy.Refuse(false)
		case 6:
			c.proxy.RefuseNext(1 + r.IntN(3))
		case 7:
			c.proxy.SetDelay([]time.Duration{0, 20 * time.Millisecond, 50 * time.Millisecond}[r.IntN(3)])
		case 8:
			c.proxy.SetBandwidth(2 << 20)
			c.pause(lasts)
			c.proxy.SetBandwidth(0)
		case 9:
			c.proxy.HangUp()
		}
		if time.Since(lastCut) > cutEvery {
			lastCut = time.Now()
			c.proxy.Cut()
		}
	}
	c.proxy.SetDelay(0)
	c.proxy.CutInLiteral(-1)
	c.proxy.CutAfter(-1)
}

// forgiven reports whether an error may meet who reads what others take away.
func forgiven(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESTALE)
}

// read opens messages, in whole or in part, and looks whose they are.
func (c *chaos) read(r *rand.Rand) {
	for c.running() {
		c.pause(time.Duration(r.IntN(400)) * time.Millisecond)
		boxes, err := os.ReadDir(c.root)
		if err != nil {
			c.errorf("the list of mailboxes: %v", err)
			return
		}
		box := boxes[r.IntN(len(boxes))].Name()
		if _, err := strconv.Atoi(box); err == nil || !strings.HasPrefix(box, "box") && box != stableBox {
			continue
		}
		files, err := os.ReadDir(c.root + "/" + box)
		if err != nil && (box == stableBox || !forgiven(err)) {
			c.errorf("a list of %s: %v", box, err)
		}
		for range min(5, len(files)) {
			c.readOne(r, box, files[r.IntN(len(files))].Name())
		}
	}
}

var tokenPattern = regexp.MustCompile(`token-\d+-`)

func (c *chaos) readOne(r *rand.Rand, box, uid string) {
	opened := time.Now()
	f, err := os.Open(c.root + "/" + box + "/" + uid)
	if err != nil {
		c.failed("open", box, uid, err)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		c.failed("stat", box, uid, err)
		return
	}
	off, n := int64(0), st.Size()+1
	if r.IntN(3) == 0 && st.Size() > 1000 {
		off, n = 1+r.Int64N(st.Size()-900), 800
	}
	text, err := io.ReadAll(io.NewSectionReader(f, off, n))
	if err != nil {
		c.failed("read", box, uid, err)
		return
	}
	token := tokenPattern.FindString(string(text))
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.tokens[token]
	if m == nil {
		c.errorf("%s/%s from %d is no text that was delivered: %.100q", box, uid, off, text)
		return
	}
	want := m.text()
	if off > 0 {
		c.parts.Add(1)
		want = want[min(off, int64(len(want))):]
		want = want[:min(n, int64(len(want)))]
	} else {
		c.whole.Add(1)
	}
	if string(text) != string(want) {
		c.errorf("%s/%s from %d: %d octets that are not the %d of %s", box, uid, off, len(text), len(want), token)
	}
	c.seen = append(c.seen, sighting{token, box, uid, opened})
}

// failed judges the error of a reader.
func (c *chaos) failed(op, box, uid string, err error) {
	if box == stableBox || !forgiven(err) {
		c.errorf("%s %s/%s: %v", op, box, uid, err)
		return
	}
	c.went.Add(1)
}

// judge compares what was seen with what had been delivered by then, or later.
func (c *chaos) judge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seen {
		m := c.tokens[s.token]
		switch {
		case m.uid == "": // its delivery failed, which is told already
		case !m.at[s.box+"/"+s.uid]:
			c.errorf("%s, which is at %v, was read as %s/%s", s.token, slices.Sorted(maps.Keys(m.at)), s.box, s.uid)
		case !m.box.gone.IsZero() && s.opened.Sub(m.box.gone) > staleLimit:
			c.errorf("%s was read in %s %v after that was deleted", s.token, s.box, s.opened.Sub(m.box.gone))
		}
	}
}

// grep reads what nobody changes, as a person does: it knows no excuse.
func (c *chaos) grep() {
	for c.running() {
		c.grepOnce("under way")
		c.pause(2 * time.Second)
	}
}

func (c *chaos) grepOnce(when string) {
	g := runWithin(c.t, 3*time.Minute, "grep", "-rc", "^Subject: token-", c.root+"/"+stableBox)
	c.greps.Add(1)
	if found := strings.Count(g.stdout, ":1\n"); g.status != 0 || g.stderr != "" || found != stableMessages {
		c.errorf("grep %s: status %d, %d of %d messages, stderr %s", when, g.status, found, stableMessages, tail(g.stderr, 1000))
	}
}

// list walks the tree as backups do.
func (c *chaos) list() {
	for c.running() {
		l := runWithin(c.t, 3*time.Minute, "ls", "-lR", c.root)
		for line := range strings.Lines(l.stderr) {
			if strings.Contains(line, stableBox) || !strings.Contains(line, "No such file") && !strings.Contains(line, "Stale file") {
				c.errorf("ls: %s", line)
			}
		}
		c.pause(3 * time.Second)
	}
}

// checkFlags wants the flags at the server to be those that the other client has set.
func (c *chaos) checkFlags() {
	for _, b := range c.boxes {
		if !b.gone.IsZero() {
			continue
		}
		said := c.client.try("flags", c.prefix+b.name)
		var flags map[string]string
		if err := json.Unmarshal([]byte(strings.TrimPrefix(said, "OK ")), &flags); err != nil {
			c.errorf("flags of %s: %v: %s", b.name, err, said)
			continue
		}
		for uid, m := range b.uids {
			if got, ok := flags[uid]; !ok || got != m.flags {
				c.errorf("%s/%s has the flags %q (%v), another client has set %q", b.name, uid, got, ok, m.flags)
			}
		}
		if len(flags) != len(b.uids) {
			c.errorf("%s holds %d messages, want %d", b.name, len(flags), len(b.uids))
		}
	}
}
