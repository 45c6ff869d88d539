package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// tunnelGrace is how long a command has to end after SIGTERM, and how long after its
	// end its stderr is read where it has left that to somebody.
	tunnelGrace = 2 * time.Second

	// tunnelLine bounds a line of a command's stderr, in octets.
	tunnelLine = 500
)

// tunnel makes connections of a command: its stdin and stdout are one (--tunnel).
type tunnel struct {
	command string
	dir     string // where it runs
	log     *slog.Logger

	group sync.WaitGroup // of those who look after the commands
}

// dial starts the command once more, by sh, in a process group of its own. The group
// ends with the connection; ctx is not looked at, as nothing is waited for.
func (t *tunnel) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs, err := connectedPair()
	if err != nil {
		return nil, fmt.Errorf("--tunnel: a socket: %w (close some programs)", err)
	}
	defer theirs.Close()
	errs, theirErrs, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("--tunnel: a pipe: %w (close some programs)", err)
	}
	defer theirErrs.Close()
	cmd := exec.Command("/bin/sh", "-c", t.command)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = t.dir, theirs, theirs, theirErrs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		errs.Close()
		return nil, fmt.Errorf("--tunnel: %w (is there a /bin/sh?)", err)
	}
	c := &tunnelConn{Conn: ours, closed: make(chan struct{}), ended: make(chan struct{})}
	t.group.Go(func() { c.lookAfter(cmd, errs, &lastWords{log: t.log}) })
	return c, nil
}

// wait returns when the commands of all connections that were closed are gone.
func (t *tunnel) wait() { t.group.Wait() }

// connectedPair is a socket and its other end, which is for a command. Unlike two
// pipes it takes deadlines both ways.
func connectedPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	near := os.NewFile(uintptr(fds[0]), "tunnel")
	defer near.Close() // FileConn has a copy
	theirs = os.NewFile(uintptr(fds[1]), "tunnel's command")
	if ours, err = net.FileConn(near); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// tunnelConn is a connection by a command.
type tunnelConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{} // closed by Close
	ended  chan struct{} // closed when the command has ended, and err is set
	err    error         // how it ended, if not well
}

// Close ends the connection and has its command ended; it does not wait for that.
func (c *tunnelConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Read says at the end how the command ended.
func (c *tunnelConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.explained(err)
}

// Write is as Read.
func (c *tunnelConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explained(err)
}

// explained puts the command's end in the place of the socket's, if it failed. Who has
// closed its stdout is about to end.
func (c *tunnelConn) explained(err error) error {
	if err == nil || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	patience := time.NewTimer(2 * tunnelGrace)
	defer patience.Stop()
	select {
	case <-c.ended:
		if c.err != nil {
			return c.err
		}
	case <-c.closed:
	case <-patience.C:
	}
	return err
}

// lookAfter waits for the end of the command or the connection, and ends what is left
// of both.
func (c *tunnelConn) lookAfter(cmd *exec.Cmd, errs *os.File, said *lastWords) {
	group := -cmd.Process.Pid
	exited, read := make(chan error, 1), make(chan struct{})
	go func() { exited <- cmd.Wait() }() // received below, as is the next
	go func() {
		defer close(read)
		io.Copy(said, errs)
	}()
	var err error
	select {
	case err = <-exited:
	case <-c.closed:
		syscall.Kill(group, syscall.SIGTERM)
		grace := time.NewTimer(tunnelGrace)
		defer grace.Stop()
		select {
		case err = <-exited:
		case <-grace.C:
			syscall.Kill(group, syscall.SIGKILL)
			err = <-exited
		}
	}
	syscall.Kill(group, syscall.SIGKILL) // what it has left behind keeps the number
	errs.SetReadDeadline(time.Now().Add(tunnelGrace))
	<-read
	errs.Close()
	if err != nil {
		c.err = fmt.Errorf("the --tunnel command has failed: %w%s", err, said.last())
	}
	close(c.ended)
}

// lastWords writes the lines of a command's stderr to the log and remembers the last.
// Only one goroutine uses it at a time.
type lastWords struct {
	log  *slog.Logger
	line []byte // not ended yet
	text string // the last that was
}

// Write takes what comes, and never fails: the command is not to end by it.
func (w *lastWords) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece, after, ended := bytes.Cut(rest, []byte("\n"))
		w.line = append(w.line, piece[:min(len(piece), tunnelLine-len(w.line))]...)
		if ended {
			w.end()
		}
		rest = after
	}
	return len(p), nil
}

// end ends a line.
func (w *lastWords) end() {
	if text := oneLine(string(w.line)); text != "" {
		w.text = text
		w.log.Info("the --tunnel command says", "line", text)
	}
	w.line = w.line[:0]
}

// last is the last line as the end of an error.
func (w *lastWords) last() string {
	w.end()
	if w.text == "" {
		return ""
	}
	return ": " + w.text
}
