package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminalLimit is when a command at a terminal is given up.
const terminalLimit = 3 * time.Minute

// screen is what a terminal has shown.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// String is without carriage returns, be they the terminal's or those of mail.
func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.text.String(), "\r", "")
}

// atTerminal runs a command at a terminal of its own, types the password where it is asked for
// and nothing is echoed, and gives what the terminal has shown. Whoever holds the terminal when
// the command is over, such as a daemon, is an error.
func atTerminal(t testing.TB, cmd *exec.Cmd, password string) (shown string, err error) {
	t.Helper()
	person, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200}) // wide enough for the tables
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	var out screen
	closed := make(chan struct{})
	go func() { // ends when nobody has the other side any more, or person is closed
		defer close(closed)
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			out.Write(buf[:n])
			if err != nil { // EIO
				return
			}
		}
	}()
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	typed := false
	for deadline := time.Now().Add(terminalLimit); ; {
		select {
		case err := <-over:
			select {
			case <-closed:
			case <-time.After(time.Minute):
				return out.String(), fmt.Errorf("%v, and something has the terminal open still", err)
			}
			return out.String(), err
		case <-time.After(10 * time.Millisecond):
		}
		if !typed && strings.HasPrefix(out.String(), "Password for ") && !echoes(person) {
			typed = true
			fmt.Fprintln(person, password)
		}
		if time.Now().After(deadline) {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			return out.String(), fmt.Errorf("not over after %v: %v", terminalLimit, <-over)
		}
	}
}

// echoes reports whether a terminal shows what is typed.
func echoes(f *os.File) bool {
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err != nil || mode.Lflag&unix.ECHO != 0
}
