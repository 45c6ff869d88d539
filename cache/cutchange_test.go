package cache

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// cutter stands before a server and cuts a connection once: at a command that has a
// word in it, either before the server gets it or when it has answered, so that the
// answer is lost.
type cutter struct {
	addr string

	mu      sync.Mutex
	word    string // empty: nothing is cut
	after   bool
	meet    func(line string)        // called with each line to the server, before it gets it; nil: not
	rewrite func(line string) string // makes what the client gets of each line from it; nil: nothing else
}

func (c *cutter) onMeeting(f func(line string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meet = f
}

func (c *cutter) rewriting(f func(line string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rewrite = f
}

func (c *cutter) interferers() (meet func(string), rewrite func(string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.meet, c.rewrite
}

func newCutter(t *testing.T, target string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{addr: l.Addr().String()}
	var group sync.WaitGroup
	t.Cleanup(func() { l.Close(); group.Wait() })
	group.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			group.Go(func() { c.relay(client, server) })
		}
	})
	return c
}

func (c *cutter) at(word string, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.word, c.after = word, after
}

func (c *cutter) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.word == ""
}

// meets reports whether a line is the one at which to cut.
func (c *cutter) meets(line string) (cut, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.word == "" || !strings.Contains(line, c.word) {
		return false, false
	}
	c.word = ""
	return true, c.after
}

func (c *cutter) relay(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	var mu sync.Mutex
	awaited := "" // the tag whose answer is not to be seen
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		defer client.Close()
		defer server.Close()
		in := bufio.NewReader(server)
		for {
			line, err := in.ReadString('\n')
			mu.Lock()
			lost := awaited != ""
			over := lost && strings.HasPrefix(line, awaited)
			mu.Unlock()
			if over || err != nil {
				return
			}
			if _, rewrite := c.interferers(); rewrite != nil {
				line = rewrite(line)
			}
			if !lost {
				client.Write([]byte(line))
			}
		}
	})
	in := bufio.NewReader(client)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			server.Close()
			return
		}
		if meet, _ := c.interferers(); meet != nil {
			meet(line)
		}
		cut, after := c.meets(line)
		if cut && !after {
			server.Close()
			return
		}
		if cut {
			mu.Lock()
			awaited, _, _ = strings.Cut(line, " ")
			awaited += " "
			mu.Unlock()
		}
		server.Write([]byte(line))
	}
}

