package imaptest

import (
	"bytes"
	"embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Installed is a real server from Debian's packages, which are unpacked and not
// installed: they conflict with each other. It lives in a directory and in mount and
// process namespaces of its own and ends with the test.
type Installed struct {
	Addr, User, Password string
	Version              string // of the package
	CertFile             string // its certificate, its own authority; only StartCyrusSASL has TLS

	dir string
}

//go:embed servers
var serverScripts embed.FS

// Packages that are unpacked for each server, beside what these need and the
// machine lacks. The first gives the version.
var (
	cyrusPackages     = []string{"cyrus-imapd", "cyrus-common"}
	courierPackages   = []string{"courier-imap", "courier-base", "courier-authlib", "courier-authlib-userdb", "courier-authdaemon"}
	mailutilsPackages = []string{"mailutils-imap4d", "libmailutils9", "mailutils-common"}
)

// StartCyrus starts Cyrus IMAP, with / as its delimiter. It needs root and the
// packages, which are fetched once.
func StartCyrus(tb TB) *Installed { return startInstalled(tb, "cyrus", cyrusPackages) }

// StartCyrusSASL starts a Cyrus IMAP that checks passwords, by SCRAM where it is asked
// to, and has STARTTLS with the certificate in CertFile.
func StartCyrusSASL(tb TB) *Installed {
	sasl, _ := unpackDebian(tb, "sasl2", []string{"sasl2-bin"})
	return startInstalled(tb, "cyrus", cyrusPackages, "SASL="+sasl)
}

// StartCourier starts Courier IMAP: its delimiter is a dot, and all mailboxes are
// below INBOX.
func StartCourier(tb TB) *Installed { return startInstalled(tb, "courier", courierPackages) }

// StartMailutils starts the imap4d of GNU mailutils with mailboxes of a type:
// maildir or mbox.
func StartMailutils(tb TB, boxes string) *Installed {
	return startInstalled(tb, "mailutils", mailutilsPackages, "TYPE="+boxes)
}

// installedStart bounds the wait for the greeting.
const installedStart = 20 * time.Second

// apart begins each script. A mount namespace has copies of all that is mounted; one of a
// mount of imapfs would hold its daemon for as long as the server runs, after it was
// unmounted where it is used.
const apart = `set -eu
mount --make-rprivate /
umount --all --types fuse.imapfs --lazy --no-canonicalize --internal-only || :
`

func startInstalled(tb TB, name string, packages []string, env ...string) *Installed {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatalf("%s needs namespaces of its own: run this as root", name)
	}
	script, err := serverScripts.ReadFile("servers/" + name + ".sh")
	if err != nil {
		tb.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "imaptest-"+name+"-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	pkgs, version := unpackDebian(tb, name, packages)
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	s := &Installed{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), User: "alice", Password: "alice-secret", Version: version, dir: dir}
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	s.CertFile = filepath.Join(dir, "cert.pem")
	if err := writeCertificate(s.CertFile, filepath.Join(dir, "key.pem"), "localhost"); err != nil {
		tb.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", apart+string(script))
	cmd.Env = append(os.Environ(), append(env, "DIR="+dir, "PORT="+strconv.Itoa(port), "PKGS="+pkgs,
		"LOGIN="+s.User, "PASSWORD="+s.Password, "USER_ID="+plainUser(tb))...)
	cmd.Stdout, cmd.Stderr = log, log
	// With the first process of a namespace all others in it end, and with us it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("%s: %v (this machine lets nobody have namespaces)", name, err)
	}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for deadline := time.Now().Add(installedStart); ; time.Sleep(50 * time.Millisecond) {
		if err = greets(s.Addr); err == nil {
			return s
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			tb.Fatalf("%s: %v\n%s", name, err, said)
		}
	}
}

// plainUser is a user without rights whom every Debian has.
func plainUser(tb TB) string {
	tb.Helper()
	for _, name := range []string{"games", "nobody"} {
		if _, err := user.Lookup(name); err == nil {
			return name
		}
	}
	tb.Fatal("there is neither a user games nor nobody")
	return ""
}

// unpackDebian fetches packages and unpacks them into a directory of the user's
// cache, once, and gives the version of the first.
func unpackDebian(tb TB, name string, packages []string) (dir, version string) {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	dir = filepath.Join(cache, "imapfs-tests", name)
	done := filepath.Join(dir, ".unpacked")
	if v, err := os.ReadFile(done); err == nil {
		return dir, string(v)
	}
	debs, err := os.MkdirTemp("", "imaptest-debs-")
	if err != nil {
		tb.Fatal(err)
	}
	defer os.RemoveAll(debs)
	run := func(name string, args ...string) string {
		tb.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = debs
		out, err := cmd.CombinedOutput()
		if err != nil {
			tb.Fatalf("%s %s: %v (is there a Debian with its package lists? apt-get update)\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	packages = slices.Clone(packages)
	for line := range strings.Lines(run("apt-get", "-s", "--no-install-recommends", "install", packages[0])) {
		// A mail server's packages want one that sends mail: this one does not.
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == "Inst" && !strings.HasPrefix(f[1], "exim4") && !slices.Contains(packages, f[1]) {
			packages = append(packages, f[1])
		}
	}
	run("apt-get", append([]string{"-qq", "-o", "APT::Sandbox::User=root", "download"}, packages...)...)
	found, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(found) != len(packages) {
		tb.Fatalf("%d packages of %d were fetched: %v", len(found), len(packages), err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	for _, deb := range found {
		run("dpkg", "-x", deb, dir)
	}
	out, err := exec.Command("sh", "-c", "dpkg-deb -f "+debs+"/"+packages[0]+"_*.deb Version").Output()
	if err != nil {
		tb.Fatal(err)
	}
	version = string(bytes.TrimSpace(out))
	// 1:3.15-4 is 3.15 to whoever knows the server.
	version = version[strings.IndexByte(version, ':')+1:]
	version, _, _ = strings.Cut(version, "-")
	version, _, _ = strings.Cut(version, "+")
	if err := os.WriteFile(done, []byte(version), 0o644); err != nil {
		tb.Fatal(fmt.Errorf("%s: %w", name, err))
	}
	return dir, version
}
