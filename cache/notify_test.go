package cache

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// patience is how long a busy machine may take for what is at once on a quiet one.
const patience = 30 * time.Second

// notifier is a Scripted server that accepts NOTIFY, and tells on it what a test
// has it tell.
type notifier struct {
	*imaptest.Scripted
	call atomic.Pointer[imaptest.Call]
}

func newNotifier(t *testing.T) *notifier {
	n := &notifier{Scripted: imaptest.NewScripted(t)}
	n.Capabilities(imaptest.ScriptedCapabilities + " NOTIFY")
	n.On("NOTIFY", func(c *imaptest.Call) {
		c.Done("OK done")
		n.call.Store(c)
	})
	return n
}

// tell says a line on the connection that NOTIFY was asked for.
func (n *notifier) tell(format string, args ...any) {
	n.call.Load().Send(fmt.Sprintf(format, args...))
}

func holdsUID(m *Mailbox, uid UID) func() bool {
	return func() bool { _, ok := m.Snapshot().Find(uid); return ok }
}

// open loads five mailboxes; the first has no IDLE then, and what happens in it
// can be known by NOTIFY alone.
func (n *notifier) open(t *testing.T, change ...settings) (a *Account, first *Mailbox, in *imaptest.Box) {
	for _, name := range []string{"one", "two", "three", "four", "five"} {
		n.Mailbox(name).Add(text(1, 100))
	}
	a = openScripted(t, n.Scripted, change...)
	eventually(t, patience, "NOTIFY", a.notices.stand)
	one := box(t, a, "one")
	mustLoad(t, one)
	leave(t, a, one)
	return a, one, n.Mailbox("one")
}

// leave looks into the other mailboxes until no connection has this one selected.
func leave(t *testing.T, a *Account, m *Mailbox) {
	t.Helper()
	eventually(t, patience, "it is left", func() bool {
		for other := range a.Tree().all {
			if other != m {
				other.news.Store(true) // else it is answered from memory
				mustLoad(t, other)
			}
		}
		h := m.follow.Load()
		return h == nil || !h.live()
	})
}

func TestNewsComeByNotifyFromAnyMailbox(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	a, one, in := n.open(t)
	in.Add(text(2, 200))
	n.tell("* STATUS one (MESSAGES 2 UIDNEXT 3)")
	eventually(t, patience, "new mail", holdsUID(one, 2))
	leave(t, a, one) // the scripted server tells of flags only those who enter or idle
	in.SetFlags(1, `\Flagged`)
	n.tell("* STATUS one (HIGHESTMODSEQ 7)")
	eventually(t, patience, "a flag", func() bool { m, _ := one.Snapshot().Find(1); return slices.Equal(m.Flags, []string{`\Flagged`}) })
	in.Expunge(1, imaptest.DovecotGone)
	n.tell("* STATUS one (MESSAGES 1 UIDNEXT 3 HIGHESTMODSEQ 8)")
	eventually(t, patience, "expunged", func() bool { return one.Snapshot().Len() == 1 })
	for _, c := range n.Commands("NOTIFY") {
		if c != "NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName))" {
			t.Error(c)
		}
	}
	if len(n.Commands("NOTIFY")) != 1 {
		t.Errorf("%q", n.Commands("NOTIFY"))
	}
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	if len(a.pool.conns)+a.pool.dialing+a.pool.apart > a.cfg.Connections {
		t.Errorf("%d connections and NOTIFY's", len(a.pool.conns))
	}
}

func TestANoticeOfWhatIsKnownIsNoNews(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("one").Add(text(1, 100))
	m := box(t, openScripted(t, s), "one")
	snap := mustLoad(t, m)
	same := imapconn.StatusData{Messages: 1, HasMessages: true, UIDNext: 2, HasUIDNext: true, Unseen: 1, HasUnseen: true,
		UIDValidity: snap.Validity(), HasUIDValidity: true}
	if m.isNews(same) || m.isNews(imapconn.StatusData{}) {
		t.Error("what is known is news")
	}
	same.HighestModSeq, same.HasHighestModSeq = 7, true
	if !m.isNews(same) || m.isNews(same) {
		t.Error("a changed flag is news once")
	}
	for what, d := range map[string]imapconn.StatusData{
		"messages":    {Messages: 2, HasMessages: true},
		"UIDVALIDITY": {UIDValidity: snap.Validity() + 1, HasUIDValidity: true},
	} {
		if !m.isNews(d) {
			t.Errorf("%s: no news", what)
		}
	}
}

