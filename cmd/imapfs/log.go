package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// newLogger writes one line for each record to w, secrets blanked, not too many
// (loglimit.go), and takes in what the fuse package prints by package log.
func newLogger(w io.Writer, level slog.Level, s *secrets) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: shortened}
	if f, ok := w.(*os.File); ok && isJournal(f) {
		w, o.ReplaceAttr = journal{w}, withoutTime
	}
	text := slog.NewTextHandler(blanked{w, s}, o)
	logger := slog.New(newLimited(text))
	slog.SetDefault(logger)
	return logger
}

// isJournal reports whether f is the journal of systemd, which notes times itself.
func isJournal(f *os.File) bool {
	st, err := f.Stat()
	if err != nil {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", sys.Dev, sys.Ino)
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return shortened(groups, a)
}

// priorityError is what a line for the journal begins with that says what is wrong.
const priorityError = "<3>"

// journal begins each line with its priority, as sd-daemon(3) has it.
type journal struct{ w io.Writer }

func (j journal) Write(line []byte) (int, error) {
	priority := "<6>"
	for level, p := range map[string]string{"ERROR": priorityError, "WARN": "<4>", "DEBUG": "<7>"} {
		if bytes.HasPrefix(line, []byte("level="+level)) {
			priority = p
		}
	}
	if _, err := io.WriteString(j.w, priority+string(line)); err != nil { // in one piece
		return 0, err
	}
	return len(line), nil
}

// level is from where on a mount logs.
func (o *options) level() slog.Level {
	if o.Verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// openLog opens --log-file, or the account's own log: a file of mode 0600 in
// a directory of mode 0700, added to.
func openLog(o *options) (*os.File, error) {
	name := o.LogFile
	if name == "" {
		dir, err := stateDir()
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("the log: %w (name another place with --log-file)", err)
		}
		name = filepath.Join(dir, logName(o.name()))
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the log: %w (name another place with --log-file)", err)
	}
	return f, nil
}

// stateDir is $XDG_STATE_HOME/imapfs, where that is not set or not absolute
// ~/.local/state/imapfs.
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "imapfs"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", errors.New("the log: neither $XDG_STATE_HOME nor $HOME is set (set one, or name a place with --log-file)")
	}
	return filepath.Join(home, ".local", "state", "imapfs"), nil
}

// logName is the file name of an account's log: what could lead elsewhere, or
// hide the file, is written %XX.
func logName(account string) string {
	const longest = 200 // octets; a name has 255
	name := escape(account, "@+ ")
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	if len(name) > longest {
		name = name[:longest]
	}
	return name + ".log"
}

// openTrace makes the file of --trace anew, for its owner alone: it holds mail.
func openTrace(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--trace: %w (name a file that you can write)", err)
	}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		if err := f.Chmod(0o600); err != nil {
			f.Close()
			return nil, fmt.Errorf("--trace: %w (name a file of your own)", err)
		}
	}
	return f, nil
}
