package imapconn

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peerPatience ends a script that nobody answers: far beyond what a busy machine
// takes for the 64 MiB of the limits.
const peerPatience = 2 * time.Minute

// peer is the server's end of one connection, played by a test.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// say sends lines, each with CRLF.
func (p *peer) say(lines ...string) { p.raw(strings.Join(lines, "\r\n") + "\r\n") }

// raw sends octets as they are.
func (p *peer) raw(s string) { io.WriteString(p.conn, s) }

// line reads a line without its end; "" when the client has gone.
func (p *peer) line() string {
	s, err := p.r.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		p.t.Logf("peer: %v", err)
	}
	return strings.TrimRight(s, "\r\n")
}

// hear reads a command, without its tag, and returns the tag.
func (p *peer) hear(want string) (tag string) {
	p.t.Helper()
	tag, got, _ := strings.Cut(p.line(), " ")
	if got != want {
		p.t.Errorf("the client said %q, want %q", got, want)
	}
	return tag
}

// answer hears a command, says lines and then OK.
func (p *peer) answer(want string, lines ...string) {
	p.t.Helper()
	tag := p.hear(want)
	p.say(append(lines, tag+" OK done")...)
}

// login greets with caps and lets the client log in by LOGIN.
func (p *peer) login(caps string) {
	p.t.Helper()
	p.say("* OK [CAPABILITY " + caps + "] hello")
	tag := p.hear(`LOGIN "alice" "secret"`)
	p.say(tag + " OK [CAPABILITY " + caps + "] welcome")
}

// examine plays EXAMINE of a mailbox with n messages.
func (p *peer) examine(exists string) {
	p.t.Helper()
	p.answer(`EXAMINE "INBOX"`, `* FLAGS (\Seen)`, "* "+exists+" EXISTS", "* OK [UIDVALIDITY 7] v", "* OK [UIDNEXT 100] n")
}

// drain reads until the client goes.
func (p *peer) drain() { io.Copy(io.Discard, p.r) }

// play starts a server on the loopback that plays script to each connection and
// returns a Dialer for it, in the clear, as alice. The script's connection is
// closed when it returns; the test waits for it.
func play(t testing.TB, script func(*peer)) *Dialer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(peerPatience))
				script(&peer{t, conn, bufio.NewReader(conn)})
			})
		}
	})
	t.Cleanup(func() { l.Close(); group.Wait() })
	return &Dialer{
		Host: "127.0.0.1",
		Port: l.Addr().(*net.TCPAddr).Port,
		TLS:  TLSNone,
		Credentials: func(context.Context) (Credentials, error) {
			return Credentials{User: "alice", Password: "secret"}, nil
		},
		Timeout: 10 * time.Second,
	}
}

// dial connects and closes at the end of the test.
func dial(t testing.TB, d *Dialer) *Client {
	t.Helper()
	c, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// examined is a connection to script, logged in, with INBOX examined.
func examined(t testing.TB, exists string, rec Recorder, script func(*peer)) *Client {
	t.Helper()
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4rev1")
		p.examine(exists)
		script(p)
		p.drain()
	}))
	if _, err := c.Examine(t.Context(), "INBOX", rec); err != nil {
		t.Fatal(err)
	}
	return c
}

// upgrade plays the server's side of a TLS handshake.
func (p *peer) upgrade(cert tls.Certificate) {
	p.secure(&tls.Config{Certificates: []tls.Certificate{cert}})
}

// secure is upgrade with more said of TLS.
func (p *peer) secure(config *tls.Config) {
	conn := tls.Server(p.conn, config)
	p.conn, p.r = conn, bufio.NewReader(conn)
}

// want reads a line that is no command.
func (p *peer) want(line string) {
	p.t.Helper()
	if got := p.line(); got != line {
		p.t.Errorf("the client said %q, want %q", got, line)
	}
}

// port is where the peer listens.
func (p *peer) port() int { return p.conn.LocalAddr().(*net.TCPAddr).Port }

// at makes the Dialer believe in another host name.
func (d *Dialer) at(host string) {
	real := net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
	d.Host = host
	d.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, real)
	}
}
