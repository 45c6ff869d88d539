package imaptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// FilterOptions says what a Filter makes of a server.
type FilterOptions struct {
	// Hide names capabilities that the server shall not have: they are not
	// advertised, and what needs them is answered BAD and never reaches the server.
	// Hiding CONDSTORE hides QRESYNC, which builds on it, and hiding LIST-EXTENDED
	// hides LIST-STATUS and SPECIAL-USE. Hiding UIDPLUS takes APPENDUID and COPYUID
	// from the answers too.
	Hide []string
	// Only, where it is not nil, hides all that it does not name.
	Only []string
	// Noise puts a response that nobody asked for before each of the server's.
	Noise bool
}

// Filter stands between a client and a real server and takes from the server
// what others lack, or adds what others say unasked. It speaks no TLS.
type Filter struct {
	Addr string // host:port to connect to

	// Refused counts the commands that were answered in the server's place.
	Refused atomic.Int64

	options  FilterOptions
	hidden   map[string]bool
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu       sync.Mutex
	conns    map[*filtered]struct{}
	refusals map[string]string // by command
}

// Refuse has a command, such as APPEND, answered with NO and what is said here, as
// "[OVERQUOTA] no room". It never reaches the server then. An empty text lets it through again.
func (f *Filter) Refuse(command, no string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusals == nil {
		f.refusals = make(map[string]string)
	}
	f.refusals[command] = no
}

// refusal is what a command is answered with, but for its tag; empty: the server is asked.
func (f *Filter) refusal(line string) (tag, said string) {
	tag, lacking := f.lacking(line)
	if lacking != "" {
		return tag, "BAD this server has no " + lacking
	}
	if words := strings.Fields(line); len(words) > 1 {
		f.mu.Lock()
		defer f.mu.Unlock()
		if no := f.refusals[strings.ToUpper(words[1])]; no != "" {
			return tag, "NO " + no
		}
	}
	return tag, ""
}

// NewFilter starts a Filter before the server at target. It ends with the test.
func NewFilter(tb TB, target string, o FilterOptions) *Filter {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &Filter{Addr: l.Addr().String(), options: o, listener: l, target: target,
		hidden: map[string]bool{"STARTTLS": true, "COMPRESS=DEFLATE": true}, conns: make(map[*filtered]struct{})}
	for _, name := range o.Hide {
		f.hide(tb, name)
	}
	if o.Only != nil {
		for name := range needing {
			f.hide(tb, name)
		}
		for _, name := range o.Only {
			delete(f.hidden, name)
		}
	}
	f.wg.Add(1)
	go f.accept()
	tb.Cleanup(f.close)
	return f
}

func (f *Filter) hide(tb TB, name string) {
	tb.Helper()
	if _, ok := needing[name]; !ok {
		tb.Fatalf("what needs %s is not known", name)
	}
	f.hidden[name] = true
	for _, n := range buildingOn[name] {
		f.hidden[n] = true
	}
}

func (f *Filter) accept() {
	defer f.wg.Done()
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", f.target)
		if err != nil {
			client.Close()
			continue
		}
		s := &filtered{f: f, client: client, server: server, asked: make(chan bool, 1)}
		f.mu.Lock()
		f.conns[s] = struct{}{}
		f.mu.Unlock()
		f.wg.Add(2)
		go s.until(s.responses)
		go s.until(s.commands)
	}
}

