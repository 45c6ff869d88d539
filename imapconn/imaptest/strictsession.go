package imaptest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxStrictCommand bounds a command with its literals, in octets.
const maxStrictCommand = 256 << 20

// strictSession is one connection to a Strict server.
type strictSession struct {
	s    *Strict
	conn net.Conn
	in   *bufio.Reader
	wake chan struct{} // tells the writer that there is something; holds one
	end  chan struct{} // closed when nothing more will be said

	// Guarded by the server's lock.
	out      []byte // in the order in which it was said
	loggedIn bool
	over     bool
	box      *strictBox
	readOnly bool
	view     []*strictMessage // what the session was told of, by message number
	changed  []*strictMessage // whose flags it has not been told yet
}

// strictCommand is a command that was read.
type strictCommand struct {
	tag, name string
	args      strictParser
}

func newStrictSession(s *Strict, c net.Conn) *strictSession {
	return &strictSession{s: s, conn: c, in: bufio.NewReader(c), wake: make(chan struct{}, 1), end: make(chan struct{})}
}

func (se *strictSession) printf(format string, args ...any) {
	se.out = append(fmt.Appendf(se.out, format, args...), "\r\n"...)
}

// flush has what was said sent.
func (se *strictSession) flush() {
	select {
	case se.wake <- struct{}{}:
	default:
	}
}

// write sends what is said until the end, in its order and without the server's
// lock: a client that does not read holds nobody up.
func (se *strictSession) write() {
	for over := false; !over; {
		select {
		case <-se.wake:
		case <-se.end:
			over = true
		}
		se.s.mu.Lock()
		out := se.out
		se.out = nil
		se.s.mu.Unlock()
		if _, err := se.conn.Write(out); err != nil {
			return
		}
	}
}

// serve answers commands until the connection ends.
func (se *strictSession) serve() {
	defer se.conn.Close()
	var writer sync.WaitGroup
	writer.Go(se.write)
	defer writer.Wait()
	defer close(se.end)
	se.say("* OK IMAP4 server ready")
	for !se.over {
		batch, err := se.batch()
		if err != nil {
			return
		}
		se.s.mu.Lock()
		for _, c := range batch {
			se.execute(c)
		}
		se.s.mu.Unlock()
		se.flush()
	}
}

// say says a line without the server's lock.
func (se *strictSession) say(line string) {
	se.s.mu.Lock()
	se.printf("%s", line)
	se.s.mu.Unlock()
	se.flush()
}

// together is how long a server that executes commands out of order waits for
// another one.
const together = 3 * time.Millisecond

// batch reads one command; FETCH commands that come together it turns round where
// the options say so. They cannot affect each other's results.
func (se *strictSession) batch() ([]*strictCommand, error) {
	c, err := se.read()
	if err != nil || !se.s.options.OutOfOrder || !c.isFetch() {
		return []*strictCommand{c}, err
	}
	batch := []*strictCommand{c}
	for {
		se.conn.SetReadDeadline(time.Now().Add(together))
		_, err := se.in.Peek(1)
		se.conn.SetReadDeadline(time.Time{})
		if err != nil {
			break // none came, or the end, which the next read finds
		}
		if c, err = se.read(); err != nil {
			return nil, err
		}
		if !c.isFetch() {
			slices.Reverse(batch)
			return append(batch, c), nil
		}
		batch = append(batch, c)
	}
	slices.Reverse(batch)
	return batch, nil
}

func (c *strictCommand) isFetch() bool { return c.name == "FETCH" || c.name == "UID FETCH" }

var (
	synchronising = regexp.MustCompile(`\{(\d{1,10})\}\r\n$`)
	impatient     = regexp.MustCompile(`\{\d+[+-]\}\r\n$`)
)

// read reads a command with its literals.
func (se *strictSession) read() (*strictCommand, error) {
	var all []byte
	for {
		line, err := se.in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		all = append(all, line...)
		if impatient.Match(line) { // its octets would be taken for commands
			tag, _, _ := bytes.Cut(all, []byte(" "))
			se.say(string(tag) + " BAD literals synchronise here")
			return nil, io.EOF
		}
		m := synchronising.FindSubmatch(line)
		if m == nil {
			break
		}
		n, err := strconv.Atoi(string(m[1]))
		if err != nil || len(all)+n > maxStrictCommand {
			return nil, io.EOF
		}
		se.say("+ go on")
		from := len(all)
		all = append(all, make([]byte, n)...)
		if _, err := io.ReadFull(se.in, all[from:]); err != nil {
			return nil, err
		}
	}
	return se.parse(all), nil
}

