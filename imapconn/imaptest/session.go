package imaptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"imapfs/imapconn/imapwire"
)

// session is one connection to a Scripted server.
type session struct {
	s      *Scripted
	conn   net.Conn
	in     *bufio.Reader
	closed chan struct{} // closed when serve ends

	outMu sync.Mutex
	out   []byte
	limit int64 // octets still sent before the cut; 0: no limit

	// Guarded by the server's lock.
	box    *Box
	view   []imapwire.UID // what the session was told of, by sequence number
	idling bool
}

// A Call is one command and the means to answer it.
type Call struct {
	Name string // in capitals, with UID: "UID FETCH"
	Args string // as they came, literals put in their place

	tag string
	se  *session
}

// Send writes a line as it is; CRLF is added.
func (c *Call) Send(line string) {
	c.se.printf("%s", line)
	c.se.flush()
}

// Done writes the tagged answer: "OK done", "NO [NOPERM] not you", "BAD what".
func (c *Call) Done(answer string) { c.Send(c.tag + " " + answer) }

// Default answers as the model does.
func (c *Call) Default() { c.se.answer(c) }

// Cut resets the connection, after what was sent.
func (c *Call) Cut() {
	c.se.flush()
	c.se.conn.Close()
}

// CutAfter resets the connection once n more octets were sent.
func (c *Call) CutAfter(n int64) {
	c.se.outMu.Lock()
	defer c.se.outMu.Unlock()
	c.se.limit = n
}

// UntilDone waits for the DONE that ends an IDLE, or the end of the connection.
func (c *Call) UntilDone() { c.se.readLine() }

// Stall answers nothing for as long as the connection lives.
func (c *Call) Stall() {
	io.Copy(io.Discard, c.se.in)
}

func (se *session) printf(format string, args ...any) {
	se.outMu.Lock()
	defer se.outMu.Unlock()
	se.out = append(fmt.Appendf(se.out, format, args...), "\r\n"...)
}

func (se *session) flush() {
	se.outMu.Lock()
	defer se.outMu.Unlock()
	out := se.out
	se.out = nil
	if se.limit > 0 {
		if int64(len(out)) >= se.limit {
			se.conn.Write(out[:se.limit])
			se.conn.Close()
			return
		}
		se.limit -= int64(len(out))
	}
	se.conn.Write(out)
}

// serve answers commands until the connection ends.
func (se *session) serve() {
	defer close(se.closed)
	defer se.conn.Close()
	se.printf("* OK scripted server ready")
	se.flush()
	for {
		c, err := se.read()
		if err != nil {
			return
		}
		if hook := se.s.record(c); hook != nil {
			hook(c)
		} else {
			c.Default()
		}
		if c.Name == "LOGOUT" {
			return
		}
	}
}

var literal = regexp.MustCompile(`\{(\d+)(\+?)\}$`)

// readLine reads a command line, with its literals as quoted strings.
func (se *session) readLine() (string, error) {
	var line strings.Builder
	for {
		part, err := se.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		part = strings.TrimRight(part, "\r\n")
		m := literal.FindStringSubmatch(part)
		if m == nil {
			line.WriteString(part)
			return line.String(), nil
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return "", err
		}
		if m[2] == "" {
			se.printf("+ go on")
			se.flush()
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(se.in, text); err != nil {
			return "", err
		}
		line.WriteString(strings.TrimSuffix(part, m[0]))
		line.WriteString(`"` + escaper.Replace(string(text)) + `"`)
	}
}

func (se *session) read() (*Call, error) {
	line, err := se.readLine()
	if err != nil {
		return nil, err
	}
	tag, rest, _ := strings.Cut(line, " ")
	name, args, _ := strings.Cut(rest, " ")
	name = strings.ToUpper(name)
	if name == "UID" {
		var sub string
		sub, args, _ = strings.Cut(args, " ")
		name += " " + strings.ToUpper(sub)
	}
	return &Call{Name: name, Args: args, tag: tag, se: se}, nil
}

// tell brings the session's view up to date and says so. Called with the
// server's lock held.
func (se *session) tell() {
	for i := len(se.view) - 1; i >= 0; i-- {
		uid := se.view[i]
		if se.box.message(uid) == nil && se.box.gone[uid] != MailutilsGone {
			se.view = slices.Delete(se.view, i, i+1)
			se.printf("* %d EXPUNGE", i+1)
		}
	}
	known := len(se.view)
	for _, m := range se.box.messages {
		if !slices.Contains(se.view, m.uid) {
			se.view = append(se.view, m.uid)
		}
	}
	if len(se.view) > known {
		se.printf("* %d EXISTS", len(se.view))
	}
	se.flush()
}
