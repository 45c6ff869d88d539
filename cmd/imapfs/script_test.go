package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"imapfs/imapconn/imaptest"
)

// TestScripts runs the files of testdata/script against one Dovecot that
// speaks TLS and STARTTLS, one in-memory server that speaks neither, and one more
// with the sample mail.
func TestScripts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		return
	}
	dovecot := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	dovecot.Deliver(t, "INBOX", []byte("Subject: the invoice\r\n\r\npay me\r\n"), []byte("Subject: two\r\n\r\nhello\r\n"))
	dovecot.Deliver(t, "Archive/2023", []byte("Subject: old\r\n\r\nlong ago\r\n"))
	memory, err := imaptest.NewMemory(imaptest.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close() })
	sample, err := sampleServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sample.Close() })
	if err := sample.Create("Empty"); err != nil {
		t.Fatal(err)
	}
	samples := account{sample.Addr, sample.User, sample.Password}
	written := account{memory.Addr, memory.User, memory.Password}
	imapfs, err := exec.LookPath("imapfs")
	if err != nil {
		t.Fatal(err)
	}
	closed := closedPort(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("XDG_RUNTIME_DIR", filepath.Join(env.WorkDir, "run"))
			env.Setenv("BIN", filepath.Dir(imapfs))
			env.Setenv("LOGIN", dovecot.User)
			env.Setenv("CERT", dovecot.CertFile)
			env.Setenv("PLAIN", port(t, dovecot.Addr))
			env.Setenv("TLS", port(t, dovecot.TLSAddr))
			env.Setenv("NOTLS", port(t, memory.Addr))
			env.Setenv("NOTLSLOGIN", memory.User)
			env.Setenv("SAMPLE", port(t, sample.Addr))
			env.Setenv("SAMPLELOGIN", sample.User)
			env.Setenv("CLOSED", closed)
			env.Values[secretsKey{}] = map[string]string{
				"dovecot": dovecot.Password, "memory": memory.Password, "wrong": "hunter2",
			}
			env.Defer(func() { cleanUp(t, env.WorkDir) })
			err := os.WriteFile(filepath.Join(env.WorkDir, "secret"), []byte(dovecot.Password+"\n"), 0o600)
			return errors.Join(err, os.Mkdir(filepath.Join(env.WorkDir, "mnt"), 0o700), os.Mkdir(filepath.Join(env.WorkDir, "run"), 0o700))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"complains": cmdComplains,
			"secretless": func(ts *testscript.TestScript, _ bool, files []string) {
				for _, f := range files {
					secretless(ts, f, ts.ReadFile(f))
				}
			},
			// password dovecot|memory|wrong. The environment has it under its
			// one name only: what a daemon must not show is looked for there.
			"password": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(passwordVar, secretsOf(ts)[args[0]])
			},
			"mounted": cmdMounted,
			"logged":  cmdLogged,
			"daemon":  cmdDaemon,
			"mode":    cmdMode,
			// flags FILE: what flags the messages of the sample INBOX have, as the server tells.
			"flags": func(ts *testscript.TestScript, _ bool, args []string) {
				var lines strings.Builder
				for _, m := range oracle(t, samples.addr, samples.user, samples.password) {
					if m.mailbox == "INBOX" {
						fmt.Fprintln(&lines, m.uid, m.flags)
					}
				}
				if !strings.Contains(lines.String(), `\flagged`) { // in lower case, as this server has it
					ts.Fatalf("no message of INBOX is flagged:\n%s", lines.String())
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(lines.String()), 0o600))
			},
			// needs PROGRAM PACKAGE: what the script runs is on its PATH.
			"needs": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
					if _, err := exec.LookPath(filepath.Join(dir, args[0])); err == nil {
						return
					}
				}
				ts.Fatalf("%s is missing: install %s (make deps)", args[0], args[1])
			},
			"full":  full(t),
			"plain": plain(t),
			// letters MAILBOX: it is made, on the server without TLS, with three messages, and
			// $SRC with the files that programs write, as for TestWritesOnServers.
			"letters": func(ts *testscript.TestScript, _ bool, args []string) {
				fillWritten(newAnotherClient(t, written), args[0], "")
				ts.Setenv("SRC", writeSources(t))
			},
			// holds MAILBOX MESSAGE...: that is what another client finds there, each once.
			"holds": func(ts *testscript.TestScript, _ bool, args []string) {
				if wrong := compareWritten(writtenIn(t, written)[args[0]], args[1:]); wrong != "" {
					ts.Fatalf("%s: %s", args[0], wrong)
				}
			},
			// store MAILBOX UID HOW FLAGS: another client changes flags of the sample mail.
			"store": func(ts *testscript.TestScript, _ bool, args []string) {
				newAnotherClient(t, samples).do("store", args[0], args[1], args[2], args[3])
			},
		},
	})
}

