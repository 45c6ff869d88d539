package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"imapfs/imapconn/imaptest"
	"imapfs/imapconn/imapwire"
	"imapfs/testdata"
)

// mountDovecot mounts the first user's account of a Dovecot over TLS.
func mountDovecot(t testing.TB, d *imaptest.Dovecot, flags ...string) *daemon {
	t.Helper()
	flags = append([]string{"--ca-file", d.CertFile}, flags...)
	return mountURL(t, "imaps://"+d.User+"@"+d.TLSAddr+"/", d.Password, flags...)
}

// mountPlain mounts what listens at addr, in the clear.
func mountPlain(t testing.TB, addr, user, password string, flags ...string) *daemon {
	t.Helper()
	flags = append([]string{"--tls", "none"}, flags...)
	return mountURL(t, "imap://"+user+"@"+addr+"/", password, flags...)
}

// told is what Python's imaplib was told of one message.
type told struct {
	mailbox, uid, date, flags, octets, sum string
}

// oracle asks the server what it holds, without imapfs.
func oracle(t testing.TB, addr, user, password string) []told {
	t.Helper()
	cmd := scriptCommand(t, account{addr, user, password}, "fetch_oracle.py")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the oracle: %v: %s", err, stderr.Bytes())
	}
	var all []told
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		all = append(all, told{f[0], f[1], f[2], f[3], f[4], f[5]})
	}
	return all
}

// shown is where the mount shows a message of the oracle's.
func (d *daemon) shown(m told) string {
	levels := strings.Split(m.mailbox, "/")
	for i, l := range levels {
		levels[i], _ = imapwire.DecodeUTF7(l)
		if i > 0 && strings.Trim(l, "0123456789") == "" {
			levels[i] = fmt.Sprintf("%%%02X%s", l[0], l[1:])
		}
	}
	return d.path(append(levels, m.uid)...)
}

// look reads a message through the mount and puts it as the oracle does.
func (d *daemon) look(t testing.TB, m told) told {
	t.Helper()
	return lookAt(t, d.shown(m), m)
}

// lookAt is look for a message that has a name of its own.
func lookAt(t testing.TB, name string, m told) told {
	t.Helper()
	before, err := os.Stat(name)
	if err != nil {
		t.Error(err)
		return told{}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Error(err)
		return told{}
	}
	if before.Size() != int64(len(text)) {
		t.Errorf("%s: stat says %d octets, read gives %d", name, before.Size(), len(text))
	}
	flags := make([]byte, 1024)
	n, err := unix.Getxattr(name, "user.imap.flags", flags)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return told{
		m.mailbox, m.uid, strconv.FormatInt(before.ModTime().Unix(), 10), string(flags[:max(n, 0)]),
		strconv.Itoa(len(text)), fmt.Sprintf("%x", sha256.Sum256(text)),
	}
}

// flagsOf is the flags that a file shows, none where it cannot be asked. It is not
// getfattr, which a value kills that grows between its two questions.
func flagsOf(name string) string {
	flags := make([]byte, 1024)
	n, err := unix.Getxattr(name, "user.imap.flags", flags)
	if err != nil {
		return ""
	}
	return string(flags[:n])
}

// withoutRecent is the flags that user.imap.flags shows.
func withoutRecent(flags string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(flags), func(f string) bool { return f == `\Recent` }), " ")
}

// TestBytesAreTheServers reads every message of an account through the mount and
// compares name, date, flags, size and text with what imaplib gets, and then
// the account with what it was: reading changes nothing, \Recent included.
// $IMAPFS_CORPUS names a directory with more mail, where there is one.
func TestBytesAreTheServers(t *testing.T) {
	t.Parallel()
	needServers(t)
	d := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	for _, m := range testdata.Messages() {
		d.Deliver(t, m.Mailbox, m.Text)
	}
	for _, text := range testdata.Nasty() {
		d.Deliver(t, "Nasty", text)
	}
	deliverCorpus(t, d)
	d.Doveadm("flags", "add", "-u", d.User, `\Flagged $Important`, "mailbox", "INBOX", "2")
	before := oracle(t, d.Addr, d.User, d.Password)
	if len(before) < 30 {
		t.Fatalf("the oracle sees %d messages", len(before))
	}
	recent := 0
	mount := mountDovecot(t, d)
	work := make(chan told)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for m := range work {
				want := m
				want.flags = withoutRecent(m.flags)
				if got := mount.look(t, m); got != want {
					t.Errorf("the mount shows %+v, the server has %+v", got, want)
				}
			}
		})
	}
	for _, m := range before {
		if strings.Contains(m.flags, `\Recent`) {
			recent++
		}
		work <- m
	}
	close(work)
	readers.Wait()
	grep := run(t, "grep", "-r", "-c", "Subject", mount.dir)
	if grep.status > 1 || grep.stderr != "" {
		t.Errorf("grep: status %d: %s", grep.status, tail(grep.stderr, 500))
	}
	mount.stop(t)
	if after := oracle(t, d.Addr, d.User, d.Password); !slices.Equal(before, after) {
		t.Error("the account is not what it was before it was read")
	}
	if recent == 0 {
		t.Error("no message is \\Recent: nothing shows that the mount leaves that alone")
	}
	t.Logf("%d messages, %d of them \\Recent", len(before), recent)
}

