package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// letter is a message of about n octets, every line of it different.
func letter(name string, n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: a@example.org\r\nSubject: %s\r\n\r\n", name)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%s, line %d\r\n", name, i)
	}
	return b.Bytes()
}

// mmapReader prints the SHA-256 of a file that it maps, by the size that stat gives.
const mmapReader = `
import hashlib, mmap, os, sys
with open(sys.argv[1], "rb") as f:
    m = mmap.mmap(f.fileno(), os.fstat(f.fileno()).st_size, prot=mmap.PROT_READ)
    print(hashlib.sha256(m[:]).hexdigest())
`

// TestEveryReaderGetsTheTrueBytesFromAServerThatLies has a message for each
// reader, size and lie, so that each reading is the first.
func TestEveryReaderGetsTheTrueBytesFromAServerThatLies(t *testing.T) {
	t.Parallel()
	needServers(t)
	sum := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	copied := func(t *testing.T, dst string) string {
		got, err := os.ReadFile(dst)
		if err != nil {
			t.Fatal(err)
		}
		return sum(got)
	}
	// Each reader gives what it read, and what it should have read.
	readers := map[string]func(t *testing.T, name string, text []byte) (got, want string){
		"cat": func(t *testing.T, name string, text []byte) (string, string) {
			return sum([]byte(must(t, "cat", name))), sum(text)
		},
		"cp": func(t *testing.T, name string, text []byte) (string, string) {
			dst := filepath.Join(t.TempDir(), "copy")
			must(t, "cp", name, dst)
			return copied(t, dst), sum(text)
		},
		"rsync": func(t *testing.T, name string, text []byte) (string, string) {
			dst := filepath.Join(t.TempDir(), "copy")
			must(t, "rsync", name, dst)
			return copied(t, dst), sum(text)
		},
		"tail -c": func(t *testing.T, name string, text []byte) (string, string) {
			return must(t, "tail", "-c", "100", name), string(text[len(text)-100:])
		},
		"grep": func(t *testing.T, name string, text []byte) (string, string) {
			return strings.TrimSpace(must(t, "grep", "-c", "line", name)), strconv.Itoa(bytes.Count(text, []byte("line")))
		},
		"mmap": func(t *testing.T, name string, text []byte) (string, string) {
			return strings.TrimSpace(must(t, "python3", "-c", mmapReader, name)), sum(text)
		},
	}
	s := imaptest.NewScripted(t)
	box := s.Mailbox("INBOX")
	type task struct {
		file string
		text []byte
	}
	tasks := make(map[string][]task) // by reader
	for reader := range readers {
		for _, size := range []int{9_000, 127 << 10, 200 << 10, 700 << 10} {
			for _, lie := range []int64{-3_000, +3_000, -100_000, +100_000} {
				if int64(size)+lie <= 0 {
					continue
				}
				text := letter(fmt.Sprintf("%s %d %+d", reader, size, lie), size)
				uid := box.Add(text)
				box.LieSize(uid, lie)
				tasks[reader] = append(tasks[reader], task{strconv.FormatUint(uint64(uid), 10), text})
			}
		}
	}
	d := mountPlain(t, s.Addr, s.User, s.Password)
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, k := range tasks[name] {
				got, want := read(t, d.path("INBOX", k.file), k.text)
				if got != want {
					t.Errorf("%s got %.100q, want %.100q", k.text[len("From: a@example.org\r\nSubject: "):60], got, want)
				}
				if st, err := os.Stat(d.path("INBOX", k.file)); err != nil || st.Size() != int64(len(k.text)) {
					t.Errorf("stat after it says %v, %v; the text has %d octets", st, err, len(k.text))
				}
			}
		})
	}
}

// TestAGoneMessageIsNeverAnotherText has each message expunged by somebody else
// after the mount has listed it, with the three answers that servers give then.
// Reading it fails; no text and no size of the answer's ever shows.
func TestAGoneMessageIsNeverAnotherText(t *testing.T) {
	t.Parallel()
	needServers(t)
	for name, how := range map[string]imaptest.Gone{
		"Dovecot": imaptest.DovecotGone, "Courier": imaptest.CourierGone, "mailutils": imaptest.MailutilsGone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.NewScripted(t)
			s.Capabilities("IMAP4rev1 LITERAL+") // no IDLE: the mount is not told
			box := s.Mailbox("INBOX")
			small := box.Add(letter("small", 5_000))
			large := box.Add(letter("large", 900_000))
			box.Add(letter("stays", 5_000))
			d := mountPlain(t, s.Addr, s.User, s.Password, "--poll", "1h")
			if got := must(t, "ls", d.path("INBOX")); got != "1\n2\n3\n" {
				t.Fatalf("listed %q", got)
			}
			box.Expunge(small, how)
			box.Expunge(large, how)
			for _, uid := range []string{"1", "2"} {
				r := run(t, "cat", d.path("INBOX", uid))
				if r.status == 0 || r.stdout != "" {
					t.Errorf("cat of %s: status %d, %d octets: %.60q", uid, r.status, len(r.stdout), r.stdout)
				}
				if st, err := os.Stat(d.path("INBOX", uid)); err == nil && st.Size() < 5_000 {
					t.Errorf("%s shows %d octets", uid, st.Size())
				}
			}
			if got := must(t, "cat", d.path("INBOX", "3")); got != string(letter("stays", 5_000)) {
				t.Errorf("the one that stays reads %.60q", got)
			}
		})
	}
}