func port(t *testing.T, addr string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// closedPort is one that nobody listens at, for as long as the system gives
// it to nobody else.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return port(t, l.Addr().String())
}

// cleanUp takes away every mount and process that a script left below dir.
func cleanUp(t *testing.T, dir string) {
	for _, pid := range daemons(dir) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Error(err)
	}
	for _, m := range left {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
			exec.Command("fusermount3", "-uz", m.Mountpoint).Run()
		}
	}
}

// cmdComplains wants what the last command wrote to stderr to be one line in
// the form that main.go promises, to match a pattern, and to hold no secret.
func cmdComplains(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile("stderr")
	line, rest, _ := strings.Cut(text, "\n")
	if rest != "" || !strings.HasPrefix(line, "imapfs: ") || !strings.HasSuffix(line, ")") {
		ts.Fatalf("not one line that says what is wrong (and what to do):\n%s", text)
	}
	if ts.ReadFile("stdout") != "" {
		ts.Fatalf("something on stdout, too")
	}
	for _, pattern := range args {
		if !regexp.MustCompile(pattern).MatchString(line) {
			ts.Fatalf("no match for %q in %q", pattern, line)
		}
	}
	secretless(ts, "stderr", text)
}

// secretsKey is where a script's environment keeps the passwords that it uses.
type secretsKey struct{}

func secretsOf(ts *testscript.TestScript) map[string]string {
	return ts.Value(secretsKey{}).(map[string]string)
}

// secretless looks for the passwords as they are, and as AUTHENTICATE sends them.
func secretless(ts *testscript.TestScript, where, text string) {
	for _, secret := range secretsOf(ts) {
		forms := []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))}
		for _, login := range []string{ts.Getenv("LOGIN"), ts.Getenv("NOTLSLOGIN")} {
			forms = append(forms, base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+secret)))
		}
		for _, form := range forms {
			if strings.Contains(text, form) {
				ts.Fatalf("%s holds the secret %q", where, form)
			}
		}
	}
}

// cmdMounted DIR wants an account to be mounted there.
func cmdMounted(ts *testscript.TestScript, neg bool, args []string) {
	m, err := mountEntry(ts.MkAbs(args[0]))
	ts.Check(err)
	if (m != nil) == neg {
		ts.Fatalf("%s: mounted is %v", args[0], m != nil)
	}
}

// cmdLogged PATTERN waits until the log of the Dovecot account has a line like it.
func cmdLogged(ts *testscript.TestScript, _ bool, args []string) {
	name := filepath.Join(ts.Getenv("XDG_STATE_HOME"), "imapfs", ts.Getenv("LOGIN")+"@127.0.0.1.log")
	pattern := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(name)
		ts.Check(err)
		if pattern.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no match for %q in the log:\n%s", args[0], text)
		}
	}
}

// cmdMode MODE FILE wants these permissions.
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	st, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", st.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s", args[1], got)
	}
}

// cmdDaemon is about the background processes of the script: "daemon runs"
// wants one, "daemon ends" waits until there is none, "daemon secretless" looks
// at what others could see of it, and "daemon SIGNAL" sends one.
func cmdDaemon(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.Getenv("WORK")
	pids := daemons(dir)
	if args[0] == "ends" {
		for deadline := time.Now().Add(time.Minute); len(pids) > 0; pids = daemons(dir) {
			if time.Now().After(deadline) {
				ts.Fatalf("processes that do not end: %v", pids)
			}
			time.Sleep(10 * time.Millisecond)
		}
		return
	}
	if len(pids) != 1 {
		ts.Fatalf("%d background processes", len(pids))
	}
	switch args[0] {
	case "runs":
	case "secretless":
		for _, f := range []string{"environ", "cmdline"} {
			name := filepath.Join("/proc", strconv.Itoa(pids[0]), f)
			text, err := os.ReadFile(name)
			ts.Check(err)
			if len(text) == 0 {
				ts.Fatalf("%s is empty", name)
			}
			secretless(ts, name, string(text))
		}
	default:
		ts.Check(syscall.Kill(pids[0], unix.SignalNum("SIG"+args[0])))
	}
}

// daemons are the background processes with a mount point below dir.
func daemons(dir string) (pids []int) {
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	for _, name := range cmdlines {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		args := strings.Split(string(text), "\x00")
		if len(args) > 3 && args[1] == "daemon" && strings.HasPrefix(args[3], dir+"/") {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
