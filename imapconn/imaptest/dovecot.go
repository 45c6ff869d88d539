package imaptest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"imapfs/imapconn/imapwire"
)

// DovecotOptions says how a Dovecot differs from the usual one.
type DovecotOptions struct {
	// Separator between the levels of a mailbox name; 0 means '/'.
	Separator rune
	// Capabilities, where not empty, is advertised in place of Dovecot's own
	// list; with a leading + or - it changes that list. Hiding takes nothing
	// away: a hidden command still works.
	Capabilities string
	// Mechanisms are those that are offered, in Dovecot's spelling; empty means plain
	// and login. With external a client certificate is enough.
	Mechanisms string
	// ClientCA is a file with the certificates that clients may show; the common name
	// is the user. Empty: nobody is asked for one.
	ClientCA string
	// NoTLS leaves out STARTTLS and the TLS port.
	NoTLS bool
	// ExtraConf is appended to dovecot.conf as it is.
	ExtraConf string
}

// Dovecot is a real Dovecot that lives in a directory of its own and ends with
// the test. It has two users.
type Dovecot struct {
	Addr, TLSAddr    string // host:port; TLSAddr is empty with NoTLS
	CertFile         string // the certificate, which is its own authority
	User, Password   string
	User2, Password2 string
	Dir              string // open to every local user: Dovecot does not run as root

	tb        TB
	opts      DovecotOptions
	uid, gid  int
	delivered atomic.Int64 // makes file names unique
}

// dovecotStart bounds the wait for the greeting.
const dovecotStart = 10 * time.Second

// portTries is how often other ports are tried: between the kernel naming a
// free port and Dovecot taking it, somebody else may.
const portTries = 5

// StartDovecot starts a Dovecot on free ports of 127.0.0.1. The test fails
// where it is not installed or the test does not run as root.
func StartDovecot(tb TB, opts DovecotOptions) *Dovecot {
	tb.Helper()
	if _, err := exec.LookPath("dovecot"); err != nil {
		tb.Fatal("dovecot is missing: install dovecot-imapd (make deps)")
	}
	owner, err := user.Lookup("dovecot")
	if err != nil {
		tb.Fatalf("%v: install dovecot-imapd (make deps)", err)
	}
	if os.Geteuid() != 0 {
		tb.Fatal("dovecot changes its user: run the tests as root, or with -short to leave it out")
	}
	dir, err := os.MkdirTemp("", "imaptest-dovecot-")
	if err != nil {
		tb.Fatal(err)
	}
	d := &Dovecot{
		Dir: dir, tb: tb, opts: opts, CertFile: filepath.Join(dir, "cert.pem"),
		User: "alice", Password: "alice-secret", User2: "bob", Password2: "bob-secret",
	}
	if d.opts.Separator == 0 {
		d.opts.Separator = '/'
	}
	d.uid, _ = strconv.Atoi(owner.Uid)
	d.gid, _ = strconv.Atoi(owner.Gid)
	tb.Cleanup(func() {
		d.Stop()
		os.RemoveAll(dir)
	})
	if err := d.prepare(); err != nil {
		tb.Fatal(err)
	}
	for try := 1; ; try++ {
		if err = d.listenAnywhere(); err == nil {
			err = d.start()
		}
		if err == nil {
			return d
		}
		if try == portTries {
			tb.Fatalf("dovecot: %v\n%s", err, d.log())
		}
	}
}

// prepare makes the directories, the users and the certificate.
func (d *Dovecot) prepare() error {
	errs := []error{os.Chmod(d.Dir, 0o755)}
	for _, sub := range []string{"run", "log", "state"} {
		errs = append(errs, os.Mkdir(filepath.Join(d.Dir, sub), 0o755))
	}
	var users bytes.Buffer
	for _, u := range [][2]string{{d.User, d.Password}, {d.User2, d.Password2}} {
		home := filepath.Join(d.Dir, "mail", u[0])
		errs = append(errs, os.MkdirAll(home, 0o755), os.Chown(home, d.uid, d.gid))
		fmt.Fprintf(&users, "%s:{PLAIN}%s:%d:%d::%s::\n", u[0], u[1], d.uid, d.gid, home)
	}
	errs = append(errs,
		os.Chown(filepath.Join(d.Dir, "mail"), d.uid, d.gid),
		os.WriteFile(filepath.Join(d.Dir, "users"), users.Bytes(), 0o644))
	if !d.opts.NoTLS {
		errs = append(errs, writeCertificate(d.CertFile, filepath.Join(d.Dir, "key.pem"), "localhost"))
	}
	return errors.Join(errs...)
}

