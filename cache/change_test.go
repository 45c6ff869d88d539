package cache

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// changeServer is a server that changes are tried on.
type changeServer struct{ addr, user, password string }

// dovecots are what a Dovecot is made to lack.
var dovecots = map[string][]string{
	"Dovecot":                            nil,
	"Dovecot without MOVE":               {"MOVE"},
	"Dovecot without UIDPLUS":            {"UIDPLUS"},
	"Dovecot without UIDPLUS and MOVE":   {"UIDPLUS", "MOVE"},
	"Dovecot with nothing but IMAP4rev1": imaptest.Hideable(),
}

// onEach runs a test on servers of each kind, by what they offer for changes, with
// mailboxes A and B of five and two messages.
func onEach(t *testing.T, f func(t *testing.T, s changeServer, p *peer)) {
	try := func(name string, s changeServer) {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, s)
			for _, name := range p.names() {
				if name != "INBOX" {
					p.must(p.c.Delete(p.ctx(), name))
				}
			}
			p.fill("A", 5, 100)
			p.fill("B", 2, 200)
			f(t, s, p)
		})
	}
	m, err := imaptest.NewMemory(imaptest.MemoryOptions{Revision2: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	try("memory", changeServer{m.Addr, m.User, m.Password})
	s := imaptest.NewStrict(t, imaptest.StrictOptions{Delimiter: '/', NoPermanentFlags: true})
	try("RFC 1730", changeServer{s.Addr, s.User, s.Password})
	if testing.Short() {
		return
	}
	d := dovecot(t, imaptest.DovecotOptions{})
	for _, name := range slices.Sorted(maps.Keys(dovecots)) {
		addr := d.Addr
		if lacks := dovecots[name]; len(lacks) > 0 {
			addr = imaptest.NewFilter(t, addr, imaptest.FilterOptions{Hide: lacks}).Addr
		}
		try(name, changeServer{addr, d.User, d.Password})
	}
}

func (s changeServer) open(t *testing.T, change ...settings) *Account {
	t.Helper()
	return open(t, s.addr, s.user, s.password, append([]settings{patiently}, change...)...)
}

// peer is another client of the account, by which what we did is judged.
type peer struct {
	t testing.TB
	c *imapconn.Client
}

func newPeer(t testing.TB, s changeServer) *peer {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.addr)
	n, _ := strconv.Atoi(port)
	d := &imapconn.Dialer{Host: host, Port: n, TLS: imapconn.TLSNone, Timeout: patient,
		Credentials: func(context.Context) (imapconn.Credentials, error) {
			return imapconn.Credentials{User: s.user, Password: s.password}, nil
		}}
	c, err := d.Dial(within(t, patient))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{t, c}
}

func (p *peer) ctx() context.Context { return within(p.t, patient) }

func (p *peer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// fill makes a mailbox with n messages, of size and the octets after that.
func (p *peer) fill(box string, n, size int) {
	p.t.Helper()
	_, err := p.c.Create(p.ctx(), box)
	p.must(err)
	for i := range n {
		p.append(box, size+i)
	}
}

func (p *peer) append(box string, size int) {
	p.t.Helper()
	_, err := p.c.Append(p.ctx(), box, imapconn.NewMessage{Text: bytes.NewReader(text(size, size)), Size: int64(size), Date: time.Unix(700_000_000+int64(size), 0)})
	p.must(err)
}

// list gives the messages of a mailbox, as `size flags` in UID order.
func (p *peer) list(box string) []string {
	p.t.Helper()
	data, err := p.c.Examine(p.ctx(), box, nil)
	p.must(err)
	all := make(map[UID]string)
	if data.Exists > 0 {
		p.must(p.c.FetchMeta(p.ctx(), imapconn.AllUIDs(), imapconn.MetaAll, func(f imapconn.Meta) {
			all[f.UID] = strings.TrimSpace(fmt.Sprint(f.Size, " ", strings.Join(f.Flags, " ")))
		}))
	}
	var out []string
	for _, uid := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[uid])
	}
	p.leave()
	return out
}

// leave has nothing selected.
func (p *peer) leave() {
	if p.c.Unselect(p.ctx()) != nil {
		_, err := p.c.Examine(p.ctx(), "INBOX", nil)
		p.must(err)
	}
}