// parse reads tag and name, and notes the command.
func (se *strictSession) parse(all []byte) *strictCommand {
	text, whole := bytes.CutSuffix(all, []byte("\r\n"))
	c := &strictCommand{args: strictParser{b: text}}
	p := &c.args
	c.tag = p.take("a tag", func(b byte) bool { return atomChar(b) && b != '+' })
	p.space()
	c.name = p.word()
	if c.name == "UID" {
		p.space()
		c.name += " " + p.word()
	}
	if !whole {
		p.fail("CRLF")
	}
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	line := c.name
	if c.name != "LOGIN" {
		line += string(p.b)
	}
	se.s.commands = append(se.s.commands, line)
	return c
}

// strictState is what a command needs (section 3).
type strictState int

const (
	anyState strictState = iota
	notAuthenticated
	authenticated
	selected
)

// strictVerb is a command of the grammar.
type strictVerb struct {
	state strictState
	do    func(se *strictSession, c *strictCommand) // answers, unless c.args.bad
}

var strictVerbs map[string]strictVerb

func init() {
	strictVerbs = map[string]strictVerb{
		"CAPABILITY":   {anyState, (*strictSession).capability},
		"NOOP":         {anyState, (*strictSession).noop},
		"LOGOUT":       {anyState, (*strictSession).logout},
		"LOGIN":        {notAuthenticated, (*strictSession).login},
		"AUTHENTICATE": {notAuthenticated, (*strictSession).authenticate},
		"SELECT":       {authenticated, (*strictSession).enter},
		"EXAMINE":      {authenticated, (*strictSession).enter},
		"CREATE":       {authenticated, (*strictSession).create},
		"DELETE":       {authenticated, (*strictSession).delete},
		"RENAME":       {authenticated, (*strictSession).rename},
		"SUBSCRIBE":    {authenticated, (*strictSession).subscribe},
		"UNSUBSCRIBE":  {authenticated, (*strictSession).subscribe},
		"LIST":         {authenticated, (*strictSession).list},
		"LSUB":         {authenticated, (*strictSession).list},
		"APPEND":       {authenticated, (*strictSession).append},
		"CHECK":        {selected, (*strictSession).noop},
		"CLOSE":        {selected, (*strictSession).close},
		"EXPUNGE":      {selected, (*strictSession).expunge},
		"COPY":         {selected, (*strictSession).copy},
		"UID COPY":     {selected, (*strictSession).copy},
		"FETCH":        {selected, (*strictSession).fetch},
		"UID FETCH":    {selected, (*strictSession).fetch},
		"PARTIAL":      {selected, (*strictSession).partial},
		"STORE":        {selected, (*strictSession).store},
		"UID STORE":    {selected, (*strictSession).store},
		"SEARCH":       {selected, (*strictSession).search},
		"UID SEARCH":   {selected, (*strictSession).search},
	}
}

// execute answers one command. The server's lock is held.
func (se *strictSession) execute(c *strictCommand) {
	verb, known := strictVerbs[c.name]
	switch {
	case c.tag == "":
		se.printf("* BAD a command begins with a tag")
	case c.args.bad != "":
		se.bad(c)
	case !known:
		se.printf("%s BAD unknown command (this is RFC 1730)", c.tag)
	case verb.state == notAuthenticated && se.loggedIn, verb.state >= authenticated && !se.loggedIn, verb.state == selected && se.box == nil:
		se.printf("%s BAD not in this state", c.tag)
	default:
		if verb.do(se, c); c.args.bad != "" {
			se.bad(c)
		}
	}
}

func (se *strictSession) bad(c *strictCommand) {
	se.printf("%s BAD %s was expected at %.20q", c.tag, c.args.bad, c.args.b)
}

func (se *strictSession) ok(c *strictCommand) { se.printf("%s OK %s completed", c.tag, c.name) }

// whole reports whether the command ends here: if so it may be executed.
func (c *strictCommand) whole() bool {
	c.args.end()
	return c.args.bad == ""
}

func (se *strictSession) capability(c *strictCommand) {
	if c.whole() {
		se.printf("* CAPABILITY IMAP4")
		se.ok(c)
	}
}

func (se *strictSession) noop(c *strictCommand) {
	if c.whole() {
		se.tell()
		se.ok(c)
	}
}

func (se *strictSession) logout(c *strictCommand) {
	if c.whole() {
		se.printf("* BYE IMAP4 server logging out")
		se.ok(c)
		se.over = true
	}
}

func (se *strictSession) login(c *strictCommand) {
	c.args.space()
	user := c.args.astring()
	c.args.space()
	password := c.args.astring()
	if !c.whole() {
		return
	}
	if user != se.s.User || password != se.s.Password {
		se.printf("%s NO login failure", c.tag)
		return
	}
	se.loggedIn = true
	se.ok(c)
}

func (se *strictSession) authenticate(c *strictCommand) {
	c.args.space()
	c.args.atom()
	if c.whole() {
		se.printf("%s NO unsupported authentication mechanism", c.tag)
	}
}
