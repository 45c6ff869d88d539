package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"imapfs/imapconn/imaptest"
)

// TestNoMechanismShowsTheSecret mounts by each mechanism in the background, with a trace
// and all that a log can have, and looks for the password and the key in whatever others
// may get to see: the arguments and the environment of the daemon, the log, the trace,
// and the errors where the password is wrong.
func TestNoMechanismShowsTheSecret(t *testing.T) {
	t.Parallel()
	needServers(t)
	cert, key := imaptest.Certificate(t, "alice")
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{
		Mechanisms: "plain login scram-sha-1 scram-sha-256 cram-md5 external", ClientCA: cert,
	})
	s.Deliver(t, "INBOX", letter("one", 1_000))
	private, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	keyLine := strings.Split(string(private), "\n")[1]
	for mechanism, how := range map[string]string{
		"": "SCRAM-SHA-256", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-1": "SCRAM-SHA-1", "plain": "PLAIN",
		"login": "LOGIN", "cram-md5": "CRAM-MD5", "external": "EXTERNAL",
	} {
		t.Run(how+" "+mechanism, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mnt, home, trace := filepath.Join(dir, "mnt"), filepath.Join(dir, "home"), filepath.Join(dir, "trace")
			if err := os.Mkdir(mnt, 0o700); err != nil {
				t.Fatal(err)
			}
			mount := func(password string) result {
				args := []string{"XDG_STATE_HOME=" + home, passwordVar + "=" + password, "imapfs", "mount", "-v", "--trace", trace, "--ca-file", s.CertFile}
				if mechanism != "" {
					args = append(args, "--auth", mechanism)
				}
				if how == "EXTERNAL" {
					args = append(args, "--client-cert", cert, "--client-key", key)
				}
				return run(t, "env", append(args, "imaps://"+s.User+"@"+s.TLSAddr+"/", mnt)...)
			}
			look := func(secret string, seen map[string]string) {
				t.Helper()
				for where, text := range seen {
					if text == "" && where != "what was said" {
						t.Errorf("%s is empty", where)
					}
					if holds(text, secret) || strings.Contains(text, keyLine) {
						t.Errorf("%s holds the secret:\n%s", where, text)
					}
				}
			}
			file := func(name string) string {
				text, err := os.ReadFile(name)
				if err != nil {
					t.Error(err)
				}
				return string(text)
			}
			log := filepath.Join(home, "imapfs", s.User+"@127.0.0.1.log")

			const wrong = "not-the-password-of-alice"
			if how != "EXTERNAL" {
				r := mount(wrong)
				if r.status != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "AUTHENTICATIONFAILED") {
					t.Errorf("a wrong password: status %d, %s", r.status, r.stderr)
				}
				look(wrong, map[string]string{"what was said": r.stdout + r.stderr, "the log": file(log), "the trace": file(trace)})
				if n := strings.Count(file(trace), " > a"); n != 1 {
					t.Errorf("%d commands were sent:\n%s", n, file(trace))
				}
			}
			r := mount(s.Password)
			if r.status != 0 {
				t.Fatalf("status %d: %s", r.status, r.stderr)
			}
			ended := false
			t.Cleanup(func() {
				if !ended {
					run(t, "imapfs", "unmount", mnt)
				}
			})
			must(t, "cat", filepath.Join(mnt, "INBOX", "1"))
			pids := daemons(dir)
			if len(pids) != 1 {
				t.Fatalf("%d daemons", len(pids))
			}
			proc := filepath.Join("/proc", strconv.Itoa(pids[0]))
			look(s.Password, map[string]string{
				"the environment": file(filepath.Join(proc, "environ")), "the command line": file(filepath.Join(proc, "cmdline")),
				"what was said": r.stdout + r.stderr,
			})
			must(t, "imapfs", "unmount", mnt)
			ended = true
			look(s.Password, map[string]string{"the log": file(log), "the trace": file(trace)})
			command := " > a1 AUTHENTICATE " + how
			if how == "LOGIN" {
				command = " > a1 LOGIN"
			}
			if !strings.Contains(file(trace), command+" ") && !strings.Contains(file(trace), command+"\n") {
				t.Errorf("logged in otherwise:\n%s", file(trace))
			}
		})
	}
}

// TestAPinnedServerNeedsNoAuthority takes the pin from the error of a mount without
// one, as a user would.
func TestAPinnedServerNeedsNoAuthority(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	s.Deliver(t, "INBOX", letter("one", 1_000))
	mount := func(mnt string, flags ...string) result {
		args := append([]string{"XDG_STATE_HOME=" + t.TempDir(), passwordVar + "=" + s.Password, "imapfs", "mount"}, flags...)
		return run(t, "env", append(args, "imaps://"+s.User+"@"+s.TLSAddr+"/", mnt)...)
	}
	mnt := t.TempDir()
	r := mount(mnt)
	_, after, ok := strings.Cut(r.stderr, "certificate signed by unknown authority (use --ca-file, or --tls-pin ")
	pin, _, _ := strings.Cut(after, " ")
	if r.status != 1 || !ok || len(pin) != 64 {
		t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	other := strings.Repeat("ab", 32)
	if r := mount(mnt, "--tls-pin", other); r.status != 1 || !strings.Contains(r.stderr, "its SHA-256 is "+pin) || isMounted(t, mnt) {
		t.Errorf("status %d: %s", r.status, r.stderr)
	}
	if r := mount(mnt, "--tls-pin", other, "--tls-pin", strings.ToUpper(pin)); r.status != 0 {
		t.Fatalf("status %d: %s", r.status, r.stderr)
	}
	defer must(t, "imapfs", "unmount", mnt)
	if got := must(t, "cat", filepath.Join(mnt, "INBOX", "1")); len(got) != len(letter("one", 1_000)) {
		t.Errorf("%d octets", len(got))
	}
}
