package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// account is what one logs in to.
type account struct {
	addr, user, password string
}

// scriptCommand runs one of the scripts of testdata against an account.
func scriptCommand(t testing.TB, a account, script string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(a.addr)
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs("../../testdata/scripts/" + script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", path)
	cmd.Env = append(os.Environ(), "IMAP_HOST="+host, "IMAP_PORT="+port, "IMAP_USER="+a.user, "IMAP_PASSWORD="+a.password)
	return cmd
}

// anotherClient changes an account behind the back of the mount, by imaplib.
type anotherClient struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
	// settles has it open each mailbox that it delivers to, as people do.
	settles bool
}

func newAnotherClient(t testing.TB, a account) *anotherClient {
	t.Helper()
	cmd := scriptCommand(t, a, "another_client.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make deps installs what the tests run)", err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("another client: %v", err)
		}
	})
	return &anotherClient{t: t, in: in, out: bufio.NewReader(out)}
}

// try asks for something and gives what the server said: OK, or why not.
func (c *anotherClient) try(request ...any) string {
	c.t.Helper()
	line, err := json.Marshal(request)
	if err == nil {
		_, err = c.in.Write(append(line, '\n'))
	}
	if err != nil {
		c.t.Fatal(err)
	}
	said, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("another client: %v", err)
	}
	return strings.TrimSuffix(said, "\n")
}

// do is try for what has to work.
func (c *anotherClient) do(request ...any) {
	c.t.Helper()
	if said := c.try(request...); said != "OK" {
		c.t.Fatalf("%v: %s", request[:2], said)
	}
}

func (c *anotherClient) append(mailbox, flags string, date time.Time, text []byte) string {
	c.t.Helper()
	said := c.try("append", mailbox, flags, date.Unix(), base64.StdEncoding.EncodeToString(text))
	if said == "OK" && c.settles {
		c.do("select", mailbox)
	}
	return said
}

// deliver is append for what has to work.
func (c *anotherClient) deliver(mailbox string, text []byte) {
	c.t.Helper()
	if said := c.append(mailbox, "", time.Unix(1_700_000_000, 0), text); said != "OK" {
		c.t.Fatalf("append to %s: %s", mailbox, said)
	}
}