// mark has the peer mark messages.
func (p *peer) mark(box string, add bool, flag string, uids ...UID) {
	p.t.Helper()
	_, err := p.c.Select(p.ctx(), box, nil)
	p.must(err)
	var set imapconn.UIDSet
	for _, uid := range uids {
		set.Add(uid)
	}
	if add {
		p.must(p.c.AddFlags(p.ctx(), set, flag))
	} else {
		p.must(p.c.RemoveFlags(p.ctx(), set, flag))
	}
	p.leave()
}

// names gives the names of all mailboxes.
func (p *peer) names() []string {
	p.t.Helper()
	data, err := p.c.List(p.ctx(), "", "*")
	p.must(err)
	var out []string
	for _, l := range data {
		out = append(out, l.Name)
	}
	slices.Sort(out)
	return out
}

func (p *peer) wants(box string, want ...string) {
	p.t.Helper()
	if got := p.list(box); !slices.Equal(got, want) {
		p.t.Errorf("%s holds %q, want %q", box, got, want)
	}
}

// sizes is what a snapshot shows, as peer.list says it.
func sizes(s *Snapshot) []string {
	var out []string
	for i := range s.Len() {
		m := s.At(i)
		out = append(out, strings.TrimSpace(fmt.Sprint(m.Size, " ", strings.Join(m.Flags, " "))))
	}
	return out
}

func wantVisible(t *testing.T, m *Mailbox, want ...string) {
	t.Helper()
	if got := sizes(m.Snapshot()); !slices.Equal(got, want) {
		t.Errorf("%q shows %q, want %q", m.full(), got, want)
	}
}

func TestDeleteTakesOneMessage(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		// What another client has marked stays as it is.
		p.mark("A", true, `\Deleted`, 4, 5)
		dir := t.TempDir()
		a := s.open(t, func(c *Config, _ *imapconn.Dialer) { c.State = dir })
		m := box(t, a, "A")
		v := mustLoad(t, m).Validity()
		if err := m.Delete(within(t, patient), v, 2); err != nil {
			t.Fatal(err)
		}
		shown := []string{"100", "102", `103 \Deleted`, `104 \Deleted`}
		wantVisible(t, m, shown...)
		wantKind(t, m.Delete(within(t, patient), v, 2), NotExist)
		wantKind(t, m.Delete(within(t, patient), v+1, 1), Stale)
		there := p.list("A")
		switch {
		case slices.Equal(there, shown):
			if strings.Contains(t.Name(), "without_UIDPLUS") {
				p.wants(a.findTrash().WireName(), "101")
			}
			return
		case !strings.Contains(t.Name(), "and_MOVE") && !strings.Contains(t.Name(), "1730") && !strings.Contains(t.Name(), "nothing"),
			!slices.Equal(there, []string{"100", `101 \Deleted`, "102", `103 \Deleted`, `104 \Deleted`}):
			t.Fatalf("the server has %q", there)
		}
		// Hidden: so it stays, also with the next mount, and comes back when the mark is gone.
		a.Close()
		a = s.open(t, func(c *Config, _ *imapconn.Dialer) { c.State = dir; c.Poll = 50 * time.Millisecond })
		m = box(t, a, "A")
		mustLoad(t, m)
		wantVisible(t, m, shown...)
		m.index.mu.Lock()
		clear(m.index.hiding)
		m.index.mu.Unlock()
		p.mark("A", false, `\Deleted`, 2)
		eventually(t, patient, "the message is shown again", func() bool { return mustLoadIn(t, m).Len() == 5 })
		if h := a.spool.Hidden(m.WireName(), v); len(h) > 0 {
			eventually(t, patient, "the journal is told", func() bool { return len(a.spool.Hidden(m.WireName(), v)) == 0 })
		}
	})
}

func mustLoadIn(t testing.TB, m *Mailbox) *Snapshot {
	t.Helper()
	s, err := m.Load(within(t, patient))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDeleteMovesToTheTrash(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		a := s.open(t, func(c *Config, _ *imapconn.Dialer) { c.OnDelete, c.State = DeleteTrash, t.TempDir() })
		m := box(t, a, "A")
		v := mustLoadIn(t, m).Validity()
		for _, uid := range []UID{1, 3} {
			if err := m.Delete(within(t, patient), v, uid); err != nil {
				t.Fatal(err)
			}
		}
		wantVisible(t, m, "101", "103", "104")
		trash := a.findTrash()
		if in := mustLoadIn(t, trash); !slices.Equal(sizes(in), []string{"100", "102"}) {
			t.Fatalf("the trash shows %q", sizes(in))
		}
		// What lies there is removed.
		if err := trash.Delete(within(t, patient), trash.Snapshot().Validity(), trash.Snapshot().At(0).UID); err != nil {
			t.Fatal(err)
		}
		wantVisible(t, trash, "102")
	})
}