// What happens in a mailbox into which nobody has looked lately is looked at when
// somebody does.
func TestANoticeOfAMailboxNotInUseIsKept(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	_, one, in := n.open(t)
	one.touched.Store(time.Now().Add(-lookedIntoFor).UnixNano())
	in.Add(text(2, 200))
	examined := func() int { return len(n.Commands(`EXAMINE "one"`)) }
	before := examined()
	n.tell("* STATUS one (MESSAGES 2 UIDNEXT 3)")
	eventually(t, patience, "the notice", one.news.Load)
	if examined() != before {
		t.Error("it was looked at, and nobody looks")
	}
	one.Touch()
	eventually(t, patience, "new mail", holdsUID(one, 2))
}

func TestMailboxesComeAndGoByNotify(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	a, one, _ := n.open(t)
	n.Mailbox("new")
	n.tell(`* LIST () "/" new`)
	eventually(t, patience, "the new mailbox", func() bool { return a.Tree().Child(a.Tree().Root(), "new") != nil })
	var listing atomic.Pointer[imaptest.Call]
	release := make(chan struct{})
	n.On("LIST", func(c *imaptest.Call) {
		c.Send(`* LIST () "/" one`)
		if listing.Swap(c) == nil {
			<-release // told of while the tree is being listed
		} else {
			c.Send(`* LIST () "/" newest`)
		}
		c.Done("OK done")
	})
	n.tell(`* LIST (\NonExistent) "/" new`)
	eventually(t, patience, "a listing", func() bool { return listing.Load() != nil })
	n.tell(`* LIST () "/" newest ("OLDNAME" ("new"))`)
	close(release)
	eventually(t, patience, "the renamed one", func() bool {
		tree := a.Tree()
		return tree.Child(tree.Root(), "newest") != nil && tree.Child(tree.Root(), "new") == nil && tree.Child(tree.Root(), "one") == one
	})
}

func TestNotifyIsAskedForAgainOnANewConnection(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	a, one, in := n.open(t)
	in.Add(text(2, 200))
	n.Cut()
	eventually(t, patience, "NOTIFY again", func() bool { return len(n.Commands("NOTIFY")) > 1 && a.notices.stand() })
	// What came between is asked for.
	eventually(t, patience, "what was missed", holdsUID(one, 2))
	in.Add(text(3, 200))
	n.tell("* STATUS one (MESSAGES 3 UIDNEXT 4)")
	eventually(t, patience, "new mail", holdsUID(one, 3))
}

// TestNotifyComesBackByItself after a sleep, with nobody there who wants a connection.
func TestNotifyComesBackByItself(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	n.Mailbox("one")
	a := openScripted(t, n.Scripted)
	eventually(t, patience, "NOTIFY", a.notices.stand)
	sleeps(a)(time.Hour)
	a.awake()
	eventually(t, patience, "NOTIFY again", func() bool { return len(n.Commands("NOTIFY")) > 1 && a.notices.stand() })
}

func TestWithoutNotifyMailboxesAreAskedAbout(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]func(c *imaptest.Call){
		"NO":       func(c *imaptest.Call) { c.Done("NO not today") },
		"overflow": func(c *imaptest.Call) { c.Done("NO [NOTIFICATIONOVERFLOW] too much") },
		"BAD":      func(c *imaptest.Call) { c.Done("BAD what") },
		"ended":    func(c *imaptest.Call) { c.Done("OK done"); c.Send("* OK [NOTIFICATIONOVERFLOW] too much") },
	} {
		t.Run(what, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			s.Capabilities("IMAP4rev1 NOTIFY")
			s.On("NOTIFY", answer)
			in := s.Mailbox("one")
			in.Add(text(1, 100))
			s.Mailbox("two")
			a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Poll = 50 * time.Millisecond })
			one := box(t, a, "one")
			mustLoad(t, one)
			mustLoad(t, box(t, a, "two"))
			eventually(t, patience, "NOTIFY", func() bool { return len(s.Commands("NOTIFY")) > 0 && !a.notices.stand() })
			in.Add(text(2, 100))
			eventually(t, patience, "new mail", holdsUID(one, 2))
			eventually(t, patience, "the connection to be given back", func() bool {
				a.pool.mu.Lock()
				defer a.pool.mu.Unlock()
				return a.pool.apart == 0
			})
		})
	}
}

