package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAServerCannotFillTheLog(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, slog.LevelInfo, &secrets{})
	h := log.Handler().(limited)
	now := time.Unix(1_700_000_000, 0)
	h.spent.now = func() time.Time { return now }
	for range 5 * logLines {
		log.Info("connection lost", "err", errors.New("\x1b[31m"+strings.Repeat("ä", 100_000)))
	}
	if n := strings.Count(out.String(), "\n"); n != logLines {
		t.Errorf("%d lines", n)
	}
	if out.Len() > logLines*(logOctets+400) {
		t.Errorf("%d octets", out.Len())
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Error("a control character of the server's is in the log")
	}
	log.Error("cannot unmount")
	if !strings.Contains(out.String(), "cannot unmount") {
		t.Error("an error was left out")
	}
	out.Reset()
	now = now.Add(logWindow)
	log.With("a", 1).WithGroup("g").Info("mounted")
	want := "lines were left out of the log"
	if s := out.String(); !strings.Contains(s, want) || !strings.Contains(s, fmt.Sprintf("lines=%d", 4*logLines)) || !strings.Contains(s, "mounted") {
		t.Errorf("%q", s)
	}
}

func TestVerboseIsNotLimited(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, slog.LevelDebug, &secrets{})
	for range 2 * logLines {
		log.Debug("look")
	}
	if n := strings.Count(out.String(), "\n"); n != 2*logLines {
		t.Errorf("%d lines", n)
	}
}
