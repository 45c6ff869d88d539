package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// editor is a program that holds INBOX/1 open for appending and does what it is told.
type editor struct {
	in  io.Writer
	out *bufio.Scanner
}

func edit(t *testing.T, d *daemon) *editor {
	t.Helper()
	// No shell: that of a redirection is a close each time, and with it a commit.
	cmd := exec.Command("python3", "-c", `
import os, sys
f = os.open("INBOX/1", os.O_WRONLY | os.O_APPEND)
for word in sys.stdin:
    try:
        os.write(f, b"one more\r\n") if word == "write\n" else os.close(f)
        print("done", flush=True)
    except OSError as e:
        print(e.strerror, flush=True)
`)
	cmd.Dir = d.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &editor{in, bufio.NewScanner(out)}
}

// do has it write or close, and gives what came of it.
func (e *editor) do(t *testing.T, word string) string {
	t.Helper()
	fmt.Fprintln(e.in, word)
	if !e.out.Scan() {
		t.Fatalf("%s: no answer", word)
	}
	return e.out.Text()
}

// kill ends a daemon as no program should, and takes its mount away.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	d.cmd.Process.Kill()
	<-d.done
	if out, err := exec.Command("fusermount3", "-uz", d.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestACrashForgetsNoEdit kills the daemon while a message is edited. What was closed replaces
// the message when the next mount can reach the server; what was still being written never
// does, and is kept beside it.
func TestACrashForgetsNoEdit(t *testing.T) {
	needServers(t)
	was := writeText("m", "body")
	edited := was + "one more\r\n"
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	for _, c := range []struct {
		name  string
		fault func(p *imaptest.Proxy) // before it is closed; nil: it never is
		want  string
	}{
		{"while it is written", nil, was},
		{"when close could not ask", func(p *imaptest.Proxy) { p.Refuse(true); p.Cut() }, edited},
		// What was committed the next daemon would send by itself, before the message has its name.
		{"when close could not send", func(p *imaptest.Proxy) { p.Stall(true) }, edited},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
			server.Deliver(t, "INBOX", []byte(was), []byte(writeText("other", "body")))
			proxy := imaptest.NewProxy(t, server.Addr)
			home, url := t.TempDir(), "imap://"+server.User+"@"+proxy.Addr+"/"
			flags := []string{"--tls", "none", "--read-only=false", "--timeout", "3s"}
			d := startMount(t, t.TempDir(), home, url, server.Password, flags...)
			e := edit(t, d)
			if got := e.do(t, "write"); got != "done" {
				t.Fatal(got)
			}
			if c.fault != nil {
				c.fault(proxy)
				if got := e.do(t, "close"); got == "done" {
					t.Error("close says that the text has arrived")
				}
			}
			d.kill(t)
			proxy.Refuse(false)
			proxy.Cut() // before it flows again
			proxy.Stall(false)
			d = startMount(t, t.TempDir(), home, url, server.Password, flags...)
			defer d.stop(t)
			names := func() string {
				out, err := exec.Command("ls", d.path("INBOX")).CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				return strings.Join(strings.Fields(string(out)), " ")
			}
			// What may have arrived before it was cut is looked for over 30 s before it is sent again.
			deadline := time.Now().Add(90 * time.Second)
			for {
				var sums []string
				for _, m := range oracle(t, server.Addr, server.User, server.Password) {
					sums = append(sums, m.sum)
				}
				listed := names()
				if c.fault != nil && len(sums) == 2 && sums[1] == sum(c.want) && listed == "1 2" {
					break // it has the name that it had
				}
				if c.fault == nil && listed == "1 1-2 2" {
					if len(sums) != 2 || sums[0] != sum(was) {
						t.Errorf("the server has %q", sums)
					}
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the server has %q, %q are listed", sums, listed)
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
}

// TestACrashWithinARenameIsFollowedUp kills a daemon when the last octet of a text has gone out
// that a rename makes mail of: the next one finds out that the server has it.
func TestACrashWithinARenameIsFollowedUp(t *testing.T) {
	needServers(t)
	t.Parallel()
	server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
	a := account{server.Addr, server.User, server.Password}
	proxy := imaptest.NewProxy(t, server.Addr)
	home, url := t.TempDir(), "imap://"+a.user+"@"+proxy.Addr+"/"
	d := startMount(t, t.TempDir(), home, url, a.password, "--tls", "none")
	src := t.TempDir() + "/text"
	if err := os.WriteFile(src, []byte(writeText("m", strings.Repeat("body\r\n", 100))), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "cp", src, d.path("INBOX", ".new.part"))
	proxy.AtUpload(imaptest.Uploaded, 200, func() { d.cmd.Process.Kill() })
	if out, err := exec.Command("mv", d.path("INBOX", ".new.part"), d.path("INBOX", "new")).CombinedOutput(); err == nil {
		t.Errorf("mv says that it is done: %s", out)
	}
	d.kill(t)
	if owed, _ := spooled(t, home); len(owed) != 1 || owed[0].state != "unknown" && owed[0].state != "sending" {
		t.Fatalf("the spool holds %v, want one that was being sent", owed)
	}
	d = startMount(t, t.TempDir(), home, url, a.password, "--tls", "none")
	defer d.stop(t)
	wantNothingOwed(t, home)
	if got := heldIn(t, a, "INBOX"); len(got) != 1 {
		t.Errorf("the server has %d messages, want 1", len(got))
	}
}