func TestMoveAndCopy(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		p.mark("A", true, `\Flagged`, 1)
		a := s.open(t, func(c *Config, _ *imapconn.Dialer) { c.State = t.TempDir() })
		m, to := box(t, a, "A"), box(t, a, "B")
		v := mustLoadIn(t, m).Validity()
		mustLoadIn(t, to)
		for _, uid := range []UID{1, 5} {
			there, err := m.MoveTo(within(t, patient), v, uid, to)
			if err != nil {
				t.Fatal(err)
			}
			if msg, ok := to.Snapshot().Find(there); there != 0 && (!ok || msg.Size != int64(99+uid)) {
				t.Errorf("the moved message is %d, and %v", there, msg)
			}
		}
		if _, err := m.CopyTo(within(t, patient), v, 2, to); err != nil {
			t.Fatal(err)
		}
		wantVisible(t, m, "101", "102", "103")
		want := []string{"200", "201", `100 \Flagged`, "104", "101"}
		if got := sizes(mustLoadIn(t, to)); !slices.Equal(got, want) {
			t.Errorf("B shows %q, want %q", got, want)
		}
		p.wants("B", want...)
		checkText(t, to, mustLoadIn(t, to).At(2).UID, text(100, 100))
		if n := len(a.spool.Moves()); n > 0 {
			t.Errorf("%d moves are noted still", n)
		}
		_, err := m.MoveTo(within(t, patient), v, 1, to)
		wantKind(t, err, NotExist)
	})
}

func TestMoveManyOntoTheSameNumbers(t *testing.T) {
	t.Parallel()
	d := dovecot(t, imaptest.DovecotOptions{})
	s := changeServer{d.Addr, d.User, d.Password}
	p := newPeer(t, s)
	p.fill("A", 50, 1000)
	p.fill("B", 50, 2000)
	a := s.open(t)
	m, to := box(t, a, "A"), box(t, a, "B")
	v := mustLoadIn(t, m).Validity()
	mustLoadIn(t, to)
	for uid := range UID(50) {
		if _, err := m.MoveTo(within(t, patient), v, uid+1, to); err != nil {
			t.Fatal(err)
		}
	}
	if m.Snapshot().Len() != 0 || to.Snapshot().Len() != 100 || len(p.list("A")) != 0 || len(p.list("B")) != 100 {
		t.Errorf("A shows %d, B %d; there are %d and %d", m.Snapshot().Len(), to.Snapshot().Len(), len(p.list("A")), len(p.list("B")))
	}
}

func TestSetFlags(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		p.mark("A", true, `\Seen`, 1)
		a := s.open(t)
		m := box(t, a, "A")
		v := mustLoadIn(t, m).Validity()
		set := func(add, remove []string) error { return m.SetFlags(within(t, patient), v, 1, add, remove) }
		if err := set([]string{`\Flagged`, `\Recent`, `\seen`}, []string{`\Answered`}); err != nil {
			t.Fatal(err)
		}
		wantVisible(t, m, `100 \Flagged \Seen`, "101", "102", "103", "104")
		if err := set([]string{`\Answered`}, []string{`\Flagged`, `\Seen`}); err != nil {
			t.Fatal(err)
		}
		wantVisible(t, m, `100 \Answered`, "101", "102", "103", "104")
		p.wants("A", `100 \Answered`, "101", "102", "103", "104")
		wantKind(t, set([]string{`\Deleted`}, nil), NotOffered)
		wantKind(t, set([]string{`a b`}, nil), Invalid)
	})
}

