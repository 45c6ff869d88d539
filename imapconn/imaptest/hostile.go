package imaptest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Hostile is a server whose misbehaviour is a program: octets, as a fuzzer makes
// them. An octet of 0, and the end of the program, mean that it is honest; all
// others, at each command, have it lie in the grammar of IMAP (hostileprogram.go).
// A program is in parts, ended by 0xff; connections play them in turn.
//
// Its texts say what they are, over and over: the mailbox, the UIDVALIDITY that
// was said of it, and the UID of the very answer that bears them (HostileText). So
// whatever it lies about, a text must be found under its own name.
//
// It listens nowhere: Dial makes a pipe, so that it can live in a bubble of
// testing/synctest.
type Hostile struct {
	mu      sync.Mutex // guards what follows
	parts   [][]byte
	conns   []net.Conn
	closed  bool
	model   *hostileModel
	forged  bool
	renumb  bool
	partial bool
	said    map[uint32]bool
	written int64

	group sync.WaitGroup
}

// NewHostile makes a server that plays program.
func NewHostile(program []byte) *Hostile {
	return &Hostile{parts: bytes.Split(program, []byte{0xff}), model: newHostileModel(), said: make(map[uint32]bool)}
}

// Dial makes a connection; it has the form of imapconn.Dialer.DialContext.
func (h *Hostile) Dial(context.Context, string, string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errors.New("the hostile server is closed")
	}
	near, far := net.Pipe()
	s := &hostileSession{h: h, conn: far, in: bufio.NewReader(far), steps: steps{h.parts[len(h.conns)%len(h.parts)]}}
	h.conns = append(h.conns, far)
	h.group.Go(func() {
		defer far.Close()
		s.serve()
	})
	return near, nil
}

// Close ends all connections and waits for what served them.
func (h *Hostile) Close() {
	h.mu.Lock()
	h.closed = true
	for _, c := range h.conns {
		c.Close()
	}
	h.mu.Unlock()
	h.group.Wait()
}

// Written is how many octets were sent, over how many connections.
func (h *Hostile) Written() (octets int64, connections int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.written, len(h.conns)
}

// Forged reports whether the program sent octets as they are, out of which any
// answer could have been made: then texts prove nothing.
func (h *Hostile) Forged() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.forged
}

// Renumbered reports whether it lied about message numbers, by which alone
// RFC 1730 binds the answer to PARTIAL.
func (h *Hostile) Renumbered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.renumb
}

// AskedPartial reports whether the client used PARTIAL.
func (h *Hostile) AskedPartial() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.partial
}

// Said reports whether it ever named this UIDVALIDITY at an EXAMINE.
func (h *Hostile) Said(validity uint32) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said[validity]
}

// HostileText is the unit of which the text of a message consists. mailbox is the
// name on the wire. It may stand in a quoted string.
func HostileText(mailbox string, validity, uid uint32) string {
	plain := []byte(mailbox)
	for i, b := range plain {
		if b <= ' ' || b >= 0x7f || b == '"' || b == '\\' {
			plain[i] = '_'
		}
	}
	return fmt.Sprintf("Zq:%s:%d:%d|", plain, validity, uid)
}

// hostileSession is one connection.
type hostileSession struct {
	h     *Hostile
	conn  net.Conn
	in    *bufio.Reader
	steps steps

	box      *hostileBox
	name     string   // of the box, as the client called it
	validity uint32   // as it was said at the EXAMINE
	view     []uint32 // the UIDs by number
	chop     bool     // one octet a packet

	condstore, qresync bool
}

var errHostileEnd = errors.New("the session is over")

func (s *hostileSession) serve() {
	if s.answer(&hostileAnswer{lines: []hostileLine{{line: "* OK [CAPABILITY " + s.caps() + "] at your service"}}}) != nil {
		return
	}
	for {
		line, err := s.command()
		if err != nil {
			return
		}
		tag, rest, _ := strings.Cut(line, " ")
		if err := s.answer(s.honest(tag, rest)); err != nil {
			return
		}
	}
}

// command reads a command; its literals stand in it as quoted strings do.
func (s *hostileSession) command() (string, error) {
	var all strings.Builder
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		i := strings.LastIndexByte(line, '{')
		if i < 0 || !strings.HasSuffix(line, "}") {
			all.WriteString(line)
			return all.String(), nil
		}
		size := strings.TrimSuffix(line[i+1:], "}")
		n, err := strconv.ParseUint(strings.TrimSuffix(size, "+"), 10, 16)
		if err != nil {
			return "", err
		}
		if !strings.HasSuffix(size, "+") {
			if err := s.write([]byte("+ go on\r\n")); err != nil {
				return "", err
			}
		}
		literal := make([]byte, n)
		if _, err := io.ReadFull(s.in, literal); err != nil {
			return "", err
		}
		all.WriteString(line[:i] + `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(literal)) + `"`)
	}
}

// hostileChopped is how much of an answer goes out octet by octet.
const hostileChopped = 2000

func (s *hostileSession) write(p []byte) error {
	s.h.mu.Lock()
	s.h.written += int64(len(p))
	s.h.mu.Unlock()
	if s.chop {
		for i := range p[:min(len(p), hostileChopped)] {
			if _, err := s.conn.Write(p[i : i+1]); err != nil {
				return err
			}
		}
		p = p[min(len(p), hostileChopped):]
	}
	_, err := s.conn.Write(p)
	return err
}

// answer lets the program have its way with an honest answer and sends it.
func (s *hostileSession) answer(a *hostileAnswer) error {
	s.h.mu.Lock()
	s.mutate(a)
	out := a.render(s)
	s.h.mu.Unlock()
	if a.cut > 0 && a.cut < len(out) {
		out = out[:a.cut]
	}
	if err := s.write(out); err != nil {
		return err
	}
	switch {
	case a.cut > 0, a.bye:
		return errHostileEnd
	case a.silent:
		_, err := io.Copy(io.Discard, s.in) // until the client has had enough
		return errors.Join(errHostileEnd, err)
	}
	return nil
}
