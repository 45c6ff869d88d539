package imaptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// Transcript is a server that says what a text file has it say. Its lines:
//
//	# a remark
//	= one                 a text, the lines that begin with | and a space; CRLF is added
//	| Subject: x
//	C: UID FETCH 1        a command that begins so, without its tag
//	S: * 1 FETCH (UID 1 RFC822.SIZE #one# BODY[] {one})
//	S: $ OK done
//	X: cut                the connection ends; chop: from here on, in packets of one octet;
//	                      line: a line of the client's is read
//	E: uids INBOX 1       what a client must make of it; the test's own
//
// What stands before the first C is the greeting. In S, $ is the tag, #one# the
// octets of a text, {one} a literal with it, and \x1b and the like are octets. A
// command is answered by the first C of its connection that fits and has not been
// used; when all have, by the last. Without any, NOOP is OK, LOGOUT ends, IDLE
// waits for DONE, and the rest is BAD.
type Transcript struct {
	Addr   string
	Texts  map[string]string
	Expect []string // the lines after E:

	blocks   []transcriptBlock
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex // guards what follows
	conns  []net.Conn
	closed bool
}

type transcriptBlock struct {
	command string // "": the greeting
	lines   []transcriptLine
}

// transcriptLine is what is sent, with $ in it, or what is done.
type transcriptLine struct{ send, do string }

// NewTranscript starts a server that plays a transcript to each connection. It
// ends with the test.
func NewTranscript(tb TB, file string) *Transcript {
	tb.Helper()
	s := &Transcript{Texts: make(map[string]string), blocks: make([]transcriptBlock, 1)}
	if err := s.parse(file); err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.listener, s.Addr = l, l.Addr().String()
	s.wg.Add(1)
	go s.accept()
	tb.Cleanup(s.close)
	return s
}

func (s *Transcript) parse(file string) error {
	text := ""
	for i, line := range strings.Split(file, "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		last := &s.blocks[len(s.blocks)-1]
		switch mark {
		case "", "#":
		case "=":
			text = rest
			s.Texts[text] = ""
		case "|":
			s.Texts[text] += rest + "\r\n"
		case "C:":
			s.blocks = append(s.blocks, transcriptBlock{command: rest})
		case "S:":
			send, err := s.filled(rest)
			if err != nil {
				return fmt.Errorf("line %d: %w", i+1, err)
			}
			last.lines = append(last.lines, transcriptLine{send: send + "\r\n"})
		case "X:":
			last.lines = append(last.lines, transcriptLine{do: rest})
		case "E:":
			s.Expect = append(s.Expect, rest)
		default:
			return fmt.Errorf("line %d: %q is no line of a transcript", i+1, line)
		}
	}
	return nil
}

// filled puts texts and octets into a line.
func (s *Transcript) filled(line string) (string, error) {
	for name, text := range s.Texts {
		line = strings.ReplaceAll(line, "#"+name+"#", fmt.Sprint(len(text)))
		line = strings.ReplaceAll(line, "{"+name+"}", fmt.Sprintf("{%d}\r\n%s", len(text), text))
	}
	for {
		before, after, found := strings.Cut(line, `\x`)
		if !found {
			return line, nil
		}
		var b byte
		if _, err := fmt.Sscanf(after, "%2x", &b); err != nil {
			return "", fmt.Errorf("%q: %w", after, err)
		}
		line = before + string([]byte{b}) + after[2:]
	}
}

func (s *Transcript) accept() {
	defer s.wg.Done()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		if s.closed {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			defer c.Close()
			(&transcriptSession{s: s, conn: c, in: bufio.NewReader(c), used: make(map[int]bool)}).serve()
		}()
	}
}

func (s *Transcript) close() {
	s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// transcriptSession is one connection.
type transcriptSession struct {
	s    *Transcript
	conn net.Conn
	in   *bufio.Reader
	used map[int]bool // by place in blocks
	chop bool
}

func (t *transcriptSession) serve() {
	if !t.play(t.s.blocks[0].lines, "") {
		return
	}
	for {
		line, err := t.in.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if !t.play(t.answer(command), tag) || strings.HasPrefix(command, "LOGOUT") {
			return
		}
		if strings.HasPrefix(command, "IDLE") {
			if line, err := t.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "DONE") {
				return
			}
			t.write(tag + " OK idled\r\n")
		}
	}
}

// answer finds what is said to a command.
func (t *transcriptSession) answer(command string) []transcriptLine {
	found := -1
	for i, b := range t.s.blocks {
		if b.command != "" && strings.HasPrefix(command, b.command) {
			if found = i; !t.used[i] {
				break
			}
		}
	}
	if found >= 0 {
		t.used[found] = true
		return t.s.blocks[found].lines
	}
	switch command {
	case "NOOP":
		return []transcriptLine{{send: "$ OK nothing\r\n"}}
	case "IDLE":
		return []transcriptLine{{send: "+ idling\r\n"}}
	case "LOGOUT":
		return []transcriptLine{{send: "* BYE bye\r\n"}, {send: "$ OK bye\r\n"}}
	}
	return []transcriptLine{{send: "$ BAD not in the transcript: " + command + "\r\n"}}
}

// play says lines; it reports whether the connection goes on.
func (t *transcriptSession) play(lines []transcriptLine, tag string) bool {
	for _, l := range lines {
		switch l.do {
		case "":
			send := l.send
			if rest, ok := strings.CutPrefix(send, "$"); ok {
				send = tag + rest
			}
			if !t.write(send) {
				return false
			}
		case "chop":
			t.chop = true
		case "line":
			if _, err := t.in.ReadString('\n'); err != nil {
				return false
			}
		case "cut":
			return false
		}
	}
	return true
}

func (t *transcriptSession) write(text string) bool {
	if !t.chop {
		_, err := io.WriteString(t.conn, text)
		return err == nil
	}
	for i := range len(text) {
		if _, err := t.conn.Write([]byte{text[i]}); err != nil {
			return false
		}
	}
	return true
}