func (f *Filter) close() {
	f.listener.Close()
	f.mu.Lock()
	for s := range f.conns {
		s.end()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// filtered is one connection through a Filter.
type filtered struct {
	f              *Filter
	client, server net.Conn
	down           sync.Mutex // held for one response to the client

	literal atomic.Pointer[string] // the tag of the command whose literal waits
	asked   chan bool              // whether the server wants that literal
}

// until ends the connection when one way of it has ended.
func (s *filtered) until(carry func() error) {
	defer s.f.wg.Done()
	carry()
	s.end()
	s.f.mu.Lock()
	delete(s.f.conns, s)
	s.f.mu.Unlock()
}

func (s *filtered) end() {
	s.client.Close()
	s.server.Close()
}

// literalEnd is a line that announces a literal.
var literalEnd = regexp.MustCompile(`~?\{(\d+)(\+?)\}\r?\n$`)

// announced is the octets that follow a line, and whether whoever sent it waits to
// be asked for them.
func announced(line string) (n int64, waits, ok bool) {
	m := literalEnd.FindStringSubmatch(line)
	if m == nil {
		return 0, false, false
	}
	n, err := strconv.ParseInt(m[1], 10, 63)
	return n, m[2] == "", err == nil
}

// advertised is what a server says of its capabilities.
var advertised = regexp.MustCompile(`(?i)(\* CAPABILITY|\[CAPABILITY)([^\]\r\n]*)`)

// noises are legal at any time and tell nothing (RFC 3501 7, RFC 5530 3).
var noises = []string{
	"* OK [X-NEW (a \"b\" (c))] nobody asked\r\n",
	"* OK\r\n",
	"* NO [ALERT] the disk is full\r\n",
	"* X-UNKNOWN (a \"quoted ) string\" {5}\r\na\r\n)b NIL) 4711\r\n",
	"* BAD what was that\r\n",
	"* OK [UNKNOWN-CTE] \r\n",
	"* STATUS \"no such mailbox\" (MESSAGES 3 X-NEW 17)\r\n",
	"* METADATA \"\" /shared/comment\r\n",
}

// responses carries what the server says.
func (s *filtered) responses() error {
	defer close(s.asked)
	r := bufio.NewReaderSize(s.server, 64<<10)
	for count := 0; ; count++ {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if tag := s.literal.Load(); tag != nil && (line[0] == '+' || strings.HasPrefix(line, *tag+" ")) {
			s.literal.Store(nil)
			s.asked <- line[0] == '+'
		}
		s.down.Lock()
		if s.f.options.Noise && count > 0 {
			_, err = io.WriteString(s.client, noises[count%len(noises)])
		}
		for err == nil {
			if _, err = io.WriteString(s.client, s.f.withoutHidden(line)); err != nil {
				break
			}
			n, _, more := announced(line)
			if !more {
				break
			}
			if _, err = io.CopyN(s.client, r, n); err == nil {
				line, err = r.ReadString('\n')
			}
		}
		s.down.Unlock()
		if err != nil {
			return err
		}
	}
}

// withoutHidden takes the hidden capabilities from a line, and the codes of a
// hidden UIDPLUS.
func (f *Filter) withoutHidden(line string) string {
	if f.hidden["UIDPLUS"] {
		line = uidCodes.ReplaceAllString(line, "$1")
	}
	return advertised.ReplaceAllStringFunc(line, func(s string) string {
		m := advertised.FindStringSubmatch(s)
		said := m[1]
		for _, c := range strings.Fields(m[2]) {
			name := strings.ToUpper(c)
			if base, _, _ := strings.Cut(name, "="); !f.hidden[name] && !f.hidden[base] {
				said += " " + c
			}
		}
		return said
	})
}

// commands carries what the client says, but for what needs something hidden.
func (s *filtered) commands() error {
	r := bufio.NewReaderSize(s.client, 64<<10)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		tag, refusal := s.f.refusal(line)
		to := io.Writer(s.server)
		if refusal != "" {
			s.f.Refused.Add(1)
			to = io.Discard
		}
		if err := s.command(to, r, tag, line); err != nil {
			return err
		}
		if refusal != "" {
			s.down.Lock()
			_, err = fmt.Fprintf(s.client, "%s %s\r\n", tag, refusal)
			s.down.Unlock()
		}
		if err != nil {
			return err
		}
	}
}

// command carries a command that begins with a line, with its literals.
func (s *filtered) command(to io.Writer, r *bufio.Reader, tag, line string) error {
	for {
		n, waits, more := announced(line)
		if more && waits && to != io.Discard {
			s.literal.Store(&tag)
		}
		if _, err := io.WriteString(to, line); err != nil || !more {
			return err
		}
		// A refused literal that waits to be asked for never comes.
		if waits && (to == io.Discard || !<-s.asked) {
			return nil
		}
		if _, err := io.CopyN(to, r, n); err != nil {
			return err
		}
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return err
		}
	}
}
