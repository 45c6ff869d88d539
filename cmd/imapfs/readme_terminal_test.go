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

	"golang.org/x/sys/unix"
)

// terminalLimit is when a command at a terminal is given up.
const terminalLimit = 3 * time.Minute

// openTerminal makes a pseudo-terminal, wide enough for the tables: person is the side at which
// somebody types and reads, program the other.
func openTerminal(t testing.TB) (person, program *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("/dev/ptmx: %v", err)
	}
	person = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}); err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}

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
	person, program := openTerminal(t)
	defer person.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	program.Close()
	if err != nil {
		t.Fatal(err)
	}
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