// deliverCorpus puts the mail of $IMAPFS_CORPUS into two mailboxes: loose files
// below nasty, and a tar and an mbox below archive.
func deliverCorpus(t testing.TB, d *imaptest.Dovecot) {
	t.Helper()
	corpus := os.Getenv("IMAPFS_CORPUS")
	if corpus == "" {
		return
	}
	loose, err := filepath.Glob(filepath.Join(corpus, "nasty", "*.eml"))
	if err != nil || len(loose) == 0 {
		t.Fatalf("no mail below %s: %v", corpus, err)
	}
	for _, name := range loose {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 0 {
			d.Deliver(t, "Corpus/nasty", text)
		}
	}
	archives, err := filepath.Glob(filepath.Join(corpus, "archive", "*.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range archives {
		for _, text := range unpack(t, name) {
			d.Deliver(t, "Corpus/archive", text)
		}
	}
}

// mboxLine separates the messages of an mbox; quotedFrom is a line that looks
// like it and was therefore given one more '>'.
var (
	mboxLine   = regexp.MustCompile(`(?m)^From mboxrd@z .*\n`)
	quotedFrom = regexp.MustCompile(`(?m)^>(>*From )`)
)

// unpack gives the messages of a .tar.gz with a file for each, or a .mbox.gz.
func unpack(t testing.TB, name string) (texts [][]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".mbox.gz") {
		all, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range mboxLine.Split(string(all), -1)[1:] {
			texts = append(texts, []byte(quotedFrom.ReplaceAllString(strings.TrimSuffix(text, "\n"), "$1")))
		}
		return texts
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
}

// TestRsyncTransfersNothingTwice is the nightly backup: nothing moves the second
// time, nor after a remount, and inode numbers stay.
func TestRsyncTransfersNothingTwice(t *testing.T) {
	t.Parallel()
	needServers(t)
	d := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	for _, m := range testdata.Messages() {
		d.Deliver(t, m.Mailbox, m.Text)
	}
	backup := t.TempDir()
	dir := t.TempDir()
	mount := mountAt(t, dir, "imaps://"+d.User+"@"+d.TLSAddr+"/", d.Password, "--ca-file", d.CertFile)
	sync := func() string {
		return must(t, "rsync", "-aX", "--delete", "--itemize-changes", dir+"/", backup+"/")
	}
	if first := sync(); strings.Count(first, ">f+++") != len(testdata.Messages()) {
		t.Fatalf("the first rsync: %s", first)
	}
	if second := sync(); second != "" {
		t.Errorf("the second rsync moved something:\n%s", second)
	}
	inodes := inodesBelow(t, dir)
	mount.stop(t)
	mountAt(t, dir, "imaps://"+d.User+"@"+d.TLSAddr+"/", d.Password, "--ca-file", d.CertFile)
	if third := must(t, "rsync", "-aX", "--itemize-changes", "--omit-dir-times", dir+"/", backup+"/"); third != "" {
		t.Errorf("rsync after a remount moved something:\n%s", third)
	}
	if again := inodesBelow(t, dir); !slices.Equal(again, inodes) {
		t.Errorf("inode numbers changed from\n%s\nto\n%s", inodes, again)
	}
}

func inodesBelow(t testing.TB, dir string) (lines []string) {
	t.Helper()
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if name != dir {
			lines = append(lines, fmt.Sprint(strings.TrimPrefix(name, dir), " ", info.Sys().(*syscall.Stat_t).Ino))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// needServers leaves a test out of `go test -short`.
func needServers(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("mounts, and may start a Dovecot")
	}
}