// TestAMessageExpungedWhileItIsReadEndsInItsOwnBytesOrAnError holds a message
// open on a real Dovecot while another session expunges it.
func TestAMessageExpungedWhileItIsReadEndsInItsOwnBytesOrAnError(t *testing.T) {
	t.Parallel()
	needServers(t)
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	text := letter("large", 3_000_000)
	s.Deliver(t, "INBOX", text, letter("other", 3_000_000))
	d := mountDovecot(t, s)
	f, err := os.Open(d.path("INBOX", "1"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 1000)
	if _, err := f.ReadAt(head, 0); err != nil || !bytes.Equal(head, text[:1000]) {
		t.Fatalf("the head: %v", err)
	}
	s.Doveadm("expunge", "-u", s.User, "mailbox", "INBOX", "uid", "1")
	waitFor(t, time.Minute, "the expunged message to vanish", func() bool {
		return must(t, "ls", d.path("INBOX")) == "2\n"
	})
	got := make([]byte, 100_000)
	for off := 0; off+len(got) <= len(text); off += len(got) {
		if _, err := f.ReadAt(got, int64(off)); err == nil && !bytes.Equal(got, text[off:off+len(got)]) {
			t.Fatalf("at %d: another text: %.60q", off, got)
		} else if err != nil && !strings.Contains(err.Error(), "stale") {
			t.Fatalf("at %d: %v, want ESTALE", off, err)
		}
	}
}

// waitFor polls until ok, and fails the test after limit.
func waitFor(t testing.TB, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > limit {
			t.Fatalf("waited %v for %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// TestAShortListingNeverReachesABackup cuts or refuses what a listing is made
// of: rsync --delete ends non-zero and the backup keeps every file.
func TestAShortListingNeverReachesABackup(t *testing.T) {
	t.Parallel()
	needServers(t)
	const kept = 40
	failures := map[string]func(s *imaptest.Scripted){
		"EXAMINE refused":  func(s *imaptest.Scripted) { s.Mailbox("Box").Refuse("[UNAVAILABLE] come back later") },
		"EXAMINE NO":       func(s *imaptest.Scripted) { s.Mailbox("Box").Refuse("no") },
		"EXAMINE cut":      func(s *imaptest.Scripted) { s.On("EXAMINE", cutAfter(60)) },
		"UID FETCH cut":    func(s *imaptest.Scripted) { s.On("UID FETCH", cutAfter(900)) },
		"UID FETCH NO":     func(s *imaptest.Scripted) { s.On("UID FETCH", halfThenNo) },
		"UID FETCH empty":  func(s *imaptest.Scripted) { s.On("UID FETCH", func(c *imaptest.Call) { c.Done("OK nothing") }) },
		"LIST cut":         func(s *imaptest.Scripted) { s.On("LIST", cutAfter(25)) },
		"LIST refused":     func(s *imaptest.Scripted) { s.On("LIST", func(c *imaptest.Call) { c.Done("NO not now") }) },
		"login refused":    func(s *imaptest.Scripted) { s.On("LOGIN", func(c *imaptest.Call) { c.Done("NO not now") }); s.Cut() },
		"UID FETCH unable": func(s *imaptest.Scripted) { s.On("UID FETCH", func(c *imaptest.Call) { c.Done("BAD what") }) },
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.NewScripted(t)
			s.Mailbox("INBOX")
			for i := range kept {
				s.Mailbox("Box").Add(letter(fmt.Sprint("message ", i), 300))
			}
			s.Mailbox("Zoo").Add(letter("last", 300))
			dir, backup := t.TempDir(), t.TempDir()
			url := "imap://" + s.User + "@" + s.Addr + "/"
			first := mountAt(t, dir, url, s.Password, "--tls", "none")
			must(t, "rsync", "-a", "--delete", dir+"/", backup+"/")
			first.stop(t)

			second := mountAt(t, dir, url, s.Password, "--tls", "none", "--timeout", "2s", "--poll", "1s")
			fail(s)
			time.Sleep(1100 * time.Millisecond) // what was listed at the mount is no longer fresh
			r := run(t, "rsync", "-a", "--delete", dir+"/", backup+"/")
			if r.status == 0 {
				t.Errorf("rsync ended with 0: %s", r.stdout)
			}
			if files, _ := filepath.Glob(backup + "/*/*"); len(files) != kept+1 {
				t.Errorf("the backup holds %d files, want %d; rsync said %s", len(files), kept+1, r.stderr)
			}
			second.stop(t)
		})
	}
}

func cutAfter(n int64) func(*imaptest.Call) {
	return func(c *imaptest.Call) { c.CutAfter(n); c.Default() }
}

func halfThenNo(c *imaptest.Call) {
	for uid := range 20 {
		c.Send(fmt.Sprintf(`* %[1]d FETCH (UID %[1]d FLAGS () INTERNALDATE "09-Sep-2001 01:46:40 +0000" RFC822.SIZE 300)`, uid+1))
	}
	c.Done("NO [SERVERBUG] that was half of it")
}
