package imaptest

import (
	"bufio"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
)

// Scripted is an IMAP4rev1 server that does what no good server does on
// request. It keeps a small model of one account, and a test overrides what the
// model would answer: a size that lies, a text that is not there, a listing cut
// in the middle.
//
//	s := imaptest.NewScripted(t)
//	box := s.Mailbox("INBOX")
//	uid := box.Add(text)
//	box.LieSize(uid, +300)
//	s.On("LIST", func(c *imaptest.Call) { c.Send(`* LIST () "/" INBOX`); c.Cut() })
type Scripted struct {
	Addr, User, Password string

	tb       TB
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex // guards all that follows, the boxes and the sessions' views
	caps     string
	boxes    map[string]*Box
	names    []string // in the order they were made
	hooks    map[string]func(*Call)
	commands []string
	sessions map[*session]struct{}
}

// ScriptedCapabilities is what a Scripted server offers unless told otherwise.
const ScriptedCapabilities = "IMAP4rev1 LITERAL+ IDLE UNSELECT"

// NewScripted starts a Scripted server on 127.0.0.1. It ends with the test.
func NewScripted(tb TB) *Scripted {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := newScripted(tb)
	s.Addr, s.listener = l.Addr().String(), l
	s.wg.Add(1)
	go s.accept()
	tb.Cleanup(s.close)
	return s
}

// NewPiped starts a Scripted server that listens nowhere: Dial makes a pipe, so that
// it can live in a bubble of testing/synctest. It ends with the test.
func NewPiped(tb TB) *Scripted {
	s := newScripted(tb)
	tb.Cleanup(s.close)
	return s
}

func newScripted(tb TB) *Scripted {
	return &Scripted{
		User: "alice", Password: "alice-secret", tb: tb, caps: ScriptedCapabilities,
		boxes: make(map[string]*Box), hooks: make(map[string]func(*Call)),
		sessions: make(map[*session]struct{}),
	}
}

// Dial makes a connection that is a pipe; it has the form of
// imapconn.Dialer.DialContext.
func (s *Scripted) Dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	s.serve(far)
	return near, nil
}

// Capabilities replaces what the server offers, from the next connection on.
func (s *Scripted) Capabilities(caps string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caps = caps
}

// Mailbox is the mailbox of that name on the wire, made if it is not there.
func (s *Scripted) Mailbox(name string) *Box {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[name]
	if b == nil {
		b = &Box{s: s, name: name, validity: uint32(1000 + len(s.names)), next: 1}
		s.boxes[name] = b
		s.names = append(s.names, name)
	}
	return b
}

// Rename gives mailboxes other names at once, all of those given in one step: from and
// to, in turn. What lies below is not renamed with them. A session that has one
// selected goes on with it, as on Courier.
func (s *Scripted) Rename(fromTo ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := make(map[string]*Box)
	for i := 0; i < len(fromTo); i += 2 {
		from, to := fromTo[i], fromTo[i+1]
		moved[to] = s.boxes[from]
		delete(s.boxes, from)
		s.names = slices.DeleteFunc(s.names, func(n string) bool { return n == from })
	}
	for to, b := range moved {
		b.name = to
		s.boxes[to] = b
		s.names = append(s.names, to)
	}
}

// Remove deletes a mailbox. A session that has it selected goes on with it.
func (s *Scripted) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.boxes, name)
	s.names = slices.DeleteFunc(s.names, func(n string) bool { return n == name })
}

// On calls f for each command of that name ("LIST", "UID FETCH") in place of
// the model; Call.Default is the model. A nil f takes the override away. f runs
// on the session's goroutine and may block.
func (s *Scripted) On(command string, f func(*Call)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == nil {
		delete(s.hooks, command)
		return
	}
	s.hooks[command] = f
}

// Commands are the commands of that name that came, with their arguments, in
// order; all of them for "".
func (s *Scripted) Commands(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var came []string
	for _, c := range s.commands {
		if name == "" || c == name || strings.HasPrefix(c, name+" ") {
			came = append(came, c)
		}
	}
	return came
}

// Cut ends all connections.
func (s *Scripted) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for se := range s.sessions {
		reset(se.conn)
	}
}

// Sessions is how many connections there are.
func (s *Scripted) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

func (s *Scripted) accept() {
	defer s.wg.Done()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.serve(c)
	}
}

// serve has a session of its own for a connection.
func (s *Scripted) serve(c net.Conn) {
	se := &session{s: s, conn: c, in: bufio.NewReader(c), closed: make(chan struct{})}
	s.mu.Lock()
	s.sessions[se] = struct{}{}
	s.mu.Unlock()
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		se.serve()
		s.mu.Lock()
		delete(s.sessions, se)
		s.mu.Unlock()
	}()
}

func (s *Scripted) close() {
	if s.listener != nil {
		s.listener.Close()
	}
	s.Cut()
	s.wg.Wait()
}

// record notes a command and finds its override.
func (s *Scripted) record(c *Call) func(*Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := c.Name
	if c.Args != "" {
		line += " " + c.Args
	}
	if c.Name == "LOGIN" || c.Name == "AUTHENTICATE" {
		line = c.Name
	}
	s.commands = append(s.commands, line)
	return s.hooks[c.Name]
}
