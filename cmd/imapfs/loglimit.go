package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A server that hangs up, changes its mind or complains without end must not fill
// the disk: what is not an error of ours is left out of the log where there is too
// much of it, and long values are cut.
const (
	logLines  = 200 // in each logWindow
	logWindow = 10 * time.Minute
	logOctets = 2000 // of one value
)

// limited is a log with no more than logLines lines in a logWindow. Errors, which
// are ours and few, are always written, and so is what --verbose asks for.
type limited struct {
	slog.Handler
	spent *spent
}

// spent is how much of the limit is used up. It is shared by handlers made of one.
type spent struct {
	now func() time.Time

	mu    sync.Mutex
	since time.Time
	lines int // in this window, those left out too
}

func newLimited(h slog.Handler) limited { return limited{h, &spent{now: time.Now}} }

// Handle writes a record unless there are too many.
func (l limited) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo || r.Level >= slog.LevelError {
		return l.Handler.Handle(ctx, r)
	}
	left, write, last := l.spent.line()
	if left > 0 {
		note := slog.NewRecord(r.Time, slog.LevelWarn, "lines were left out of the log", 0)
		note.AddAttrs(slog.Int("lines", left))
		if err := l.Handler.Handle(ctx, note); err != nil {
			return err
		}
	}
	if !write {
		return nil
	}
	if last {
		r = r.Clone()
		r.AddAttrs(slog.String("then", "no more lines for "+logWindow.String()))
	}
	return l.Handler.Handle(ctx, r)
}

// line counts a line: whether it is to be written, whether it is the last of its
// window, and how many were left out of the window before.
func (s *spent) line() (left int, write, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.since) >= logWindow {
		left = max(s.lines-logLines, 0)
		s.since, s.lines = now, 0
	}
	s.lines++
	return left, s.lines <= logLines, s.lines == logLines
}

// WithAttrs shares the limit.
func (l limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limited{l.Handler.WithAttrs(attrs), l.spent}
}

// WithGroup shares the limit.
func (l limited) WithGroup(name string) slog.Handler {
	return limited{l.Handler.WithGroup(name), l.spent}
}

// shortened cuts long values: a mailbox's name may have 64 KiB.
func shortened(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	default:
		return a
	}
	if len(text) <= logOctets {
		return a
	}
	return slog.String(a.Key, cut(text, logOctets))
}

// cut leaves the first n octets of a text, and says so where there were more.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(text[:n]) + "…"
}
