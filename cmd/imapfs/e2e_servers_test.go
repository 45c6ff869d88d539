package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

var (
	serversFlag = flag.String("servers", "few",
		"the servers that TestServers runs against: few, those that the tests need anyway, or all")
	serversTable = flag.String("servers-table", "",
		"a file; TestServers writes its table between the lines <!-- servers --> and <!-- /servers --> there")
)

// serverKind is a server that the mount has to work with.
type serverKind struct {
	name      string // as in the table
	few       bool   // needs nothing that the other tests do not need
	delimiter string // of the names on the wire
	prefix    string // of all mailboxes that can be made
	start     func(t testing.TB) account
	// deviates says, by the name of a check, what is otherwise with this server.
	// The check looks for just that then.
	deviates map[string]string
	// settles: messages keep their UIDs once somebody has selected the mailbox.
	settles bool
	// shuffles: a message has another date, or another UID, in each session.
	shuffles bool
	// flags are the mount's, beside those that it needs.
	flags []string
	// addsHeader: the server puts fields of its own into headers.
	addsHeader bool
}

// mdbox is Dovecot with its own store in place of Maildir.
const mdbox = "mail_location = mdbox:~/mdbox\n"

// mdboxLoses is a fault of Dovecot's: who looks finds the mailbox empty.
var mdboxLoses = map[string]string{
	"renewed": "mdbox may lose what is delivered to a mailbox made again while a session still has the old one open: " +
		"here it is made again only when the mount has seen it go.",
}

// mailutilsShuffles is looked for by checkShuffled.
const mailutilsShuffles = "GNU mailutils gives the messages of a Maildir other dates in each session, and the newest other UIDs. " +
	"That is detected, and said once: a text is read under no wrong name, but names do not last."

// memoryLies is// memoryLies is what the in-memory server does with texts that are no good mail.
var memoryLies = map[string]string{
	"texts": "The server's sizes of some malformed messages are wrong; each is right from the first read on.",
	"rsync": "Messages whose size was wrong are moved once more after a remount.",
}

// compressed has a mount ask for compression.
var compressed = []string{"--compress", "on"}

// hashed is how to log in where the server offers SCRAM and has only the hash of the password.
var hashed = []string{"--auth", "login"}

func dovecotKind(o imaptest.DovecotOptions, filter *imaptest.FilterOptions) func(t testing.TB) account {
	return func(t testing.TB) account {
		t.Helper()
		d := imaptest.StartDovecot(t, o)
		a := account{d.Addr, d.User, d.Password}
		if filter != nil {
			a.addr = imaptest.NewFilter(t, d.Addr, *filter).Addr
		}
		return a
	}
}

func memoryKind(o imaptest.MemoryOptions) func(t testing.TB) account {
	return func(t testing.TB) account {
		t.Helper()
		m, err := imaptest.NewMemory(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return account{m.Addr, m.User, m.Password}
	}
}

func strictKind(o imaptest.StrictOptions) func(t testing.TB) account {
	return func(t testing.TB) account {
		t.Helper()
		s := imaptest.NewStrict(t, o)
		return account{s.Addr, s.User, s.Password}
	}
}

func installedKind(start func(imaptest.TB) *imaptest.Installed) func(t testing.TB) account {
	return func(t testing.TB) account {
		t.Helper()
		s := start(t)
		return account{s.Addr, s.User, s.Password}
	}
}

// A server of the tests in a mount namespace of its own is started while others have
// imapfs mounted. Their daemons end all the same when that is unmounted: a copy of the
// mount in the namespace would keep them.
func TestServersInNamespacesHoldNoMount(t *testing.T) {
	needServers(t)
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX")
	d := mountPlain(t, s.Addr, s.User, s.Password)
	imaptest.StartCourier(t)
	must(t, "fusermount3", "-u", d.dir)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		t.Error("it is unmounted, and its daemon goes on")
	}
}

func mailutilsKind(boxes string) func(t testing.TB) account {
	return installedKind(func(tb imaptest.TB) *imaptest.Installed { return imaptest.StartMailutils(tb, boxes) })
}

