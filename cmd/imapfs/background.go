package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// How the two processes of a background mount meet. The parent gives the
// child these two files and one JSON value on the first; the child answers
// with one line on the second, and closes it. A secret passes nowhere else.
const (
	handoverFD = 3
	verdictFD  = 4

	verdictMounted = "mounted"
	verdictError   = "error: "
	maxVerdict     = 64 << 10 // octets
)

// handover is what the parent tells the child.
type handover struct {
	Options  options
	Password string // empty: a command or a file will say
}

// background starts imapfs anew in a session of its own, and returns when the
// account is mounted there, or with the error that kept it from being.
// Interrupting it ends both.
func background(o *options, password string) error {
	log, err := openLog(o)
	if err != nil {
		return err
	}
	defer log.Close()
	handR, handW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("a pipe: %w (close some programs)", err)
	}
	defer handR.Close()
	defer handW.Close()
	sayR, sayW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("a pipe: %w (close some programs)", err)
	}
	defer sayR.Close()
	defer sayW.Close()

	at, err := mountEntry(o.MountPoint)
	if err != nil {
		return err
	}
	child := &exec.Cmd{
		Path: "/proc/self/exe",
		// For ps only: what counts goes through the pipe.
		Args:        []string{os.Args[0], "daemon", o.Account.String(), o.MountPoint},
		Dir:         "/",
		Stderr:      log, // for the log, and a panic if there is one
		ExtraFiles:  []*os.File{handR, sayW},
		SysProcAttr: &syscall.SysProcAttr{Setsid: !isAutomount(at)},
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		return fmt.Errorf("starting the background process: %w (use --foreground)", err)
	}
	handR.Close()
	sayW.Close()
	done := make(chan struct{})
	defer close(done)
	go func() { // ends with background
		select {
		case s := <-signals:
			child.Process.Signal(s)
		case <-done:
		}
	}()
	if err := json.NewEncoder(handW).Encode(handover{*o, password}); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("talking to the background process: %w (use --foreground)", err)
	}
	handW.Close()

	said, _ := bufio.NewReader(io.LimitReader(sayR, maxVerdict)).ReadString('\n')
	said = strings.TrimSuffix(said, "\n")
	if said == verdictMounted {
		return child.Process.Release()
	}
	waitErr := child.Wait()
	if text, ok := strings.CutPrefix(said, verdictError); ok {
		return errors.New(text)
	}
	if waitErr == nil {
		waitErr = errors.New("exit status 0")
	}
	return fmt.Errorf("the background process ended before it had mounted: %w (see %s)", waitErr, log.Name())
}

// isAutomount reports whether systemd mounts at an entry of the mount table when somebody looks.
// Then only its own process group, to which mount(8) and so imapfs belong, can see what lies
// there: all others wait for the mount. So who mounts leaves that group when it is mounted.
func isAutomount(at *mountinfo.Info) bool { return at != nil && at.FSType == "autofs" }

// leaveGroup makes this process the leader of a session, where it is not that already.
func leaveGroup() error {
	if sid, err := unix.Getsid(0); err == nil && sid == os.Getpid() {
		return nil
	}
	_, err := unix.Setsid()
	return err
}
