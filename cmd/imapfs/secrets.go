package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"imapfs/imapconn"
)

const (
	// passwordVar is taken out of the environment as soon as it is read, so
	// that no program we start has it.
	passwordVar = "IMAPFS_PASSWORD"

	// commandLimit bounds a --password-command or --token-command: long
	// enough to type a passphrase, short enough not to hang a redial.
	commandLimit = time.Minute

	// maxSecret bounds a password or token, in octets.
	maxSecret = 16 << 10

	// minBlanked is the length from which a secret is looked for in what is
	// about to be written; blanking every "a" hides nothing.
	minBlanked = 4
)

// secrets answers the question for a password or token at each login, and
// knows the answers again, so that they can be kept out of messages.
type secrets struct {
	user            string
	password        string // fixed; empty: by one of those below
	passwordCommand string
	passwordFile    string
	tokenCommand    string
	keyring         string // the account's name there; empty: it is not asked
	dir             string // where the commands run

	mu    sync.Mutex // guards given; held for no longer than looking at it
	given []string
}

func newSecrets(o *options, password string) *secrets {
	s := &secrets{
		user: o.Account.User, password: password,
		passwordCommand: o.PasswordCommand, passwordFile: o.PasswordFile, tokenCommand: o.TokenCommand,
		dir: o.Dir,
	}
	if o.Keyring {
		s.keyring = o.name()
	}
	s.remember(password)
	return s
}

// credentials is imapconn.Dialer's question, asked at each connect: a token
// that has run out, or a password that was changed, is had anew.
func (s *secrets) credentials(ctx context.Context) (imapconn.Credentials, error) {
	c := imapconn.Credentials{User: s.user}
	var err error
	switch {
	case s.tokenCommand != "":
		c.Token, err = runForSecret(ctx, "--token-command", s.tokenCommand, s.dir)
	case s.passwordCommand != "":
		c.Password, err = runForSecret(ctx, "--password-command", s.passwordCommand, s.dir)
	case s.keyring != "":
		c.Password, err = keyringPassword(ctx, s.keyring)
	case s.passwordFile != "" && s.password == "":
		c.Password, err = readPasswordFile(s.passwordFile)
	default:
		c.Password = s.password
	}
	s.remember(c.Password)
	s.remember(c.Token)
	return c, err
}

// remember keeps a secret for blank. Of those that a command gave, the last
// few are enough: older ones are in nothing that is still to be written.
func (s *secrets) remember(secret string) {
	const kept = 8
	if len(secret) < minBlanked {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.given {
		if g == secret {
			return
		}
	}
	if len(s.given) == kept {
		s.given = append(s.given[:0], s.given[1:]...)
	}
	s.given = append(s.given, secret)
}

// blank takes every secret out of a text, also where it is written with
// escapes, as a quoting logger does. A server may repeat a password in its refusal.
func (s *secrets) blank(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.given {
		text = strings.ReplaceAll(text, g, "***")
		quoted := strconv.Quote(g)
		text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], "***")
	}
	return text
}

// blanked is a writer that takes the secrets out of each Write.
type blanked struct {
	w       io.Writer
	secrets *secrets
}

func (b blanked) Write(p []byte) (int, error) {
	if _, err := io.WriteString(b.w, b.secrets.blank(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// obtain asks for what no command and no file will say later: it reads
// $IMAPFS_PASSWORD, or the terminal. The file is looked at here, so that what
// is wrong with it is said at once; one that can be read only once, such as
// bash's <(pass mail), is read here.
func obtain(o *options) (password string, err error) {
	env, inEnv := os.LookupEnv(passwordVar)
	os.Unsetenv(passwordVar)
	switch {
	case o.PasswordCommand != "" || o.TokenCommand != "":
		return "", nil
	case o.Keyring:
		return "", checkKeyring()
	case o.PasswordFile != "":
		password, err := readPasswordFile(o.PasswordFile)
		if st, statErr := os.Stat(o.PasswordFile); err == nil && statErr == nil && st.Mode().IsRegular() {
			password = ""
		}
		return password, err
	case inEnv:
		if env == "" {
			return "", errors.New("$" + passwordVar + " is empty (unset it to be asked)")
		}
		return env, nil
	case o.needsNoPassword():
		return "", nil
	}
	return prompt("Password for " + oneLine(o.name()) + ": ")
}

// readPasswordFile is the first line of a file that others cannot read.
func readPasswordFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w (name a file that you can read)", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("--password-file: %w (name another)", err)
	}
	if st.IsDir() {
		return "", fmt.Errorf("--password-file: %s is a directory (name a file)", name)
	}
	if st.Mode().IsRegular() && st.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("--password-file: everybody can get at %s (chmod 600 %s)", name, name)
	}
	secret, err := firstLine(f)
	if err != nil {
		return "", fmt.Errorf("--password-file: %s: %w", name, err)
	}
	return secret, nil
}

// firstLine reads a secret: one line, without its end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecret+1)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	switch {
	case len(line) >= maxSecret:
		return "", errors.New("its first line is too long to be a secret (put the secret alone on it)")
	case line == "":
		return "", errors.New("its first line is empty (put the secret on it)")
	case strings.ContainsAny(line, "\x00\r"):
		return "", errors.New("its first line holds a NUL or CR, which no login can carry (put the secret alone on it)")
	}
	return line, nil
}

// runForSecret runs a command by sh and reads a secret from its first line.
// Neither the command nor what it wrote is in an error: either may hold the
// secret. What it started ends with it.
func runForSecret(ctx context.Context, flag, command, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out limitedBuffer
	cmd.Stdout = &out
	err := cmd.Run()
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return "", fmt.Errorf("%s: not done within %v (run the command by hand to see what it waits for)", flag, commandLimit)
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: %w", flag, ctx.Err())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", fmt.Errorf("%s: %w (run the command by hand to see why)", flag, err)
	}
	secret, err := firstLine(&out.Buffer)
	if err != nil {
		return "", fmt.Errorf("%s: what it wrote: %w", flag, err)
	}
	return secret, nil
}

// limitedBuffer keeps the first octets written to it, and takes the rest in silence.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxSecret + 1 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
