package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"imapfs/imapconn/imaptest"
)

// A newcomer is alice, an ordinary user of a machine of her own: a mount, a process and a
// network namespace, in which what is written to /etc, /home, /srv, /usr/local and the clone
// goes with the machine, and mail.example.org is a server with a certificate that is trusted.
// So what the README says is done to the letter.
type newcomer struct {
	t       *testing.T
	machine *exec.Cmd // process 1 there
	clone   string    // as root there sees it
	on      atomic.Pointer[account]
}

const (
	aliceID    = "64999"
	personPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/bin/mh" // Debian has nmh in the last
)

// machineScript is process 1 of the machine. When its input ends it does, and all others with it.
const machineScript = `
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs "$DIR"
writable() { # writable DIR AT: at AT is what lies in DIR, and what is written there is not
	mkdir -p "$DIR/upper$1" "$DIR/work$1"
	mount -t overlay overlay -o "lowerdir=$1,upperdir=$DIR/upper$1,workdir=$DIR/work$1" "$2"
}
mkdir "$DIR/clone"
writable "$CLONE" "$DIR/clone"
rm -f "$DIR/clone/imapfs"
for dir in /etc /home /srv /usr/local; do writable $dir $dir; done
mount -t tmpfs tmpfs /run
mknod -m 666 "$DIR/fuse" c 10 229 # as udev has it: anybody may use FUSE
mount --bind "$DIR/fuse" /dev/fuse

sed -i '/^alice:/d' /etc/passwd /etc/group
echo "alice:x:$ALICE:$ALICE::/home/alice:/bin/bash" >>/etc/passwd
echo "alice:x:$ALICE:" >>/etc/group
rm -rf /home/alice
mkdir -p -m 700 /home/alice /run/user/$ALICE /srv/backup
chmod 755 /run/user
chown $ALICE:$ALICE /home/alice /run/user/$ALICE /srv/backup
printf '#!/bin/sh\ncat /home/alice/.secret\n' >/usr/local/bin/pass
chmod 755 /usr/local/bin/pass
: >/etc/fstab
echo "127.0.0.1 localhost mail.example.org" >/etc/hosts
cat "$CERT" >>/etc/ssl/certs/ca-certificates.crt
echo ready
read -r || true
`

// newNewcomer starts the machine. It ends with the test.
func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	clone, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n := &newcomer{t: t, clone: filepath.Join(dir, "clone")}
	cert, key := imaptest.Certificate(t, "mail.example.org")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	n.machine = exec.Command("bash", "-euc", machineScript)
	n.machine.Env = append(os.Environ(), "DIR="+dir, "CLONE="+clone, "CERT="+cert, "ALICE="+aliceID)
	n.machine.Stderr = os.Stderr
	n.machine.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET}
	in, err := n.machine.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := n.machine.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.machine.Start(); err != nil {
		t.Fatal(err)
	}
	var relays sync.WaitGroup
	t.Cleanup(relays.Wait) // they end with the machine
	t.Cleanup(func() {
		in.Close()
		n.machine.Wait()
	})
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "ready\n" {
		t.Fatalf("the machine does not come up: %q, %v", said, err)
	}
	l, err := n.listen("127.0.0.1:993")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	relays.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			relays.Go(func() { n.relay(tls.Server(client, &tls.Config{Certificates: []tls.Certificate{pair}})) })
		}
	})
	return n
}

// listen listens in the machine's network, from this process.
func (n *newcomer) listen(addr string) (l net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread, which is in another network, ends here
		var ns *os.File
		if ns, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", n.machine.Process.Pid)); err != nil {
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		if err = loopbackUp(); err == nil {
			l, err = net.Listen("tcp", addr)
		}
	}()
	<-done
	return l, err
}

// loopbackUp is `ip link set lo up`.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// relay passes on what is said over TLS to the server that the account is on now.
func (n *newcomer) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", n.on.Load().addr)
	if err != nil {
		return
	}
	defer server.Close()
	var group sync.WaitGroup
	group.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	io.Copy(client, server)
	client.Close()
	group.Wait()
}

// has puts her account on a server, and its password where `pass` finds it.
func (n *newcomer) has(a account) {
	n.t.Helper()
	n.on.Store(&a)
	n.alice("umask 077; echo '" + a.password + "' >~/.secret")
}

// inside is a command by bash within the machine, as root, or as somebody with nothing but env.
func (n *newcomer) inside(line string, as ...string) *exec.Cmd {
	args := []string{"--target", fmt.Sprint(n.machine.Process.Pid), "--mount", "--pid", "--net", "--"}
	args = append(args, as...)
	return exec.Command("nsenter", append(args, "bash", "-c", line)...)
}

// asAlice is a command of hers, begun at home.
func (n *newcomer) asAlice(line string) *exec.Cmd {
	return n.inside("cd && "+line, "setpriv", "--reuid="+aliceID, "--regid="+aliceID, "--clear-groups",
		"env", "-i", "HOME=/home/alice", "USER=alice", "LOGNAME=alice", "SHELL=/bin/bash", "LC_ALL=C.UTF-8", "TERM=xterm",
		"XDG_RUNTIME_DIR=/run/user/"+aliceID, "PATH="+personPath)
}

// asRoot is a command of root's, begun in the clone, with what `go build` wants to know.
func (n *newcomer) asRoot(line string) *exec.Cmd { return n.inside("cd " + n.clone + " && " + line) }

// alice has her run what is to succeed, and gives what it wrote.
func (n *newcomer) alice(line string) string { n.t.Helper(); return n.did(n.asAlice(line), line) }

// root is the same of root.
func (n *newcomer) root(line string) string { n.t.Helper(); return n.did(n.asRoot(line), line) }

func (n *newcomer) did(cmd *exec.Cmd, line string) string {
	n.t.Helper()
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("%s: %v\n%s%s", line, err, out, &complaints)
	}
	return string(out)
}