// A server that tells without end is not remembered without end.
func TestNoticesAreBounded(t *testing.T) {
	t.Parallel()
	n := newNotices(nil)
	for i := range maxNotices + 10 {
		n.MailboxStatus(imapconn.StatusData{Mailbox: fmt.Sprint("box", i)})
	}
	if told, _, all, _ := n.take(); len(told) > 0 || !all {
		t.Errorf("%d notices are kept, all: %v", len(told), all)
	}
	for i := range 200 {
		n.MailboxStatus(imapconn.StatusData{Mailbox: strings.Repeat("x", 64<<10) + fmt.Sprint(i)})
	}
	if told, _, all, _ := n.take(); len(told) > 0 || !all {
		t.Errorf("%d notices with long names are kept, all: %v", len(told), all)
	}
	n.MailboxStatus(imapconn.StatusData{Mailbox: "inbox", Messages: 7, HasMessages: true})
	n.MailboxStatus(imapconn.StatusData{Mailbox: "INBOX", HighestModSeq: 9, HasHighestModSeq: true})
	if told, names, all, over := n.take(); len(told) != 1 || told["INBOX"].Messages != 7 || told["INBOX"].HighestModSeq != 9 || names || all || over {
		t.Errorf("%+v", told)
	}
}

func TestTheServersLimitTakesNotifysConnection(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{ExtraConf: "protocol imap {\n mail_max_userip_connections = 2\n}\n"})
	d.Deliver(t, "INBOX", text(1, 500))
	d.Deliver(t, "Work", text(1, 500))
	a := open(t, d.Addr, d.User, d.Password)
	eventually(t, patience, "NOTIFY", a.notices.stand)
	var leases []*lease
	for _, name := range []string{"INBOX", "Work"} { // both at once
		l, err := a.pool.acquire(within(t, patience), want{box: box(t, a, name), fresh: true})
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, l)
	}
	if a.notices.stand() {
		t.Error("NOTIFY keeps a connection that readers wait for")
	}
	for _, l := range leases {
		l.release()
	}
}

func TestDovecotTellsOfAnyMailboxWithinASecond(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{})
	names := []string{"one", "two", "three", "four", "five"}
	for _, name := range names {
		d.Deliver(t, name, text(1, 500), text(2, 500))
	}
	a := open(t, d.Addr, d.User, d.Password)
	for _, name := range names {
		mustLoad(t, box(t, a, name))
	}
	eventually(t, patience, "NOTIFY", a.notices.stand)
	m := box(t, a, "one")
	took := func(what string, change func(), seen func() bool) {
		t.Helper()
		change()
		begun := time.Now()
		eventually(t, patience, what, seen)
		t.Logf("%s: seen after %v", what, time.Since(begun).Round(time.Millisecond))
	}
	took("delivered", func() { d.Doveadm("copy", "-u", d.User, "one", "mailbox", "two", "uid", "1") }, holdsUID(m, 3))
	took("flagged", func() { d.Doveadm("flags", "add", "-u", d.User, `\Flagged`, "mailbox", "one", "uid", "1") },
		func() bool { m, _ := m.Snapshot().Find(1); return slices.Contains(m.Flags, `\Flagged`) })
	took("expunged", func() { d.Doveadm("expunge", "-u", d.User, "mailbox", "one", "uid", "2") }, func() bool { return !holdsUID(m, 2)() })
	took("moved", func() { d.Doveadm("move", "-u", d.User, "three", "mailbox", "one", "uid", "1") },
		func() bool { return !holdsUID(m, 1)() && holdsUID(box(t, a, "three"), 3)() })
	took("made", func() { d.Doveadm("mailbox", "create", "-u", d.User, "six") },
		func() bool { return a.Tree().Child(a.Tree().Root(), "six") != nil })
	took("deleted", func() { d.Doveadm("mailbox", "delete", "-u", d.User, "six") },
		func() bool { return a.Tree().Child(a.Tree().Root(), "six") == nil })
}