// TestACutChangeIsDoneOnceOrSaysSo cuts the connection at each command of each change,
// and looks from outside what is there.
func TestACutChangeIsDoneOnceOrSaysSo(t *testing.T) {
	t.Parallel()
	type kind struct {
		name string
		changeServer
		moves, expunges bool
	}
	m, err := imaptest.NewMemory(imaptest.MemoryOptions{Revision2: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	s := imaptest.NewStrict(t, imaptest.StrictOptions{Delimiter: '/'})
	kinds := []kind{
		{"memory", changeServer{m.Addr, m.User, m.Password}, true, true},
		{"RFC 1730", changeServer{s.Addr, s.User, s.Password}, false, false},
	}
	if !testing.Short() {
		d, other := dovecot(t, imaptest.DovecotOptions{}), dovecot(t, imaptest.DovecotOptions{})
		f := imaptest.NewFilter(t, other.Addr, imaptest.FilterOptions{Hide: []string{"MOVE"}})
		kinds = append(kinds, kind{"Dovecot", changeServer{d.Addr, d.User, d.Password}, true, true},
			kind{"Dovecot without MOVE", changeServer{f.Addr, other.User, other.Password}, false, true})
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			p := newPeer(t, k.changeServer)
			c := newCutter(t, k.addr)
			for _, after := range []bool{false, true} {
				try := func(word string, change func(t *testing.T, a *Account, from, to *Mailbox) error, judge func(t *testing.T, err error, from, to []string)) {
					n++
					from, to := fmt.Sprint("from", n), fmt.Sprint("to", n)
					t.Run(fmt.Sprint(word, " ", from, after), func(t *testing.T) {
						p := &peer{t, p.c}
						p.fill(from, 3, 300)
						p.fill(to, 1, 400)
						a := open(t, c.addr, k.user, k.password, patiently, hastily, func(c *Config, _ *imapconn.Dialer) { c.State = t.TempDir() })
						mustLoadIn(t, box(t, a, from))
						mustLoadIn(t, box(t, a, to))
						c.at(" "+word+" ", after)
						err := change(t, a, box(t, a, from), box(t, a, to))
						if !c.done() {
							t.Fatalf("%s was not sent", word)
						}
						if err != nil {
							t.Log(err)
						}
						var there, moved []string
						if slices.Contains(p.names(), from) {
							there = p.list(from)
						}
						if slices.Contains(p.names(), to) {
							moved = p.list(to)
						}
						judge(t, err, there, moved)
						for i, name := range []string{from, to} {
							if m := a.Tree().Child(a.Tree().Root(), name); m != nil && err == nil {
								want := [][]string{there, moved}[i]
								want = slices.DeleteFunc(want, func(s string) bool { return strings.Contains(s, `\Deleted`) && !k.expunges })
								if got := sizes(mustLoadIn(t, m)); !slices.Equal(got, want) {
									t.Errorf("%s shows %q, and there are %q", name, got, want)
								}
							}
						}
						if len(a.spool.Moves())+len(a.spool.Parkings()) > 0 {
							t.Error("the journal has changes in flight")
						}
					})
				}
				wantDone := func(left, arrived []string) func(t *testing.T, err error, from, to []string) {
					return func(t *testing.T, err error, from, to []string) {
						t.Helper()
						if !k.expunges {
							from = slices.DeleteFunc(slices.Clone(from), func(s string) bool { return strings.Contains(s, `\Deleted`) })
						}
						if err != nil || !slices.Equal(from, left) || !slices.Equal(to, arrived) {
							t.Errorf("%v: %q and %q are there", err, from, to)
						}
					}
				}
				all, one := []string{"300", "301", "302"}, []string{"400"}
				rm := func(t *testing.T, a *Account, from, _ *Mailbox) error {
					return from.Delete(within(t, patient), from.Snapshot().Validity(), 2)
				}
				mv := func(t *testing.T, a *Account, from, to *Mailbox) error {
					_, err := from.MoveTo(within(t, patient), from.Snapshot().Validity(), 2, to)
					return err
				}
				rest := []string{"300", "302"}
				try("SELECT", rm, wantDone(rest, one))
				try("STORE", rm, wantDone(rest, one))
				if k.expunges {
					try("EXPUNGE", rm, wantDone(rest, one))
				}
				if k.moves {
					try("MOVE", mv, wantDone(rest, []string{"400", "301"}))
				} else {
					// Whether it was copied is looked for before it is copied again.
					try("COPY", mv, wantDone(rest, []string{"400", "301"}))
					try("STORE", mv, wantDone(rest, []string{"400", "301"}))
				}
				try("COPY", func(t *testing.T, a *Account, from, to *Mailbox) error {
					_, err := from.CopyTo(within(t, patient), from.Snapshot().Validity(), 2, to)
					return err
				}, wantDone(all, []string{"400", "301"}))
				try("RENAME", func(t *testing.T, a *Account, from, to *Mailbox) error {
					err := a.RenameMailbox(within(t, patient), to, a.Tree().Root(), to.Name()+"x")
					if got := p.list(to.Name()); !slices.Equal(got, one) || !slices.Contains(p.names(), to.Name()) {
						t.Errorf("renamed: %q", got)
					}
					return err
				}, wantDone(all, nil))
				try("CREATE", func(t *testing.T, a *Account, from, to *Mailbox) error {
					name := to.Name() + "new"
					_, err := a.CreateMailbox(within(t, patient), a.Tree().Root(), name)
					if !slices.Contains(p.names(), name) {
						t.Errorf("there is no %s", name)
					}
					return err
				}, wantDone(all, one))
				for _, word := range []string{"RENAME", "DELETE"} {
					try(word, func(t *testing.T, a *Account, from, to *Mailbox) error {
						if err := to.Delete(within(t, patient), to.Snapshot().Validity(), 1); err != nil {
							return err
						}
						if !k.expunges {
							p.expunge(to.Name())
						}
						err := a.RemoveMailbox(within(t, patient), to)
						for _, name := range p.names() {
							if strings.Contains(name, asidePrefix) {
								t.Errorf("%s is left", name)
							}
						}
						return err
					}, wantDone(all, nil))
				}
			}
		})
	}
}

// expunge has the peer expunge what is marked.
func (p *peer) expunge(box string) {
	p.t.Helper()
	_, err := p.c.Select(p.ctx(), box, nil)
	p.must(err)
	p.must(p.c.ExpungeAll(p.ctx()))
	p.leave()
}