// listenAnywhere chooses the ports and writes the configuration.
func (d *Dovecot) listenAnywhere() error {
	plain, err := freePort()
	if err != nil {
		return err
	}
	secure, err := freePort()
	if err != nil {
		return err
	}
	d.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(plain))
	if !d.opts.NoTLS {
		d.TLSAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(secure))
	}
	return os.WriteFile(d.conf(), []byte(dovecotConf(d, plain, secure)), 0o644)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (d *Dovecot) conf() string { return filepath.Join(d.Dir, "dovecot.conf") }

func (d *Dovecot) log() string {
	text, _ := os.ReadFile(filepath.Join(d.Dir, "log", "dovecot.log"))
	return string(text)
}

// Start starts a stopped Dovecot again, on the same ports.
func (d *Dovecot) Start() {
	d.tb.Helper()
	// The sessions of the stopped one may hold its sockets a moment longer.
	deadline := time.Now().Add(dovecotStart)
	err := d.start()
	for err != nil && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		err = d.start()
	}
	if err != nil {
		d.tb.Fatalf("dovecot: %v\n%s", err, d.log())
	}
}

func (d *Dovecot) start() error {
	// To a file, not a pipe: the daemon keeps it open and Wait would wait for it.
	out, err := os.Create(filepath.Join(d.Dir, "log", "start.log"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command("dovecot", "-c", d.conf())
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%w: %s", err, said)
	}
	for deadline := time.Now().Add(dovecotStart); ; time.Sleep(10 * time.Millisecond) {
		err := greets(d.Addr)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			d.Stop()
			return err
		}
	}
}

// greets reports whether an IMAP server answers at addr.
func greets(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(2 * time.Second))
	greeting := make([]byte, 4)
	if _, err := c.Read(greeting); err != nil {
		return err
	}
	if string(greeting) != "* OK" {
		return fmt.Errorf("greeted with %q", greeting)
	}
	return nil
}

// Stop ends the server and its sessions. Stopping a stopped one does nothing.
func (d *Dovecot) Stop() {
	pidFile := filepath.Join(d.Dir, "run", "master.pid")
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return
	}
	syscall.Kill(pid, syscall.SIGTERM)
	// The master takes its file away last. Its process is not waited for: it is
	// init's child, and some containers' init is slow to reap.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(pidFile); err != nil {
			return
		}
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
			os.Remove(pidFile)
		}
	}
}

// Doveadm runs doveadm against this server and returns what it prints.
func (d *Dovecot) Doveadm(args ...string) string {
	d.tb.Helper()
	cmd := exec.Command("doveadm", append([]string{"-c", d.conf()}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		d.tb.Fatalf("doveadm %s: %v: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out)
}

// Maildir is where a mailbox of the first user lies on the disk. Levels are
// separated by '/' here, whatever the server's separator is.
func (d *Dovecot) Maildir(mailbox string) string {
	root := filepath.Join(d.Dir, "mail", d.User, "Maildir")
	if mailbox == "INBOX" {
		return root
	}
	levels := strings.Split(mailbox, "/")
	for i, l := range levels {
		levels[i] = imapwire.EncodeUTF7(l)
	}
	return filepath.Join(root, "."+strings.Join(levels, "."))
}

// Deliver puts texts into a mailbox of the first user, made if missing, by
// writing the Maildir, as a delivery agent does: fast, unseen, in order. The
// mailbox's levels are separated by '/'. Dovecot gives each line end as CRLF.
func (d *Dovecot) Deliver(tb TB, mailbox string, texts ...[]byte) {
	tb.Helper()
	dir := d.Maildir(mailbox)
	for made := dir; !strings.HasSuffix(made, d.User); made = filepath.Dir(made) {
		for _, sub := range []string{"", "cur", "new", "tmp"} {
			sub = filepath.Join(made, sub)
			if err := os.MkdirAll(sub, 0o700); err != nil {
				tb.Fatal(err)
			}
			if err := os.Chown(sub, d.uid, d.gid); err != nil {
				tb.Fatal(err)
			}
		}
	}
	for _, text := range texts {
		n := d.delivered.Add(1)
		// W is the size with each line end as CRLF: Dovecot then need not read
		// the text to know its RFC822.SIZE.
		crlf := len(text) + bytes.Count(text, []byte("\n")) - bytes.Count(text, []byte("\r\n"))
		name := fmt.Sprintf("%d.M%dP%d.imaptest,S=%d,W=%d", time.Now().Unix(), n, os.Getpid(), len(text), crlf)
		written := filepath.Join(dir, "tmp", name)
		if err := os.WriteFile(written, text, 0o600); err != nil {
			tb.Fatal(err)
		}
		if err := os.Chown(written, d.uid, d.gid); err != nil {
			tb.Fatal(err)
		}
		if err := os.Rename(written, filepath.Join(dir, "new", name)); err != nil {
			tb.Fatal(err)
		}
	}
}
