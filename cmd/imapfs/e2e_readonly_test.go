package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"imapfs/imapconn/imaptest"
)

// A tap stands before a server and writes down the commands that clients send.
type tap struct {
	addr string
	mu   sync.Mutex
	said []string // each command's name, with UID before it where there is
}

var tagged = regexp.MustCompile(`^[A-Za-z0-9]+ ((?i:UID )?[A-Za-z0-9]+)`)

func newTap(t *testing.T, target string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{addr: l.Addr().String()}
	var group sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		group.Wait()
	})
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
			group.Go(func() {
				defer client.Close()
				io.Copy(client, server)
			})
			group.Go(func() {
				defer server.Close()
				p.listen(client, server)
			})
		}
	})
	return p
}

// listen passes on what a client says. No literal is in it, as nothing is written.
func (p *tap) listen(client io.Reader, server io.Writer) {
	for lines := bufio.NewReader(client); ; {
		line, err := lines.ReadBytes('\n')
		if m := tagged.FindSubmatch(line); m != nil {
			p.mu.Lock()
			p.said = append(p.said, strings.ToUpper(string(m[1])))
			p.mu.Unlock()
		}
		if len(line) > 0 {
			if _, err := server.Write(line); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// commands are the names of the commands so far, each once, sorted.
func (p *tap) commands() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.said)
	slices.Sort(all)
	return slices.Compact(all)
}

// TestReadingSendsNothingThatChanges looks at each command on the wire: a read-only mount,
// whatever programs try, and a writable one that is only read, send EXAMINE and never
// SELECT, nor anything else that could change the account.
func TestReadingSendsNothingThatChanges(t *testing.T) {
	needServers(t)
	t.Parallel()
	harmless := []string{"CAPABILITY", "ID", "AUTHENTICATE", "LOGIN", "ENABLE", "NAMESPACE", "LIST", "LSUB", "STATUS", "EXAMINE",
		"FETCH", "UID FETCH", "UID SEARCH", "SEARCH", "NOOP", "IDLE", "NOTIFY", "UNSELECT", "GETQUOTAROOT", "LOGOUT"}
	for name, flags := range map[string][]string{"read-only": {"--read-only"}, "writable": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
			s.Deliver(t, "INBOX", letter("one", 1_000), letter("two", 1_000))
			s.Deliver(t, "Archive/2023", letter("old", 1_000))
			p := newTap(t, s.Addr)
			d := mountPlain(t, p.addr, s.User, s.Password, flags...)
			must(t, "ls", "-lR", d.dir)
			must(t, "grep", "-r", "one", d.dir)
			must(t, "tail", "-c", "10", d.path("INBOX", "2"))
			must(t, "getfattr", "-n", "user.imap.flags", d.path("INBOX", "1"))
			must(t, "getfattr", "-n", "user.imap.subject", d.path("INBOX", "1"))
			must(t, "df", d.dir)
			must(t, "rsync", "-aX", d.dir+"/", t.TempDir())
			if flags != nil {
				for _, change := range []string{"rm INBOX/1", "mv INBOX/1 Archive/", "touch INBOX/1", "mkdir New", "rmdir Archive/2023",
					"mv Archive Else", "echo x >INBOX/new", "echo x >>INBOX/1", "ln INBOX/1 Archive/1", "setfattr -n user.imap.flags -v x INBOX/1", "chmod 600 INBOX/1"} {
					if r := run(t, "sh", "-c", "cd '"+d.dir+"' && "+change); r.status == 0 || !strings.Contains(r.stderr+r.stdout, "Read-only file system") {
						t.Errorf("%s: status %d, %s", change, r.status, r.stderr)
					}
				}
			}
			d.stop(t)
			said := p.commands()
			if !slices.Contains(said, "EXAMINE") || !slices.Contains(said, "UID FETCH") {
				t.Errorf("the tap is deaf: %q", said)
			}
			for _, command := range said {
				if !slices.Contains(harmless, command) {
					t.Errorf("%s was sent", command)
				}
			}
			var left bytes.Buffer
			for _, m := range oracle(t, s.Addr, s.User, s.Password) {
				left.WriteString(m.mailbox + " " + withoutRecent(m.flags) + "\n")
			}
			if strings.Contains(left.String(), `\`) || strings.Count(left.String(), "\n") != 3 {
				t.Errorf("after it the server has\n%s", left.String())
			}
		})
	}
}