// serverKinds is every server of the table.
func serverKinds() []serverKind {
	kinds := []serverKind{
		{name: "Dovecot, Maildir", delimiter: "/", start: dovecotKind(imaptest.DovecotOptions{}, nil)},
		{name: "Dovecot, Maildir, delimiter `.`", delimiter: ".", start: dovecotKind(imaptest.DovecotOptions{Separator: '.'}, nil)},
		{name: "Dovecot, mdbox", delimiter: "/", start: dovecotKind(imaptest.DovecotOptions{ExtraConf: mdbox}, nil), deviates: mdboxLoses},
		{name: "Dovecot, mdbox, delimiter `.`", few: true, delimiter: ".",
			start: dovecotKind(imaptest.DovecotOptions{Separator: '.', ExtraConf: mdbox}, nil), deviates: mdboxLoses},
		{name: "Cyrus", delimiter: "/", start: installedKind(imaptest.StartCyrus)},
		{name: "Dovecot, compressed", delimiter: "/", start: dovecotKind(imaptest.DovecotOptions{}, nil), flags: compressed},
		{name: "Cyrus, compressed", delimiter: "/", start: installedKind(imaptest.StartCyrus), flags: compressed},
		{name: "Courier", delimiter: ".", prefix: "INBOX.", start: installedKind(imaptest.StartCourier)},
		{name: "GNU mailutils, Maildir", delimiter: "/", start: mailutilsKind("maildir"), flags: hashed, settles: true, shuffles: true,
			deviates: map[string]string{"texts": mailutilsShuffles, "leaves": mailutilsShuffles, "rsync": mailutilsShuffles,
				"news": mailutilsShuffles, "gone": mailutilsShuffles}},
		{name: "GNU mailutils, mbox", delimiter: "/", start: mailutilsKind("mbox"), flags: hashed, settles: true, addsHeader: true},
		{name: "in memory, IMAP4rev1", delimiter: "/", start: memoryKind(imaptest.MemoryOptions{}), deviates: memoryLies},
		{name: "in memory, IMAP4rev2", few: true, delimiter: "/", start: memoryKind(imaptest.MemoryOptions{Revision2: true}), deviates: memoryLies},
		{name: "RFC 1730 to the letter", delimiter: "/", start: strictKind(imaptest.StrictOptions{Delimiter: '/'})},
		{name: "RFC 1730, all it permits", few: true, delimiter: "/", start: strictKind(imaptest.StrictOptions{
			Delimiter: '/', OutOfOrder: true, ExpungeInFetch: true, BareFetch: true, Obsolete: true, OldDates: true, NoPermanentFlags: true,
		})},
		{name: "Dovecot, noisy", delimiter: "/", start: dovecotKind(imaptest.DovecotOptions{}, &imaptest.FilterOptions{Noise: true})},
		{name: "Dovecot without any extension", delimiter: "/",
			start: dovecotKind(imaptest.DovecotOptions{}, &imaptest.FilterOptions{Only: []string{}})},
	}
	for _, extension := range imaptest.Hideable() {
		kinds = append(kinds, serverKind{name: "Dovecot without " + extension, delimiter: "/",
			start: dovecotKind(imaptest.DovecotOptions{}, &imaptest.FilterOptions{Hide: []string{extension}})})
	}
	return kinds
}

// TestServers is the read suite: what a reading mount promises, against every
// server there is, judged by imaplib. What a server cannot is named in its kind.
func TestServers(t *testing.T) {
	needServers(t)
	t.Parallel() // with the other suites: each mostly waits
	if *serversFlag != "few" && *serversFlag != "all" {
		t.Fatalf("-servers %s: few or all", *serversFlag)
	}
	table := serverTable{rows: make(map[string]string)}
	t.Cleanup(func() {
		if *serversTable == "" {
			return
		}
		if err := table.write(*serversTable); err != nil {
			t.Error(err)
		}
	})
	for _, k := range serverKinds() {
		if *serversFlag == "few" && !k.few {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel() // they mostly wait for a poll
			tr := newTrial(t, k)
			passed := make([]bool, len(checks))
			for i, c := range checks {
				passed[i] = t.Run(c.name, func(t *testing.T) {
					tr.client.t = t
					if k.shuffles && k.deviates[c.name] != "" {
						checkShuffled(t, tr)
						return
					}
					c.run(t, tr)
				})
			}
			table.add(k, passed)
		})
	}
}

// serverTable is what the README says of servers.
type serverTable struct {
	mu    sync.Mutex
	rows  map[string]string // by the name of the kind
	notes []string
}

func (s *serverTable) add(k serverKind, passed []bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := "| " + k.name
	for i, c := range checks {
		said := k.deviates[c.name]
		switch {
		case !passed[i]:
			row += " | **no**"
		case said == "":
			row += " | yes"
		default:
			n := slices.Index(s.notes, said)
			if n < 0 {
				n = len(s.notes)
				s.notes = append(s.notes, said)
			}
			row += fmt.Sprintf(" | (%d)", n+1)
		}
	}
	s.rows[k.name] = row + " |\n"
}

const (
	tableBegin = "<!-- servers -->\n"
	tableEnd   = "<!-- /servers -->\n"
)

func (s *serverTable) write(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %s and %s", file, strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	var b strings.Builder
	b.WriteString("| server |")
	for _, c := range checks {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(checks)) + "\n")
	for _, k := range serverKinds() {
		b.WriteString(s.rows[k.name])
	}
	b.WriteByte('\n')
	for _, c := range checks {
		fmt.Fprintf(&b, "- %s: %s\n", c.name, c.shows)
	}
	b.WriteByte('\n')
	for i, n := range s.notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, n)
	}
	return os.WriteFile(file, []byte(before+tableBegin+b.String()+tableEnd+after), 0o644)
}
