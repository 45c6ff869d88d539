package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFirstLineIsTheSecret(t *testing.T) {
	for in, want := range map[string]string{
		"secret\n": "secret", "secret": "secret", "secret\r\nuser: alice\n": "secret",
		" spaced \n": " spaced ", "\tx\n": "\tx", "pässwört\n": "pässwört",
	} {
		if got, err := firstLine(strings.NewReader(in)); err != nil || got != want {
			t.Errorf("firstLine(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\n", "\r\n", "a\x00b\n", "a\rb\n", strings.Repeat("x", maxSecret+5)} {
		if got, err := firstLine(strings.NewReader(in)); err == nil {
			t.Errorf("firstLine(%.20q) = %.20q", in, got)
		}
	}
}

// The command is asked at each login, so that a token that ran out is renewed.
func TestCommandRunsAtEachLogin(t *testing.T) {
	dir := t.TempDir()
	s := newSecrets(&options{TokenCommand: "echo x >>n; wc -l <n", Account: accountURL{User: "alice"}, Dir: dir}, "")
	for i := range 3 {
		c, err := s.credentials(t.Context())
		if want := strconv.Itoa(i + 1); err != nil || c.Token != want || c.Password != "" || c.User != "alice" {
			t.Fatalf("login %d: token %q, password %q, %v", i+1, c.Token, c.Password, err)
		}
	}
}

func TestPasswordFileIsReadAtEachLogin(t *testing.T) {
	name := filepath.Join(t.TempDir(), "password")
	s := newSecrets(&options{PasswordFile: name}, "")
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(name, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := s.credentials(t.Context()); err != nil || c.Password != want {
			t.Fatalf("%q, %v; want %q", c.Password, err, want)
		}
	}
}

func TestPasswordFileForOthersIsRefused(t *testing.T) {
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o644: false, 0o602: false} {
		name := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(name, []byte("secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := readPasswordFile(name); (err == nil) != good {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

// A command that waits for ever is given up with everything that it started.
func TestCommandIsGivenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	start := time.Now()
	_, err := runForSecret(ctx, "--password-command", "sleep 60 & echo $! >pid; wait", dir)
	if took := time.Since(start); err == nil || took > 30*time.Second {
		t.Fatalf("%v after %v", err, took)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); isRunning(pid); {
		if time.Now().After(deadline) {
			t.Fatal("what the command started still runs")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// isRunning is false for a zombie, too: who inherits it may be slow to reap.
func isRunning(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) && !bytes.Contains(stat, []byte(") Z "))
}

// What a command leaves in the background does not keep the login waiting.
func TestCommandMayLeaveADaemon(t *testing.T) {
	start := time.Now()
	got, err := runForSecret(t.Context(), "--password-command", "sleep 20 & echo secret", t.TempDir())
	if err != nil || got != "secret" {
		t.Fatalf("%q, %v", got, err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Fatalf("took %v", took)
	}
}

func TestCommandDoesNotInheritThePassword(t *testing.T) {
	t.Setenv(passwordVar, "hunter2")
	o := &options{PasswordCommand: "echo ${" + passwordVar + "-none}"}
	if p, err := obtain(o); p != "" || err != nil {
		t.Fatalf("%q, %v", p, err)
	}
	if c, err := newSecrets(o, "").credentials(t.Context()); err != nil || c.Password != "none" {
		t.Fatalf("%q, %v", c.Password, err)
	}
}

func TestLogHoldsNoSecret(t *testing.T) {
	const password, token = `pass"word\1`, "ya29.token"
	s := newSecrets(&options{TokenCommand: "echo " + token}, password)
	if _, err := s.credentials(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	log := newLogger(&out, slog.LevelDebug, s)
	log.Error("login refused: "+password, "text", "NO "+password+" is wrong", "token", token)
	for _, secret := range []string{password, token, "pass", "word"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is in %s", secret, &out)
		}
	}
	if !strings.Contains(out.String(), "is wrong") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("not the line that was logged: %s", &out)
	}
}