func TestMailboxesAreMadeRenamedAndRemoved(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s changeServer, p *peer) {
		a := s.open(t, func(c *Config, _ *imapconn.Dialer) { c.State = t.TempDir() })
		before := p.names()
		root := a.Tree().Root()
		name := "Entwürfe & mehr"
		if strings.Contains(t.Name(), "1730") {
			name = "Drafts & more"
		}
		m, err := a.CreateMailbox(within(t, patient), root, name)
		if err != nil {
			t.Fatal(err)
		}
		if box(t, a, name) != m || !m.Selectable() || mustLoadIn(t, m).Len() != 0 {
			t.Errorf("the new mailbox is not what it should be")
		}
		_, err = a.CreateMailbox(within(t, patient), root, name)
		wantKind(t, err, Exists)
		_, err = a.CreateMailbox(within(t, patient), root, "a/b")
		wantKind(t, err, Invalid)
		_, err = a.CreateMailbox(within(t, patient), root, "inbox")
		wantKind(t, err, Exists)
		below, err := a.CreateMailbox(within(t, patient), m, "below")
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, a.RemoveMailbox(within(t, patient), m), NotEmpty)
		wantKind(t, a.RemoveMailbox(within(t, patient), box(t, a, "A")), NotEmpty)
		wantKind(t, a.RemoveMailbox(within(t, patient), box(t, a, "INBOX")), NotOffered)
		wantKind(t, a.RenameMailbox(within(t, patient), box(t, a, "INBOX"), root, "other"), NotOffered)
		wantKind(t, a.RenameMailbox(within(t, patient), m, below, "other"), Invalid)
		wantKind(t, a.RenameMailbox(within(t, patient), m, root, "A"), Exists)

		// A renamed mailbox stays the same, with what lies below it.
		was := box(t, a, "A")
		mustLoadIn(t, was)
		if err := a.RenameMailbox(within(t, patient), was, below, "A'"); err != nil {
			t.Fatal(err)
		}
		if err := a.RenameMailbox(within(t, patient), m, root, "Z"); err != nil {
			t.Fatal(err)
		}
		if box(t, a, "Z") != m || box(t, a, "Z", "below") != below || box(t, a, "Z", "below", "A'") != was {
			t.Errorf("renamed mailboxes are others")
		}
		if strings.Contains(t.Name(), "memory") {
			return // it leaves those below where they are
		}
		checkText(t, was, mustLoadIn(t, was).At(3).UID, text(103, 103))
		p.wants("Z/below/A'", "100", "101", "102", "103", "104")
		if err := a.RenameMailbox(within(t, patient), was, root, "A"); err != nil {
			t.Fatal(err)
		}
		for _, m := range []*Mailbox{below, m} {
			if err := a.RemoveMailbox(within(t, patient), m); err != nil {
				t.Fatal(err)
			}
			wantKind(t, a.RemoveMailbox(within(t, patient), m), NotExist)
		}
		if got := p.names(); !slices.Equal(got, before) {
			t.Errorf("there are %q, and were %q", got, before)
		}
		p.wants("A", "100", "101", "102", "103", "104")
		if n := len(a.spool.Parkings()); n > 0 {
			t.Errorf("%d mailboxes are noted as aside still", n)
		}
		if _, err := a.LoadTree(within(t, patient)); err != nil || len(p.names()) != len(before) {
			t.Errorf("the tree: %v", err)
		}
	})
}

// TestAChangeIsOneRoundTrip counts what goes over the line, with somebody watching both
// mailboxes as a mount does.
func TestAChangeIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	const n = 200
	d := dovecot(t, imaptest.DovecotOptions{})
	s := changeServer{d.Addr, d.User, d.Password}
	p := newPeer(t, s)
	p.fill("A", 2*n, 1000)
	p.fill("B", 3, 2000)
	proxy := imaptest.NewProxy(t, d.Addr)
	a := open(t, proxy.Addr, d.User, d.Password, patiently, func(c *Config, _ *imapconn.Dialer) { c.State = t.TempDir() })
	m, to := box(t, a, "A"), box(t, a, "B")
	v := mustLoadIn(t, m).Validity()
	mustLoadIn(t, to)
	eventually(t, patient, "IDLE", a.pool.idling)
	check := func(what string, f func(i UID) error) {
		t.Helper()
		if err := f(0); err != nil { // selects
			t.Fatal(err)
		}
		proxy.Reset()
		for i := UID(1); i < n; i++ {
			if err := f(i); err != nil {
				t.Fatal(err)
			}
			// As the kernel looks for each name.
			mustLoadIn(t, m)
			mustLoadIn(t, to)
		}
		turns := proxy.Counters().Turns
		t.Logf("%s of %d: %d turns", what, n-1, turns)
		if turns > n*11/10 {
			t.Errorf("%s of %d took %d turns, want at most 1.1 each", what, n-1, turns)
		}
	}
	check("rm", func(i UID) error { return m.Delete(within(t, patient), v, 1+i) })
	check("mv", func(i UID) error {
		_, err := m.MoveTo(within(t, patient), v, n+1+i, to)
		return err
	})
	if m.Snapshot().Len() != 0 || to.Snapshot().Len() != n+3 || len(p.list("A")) != 0 || len(p.list("B")) != n+3 {
		t.Errorf("A shows %d, B %d; there are %d and %d", m.Snapshot().Len(), to.Snapshot().Len(), len(p.list("A")), len(p.list("B")))
	}
}