// silentLog counts the lines of a log that hold some words.
type silentLog struct {
	words string
	n     atomic.Int64
}

func (l *silentLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), l.words) {
		l.n.Add(1)
	}
	return len(p), nil
}

// TestAServerThatIsMuteInIDLEIsFoundOut is GNU mailutils, which offers IDLE.
func TestAServerThatIsMuteInIDLEIsFoundOut(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add(text(1, 100))
	s.Mailbox("Other")
	var idling atomic.Int64
	s.On("IDLE", func(c *imaptest.Call) {
		c.Send("+ idling")
		idling.Add(1)
		c.UntilDone()
		idling.Add(-1)
		c.Done("OK done")
	})
	log := &silentLog{words: "offers IDLE and does not tell"}
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) {
		c.Poll, c.Logger = 200*time.Millisecond, slog.New(slog.NewTextHandler(log, nil))
	})
	mustLoad(t, box(t, a, "Other"))
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	for uid := UID(2); !a.idleMute.is(); uid++ {
		eventually(t, patience, "IDLE", func() bool { return idling.Load() > 0 || a.idleMute.is() })
		in.Add(text(int(uid), 100))
		eventually(t, patience, "news by the poll", holdsUID(m, uid))
		if uid > 50 {
			t.Fatal("it was never found out")
		}
	}
	eventually(t, patience, "no connection idles", func() bool { return idling.Load() == 0 })
	in.Add(text(100, 100))
	n := m.Snapshot().Len()
	eventually(t, patience, "news by the poll", func() bool { return m.Snapshot().Len() > n })
	if log.n.Load() != 1 {
		t.Errorf("it was said %d times", log.n.Load())
	}
	if idling.Load() > 0 {
		t.Error("it idles again")
	}
}

func TestSeveralMailboxesAreWatched(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	names := []string{"one", "two", "three", "four"}
	for _, name := range names {
		s.Mailbox(name).Add(text(1, 100))
	}
	a := openScripted(t, s)
	for _, name := range names {
		mustLoad(t, box(t, a, name))
		m := box(t, a, name)
		eventually(t, patience, name+" is watched", func() bool { h := m.follow.Load(); return h != nil && h.idled.Load() != 0 })
	}
	// With four connections one is for readers.
	watched := func() (n int) {
		for _, name := range names {
			if h := box(t, a, name).follow.Load(); h != nil && h.live() && h.idled.Load() != 0 {
				n++
			}
		}
		return n
	}
	eventually(t, patience, "three are watched", func() bool { return watched() == 3 })
	for _, name := range names[1:] {
		in, m := s.Mailbox(name), box(t, a, name)
		in.Add(text(2, 100))
		eventually(t, patience, "new mail in "+name, holdsUID(m, 2))
	}
	if n := len(s.Commands("STATUS")); n > 0 {
		t.Errorf("%d STATUS", n)
	}
}

func TestThePollAsksAboutManyInOneCommand(t *testing.T) {
	t.Parallel()
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 LIST-EXTENDED LIST-STATUS"} {
		s := imaptest.NewScripted(t)
		s.Capabilities(caps)
		var names []string
		for i := range 20 {
			names = append(names, fmt.Sprint("box", i))
			s.Mailbox(names[i]).Add(text(i, 100))
		}
		a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Connections = 2 })
		for _, name := range names {
			mustLoad(t, box(t, a, name))
		}
		s.Mailbox("box3").Add(text(3, 100))
		a.askSoon()
		eventually(t, patience, "new mail", holdsUID(box(t, a, "box3"), 2))
		lists, statuses := 0, len(s.Commands("STATUS"))
		for _, c := range s.Commands("LIST") {
			if strings.Contains(c, "RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))") {
				lists++
			}
			if strings.Contains(c, "SIZE") {
				t.Error(c)
			}
		}
		if caps == "IMAP4rev1" && statuses < 15 || caps != "IMAP4rev1" && (lists == 0 || statuses > 2) {
			t.Errorf("%s: %d LIST-STATUS, %d STATUS", caps, lists, statuses)
		}
	}
}
