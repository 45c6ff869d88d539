package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// refusedWrite writes a text to a new file by open, write and close, and gives the name of the
// errno and the call that had it; "OK": none had.
func refusedWrite(t testing.TB, text, file string) string {
	t.Helper()
	src := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(must(t, "python3", "-c", `
import errno, os, sys
text, call = open(sys.argv[1], "rb").read(), "open"
try:
    fd = os.open(sys.argv[2], os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    call = "write"
    while text:
        text = text[os.write(fd, text[:1 << 17]):]
    call = "close"
    os.close(fd)
    print("OK")
except OSError as e:
    print(call, errno.errorcode[e.errno])
`, src, file))
}

// warnings is the lines of a daemon's log that name a file. The daemon is stopped first.
func (d *daemon) warnings(t testing.TB, name string) []string {
	t.Helper()
	d.stop(t)
	var all []string
	for line := range strings.Lines(d.errs.String()) {
		atEnd := strings.Contains(line, "a text is not on the server") // it is named once more
		if strings.Contains(line, "name="+name+" ") && !atEnd {
			all = append(all, line)
		}
	}
	return all
}

// retried is how long a text may lie in the spool when the server takes it again: until the
// next try.
const retried = 4 * time.Minute

// wantNothingOwed waits until the spool owes nothing any more.
func wantNothingOwed(t testing.TB, home string) {
	t.Helper()
	eventually(t, retried, func() string {
		if owed, _ := spooled(t, home); len(owed) > 0 {
			return fmt.Sprint("there is still in the spool: ", owed)
		}
		return ""
	})
}

// TestRefusedTexts has a server refuse a text: close says why, the text is in the spool, listed
// and legible under its name, one line of the log says what to do, and when the server takes it
// again it arrives by itself, once.
func TestRefusedTexts(t *testing.T) {
	needServers(t)
	t.Parallel()
	server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
	a := account{server.Addr, server.User, server.Password}
	c := newAnotherClient(t, a)
	for i, tt := range []struct{ no, errno, advice string }{
		{"[OVERQUOTA] no room", "EDQUOT", "make room"},
		{"[TOOBIG] too large", "EFBIG", "no message so large"},
		{"[NOPERM] not you", "EACCES", "move the file"},
		{"[READ-ONLY] look, do not touch", "EROFS", "move the file"},
		{"[CANNOT] never", "EPERM", ""},
		{"[INUSE] later", "EBUSY", ""},
	} {
		box := fmt.Sprint("Box", i)
		c.do("create", box)
		t.Run(tt.errno, func(t *testing.T) {
			t.Parallel()
			filter := imaptest.NewFilter(t, server.Addr, imaptest.FilterOptions{})
			m := writable(t, account{filter.Addr, a.user, a.password})
			text := writeText(fmt.Sprint("refused", i), "text")
			filter.Refuse("APPEND", tt.no)
			if got := refusedWrite(t, text, m.path(box, "new")); got != "close "+tt.errno {
				t.Errorf("%s is %q to the program, want close %s", tt.no, got, tt.errno)
			}
			if owed, torn := spooled(t, m.home); len(owed) != 1 || len(torn) != 0 || owed[0].path+"/"+owed[0].name != box+"/new" {
				t.Errorf("the spool holds %v and %v", owed, torn)
			}
			if got := must(t, "cat", m.path(box, "new")); got != text {
				t.Errorf("under its name one reads %q", got)
			}
			if got := heldIn(t, a, box); len(got) != 0 {
				t.Errorf("the server has %q", got)
			}
			filter.Refuse("APPEND", "")
			wantNothingOwed(t, m.home)
			if got := heldIn(t, a, box); len(got) != 1 {
				t.Errorf("the server has %d messages, want 1", len(got))
			}
			if got := strings.TrimSpace(must(t, "ls", m.path(box))); got != "new" {
				t.Errorf("listed is %q, want its name", got)
			}
			if lines := m.warnings(t, "new"); len(lines) != 1 || !strings.Contains(lines[0], tt.advice) {
				t.Errorf("the log says %q, want one line with %q", lines, tt.advice)
			}
		})
	}
}

// strictDovecot is Dovecot with a quota of 64 KiB, rights, and no text of more than 100 KB.
const strictDovecot = `
mail_plugins = acl quota
protocol imap {
  mail_plugins = acl imap_acl quota imap_quota
}
plugin {
  acl = vfile
  quota = count:user
  quota_vsizes = yes
  quota_rule = *:storage=64K
  quota_max_mail_size = 100K
}
`

// TestServerRefusals is TestRefusedTexts where the server itself has a reason: its quota, a text
// that is too large, rights that are missing, a mailbox that another client has removed.
func TestServerRefusals(t *testing.T) {
	needServers(t)
	t.Parallel()
	server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true, ExtraConf: strictDovecot})
	a := account{server.Addr, server.User, server.Password}
	c := newAnotherClient(t, a)
	for _, box := range []string{"Full", "Rights", "Gone", "Large"} {
		c.do("create", box)
	}
	line := "a line of seventy octets that fills a text until there is too much.+"
	large := func(id string, octets int) string { return writeText(id, strings.Repeat(line, octets/len(line))) }
	c.deliver("Full", []byte(large("fills", 50_000)))
	rights := filepath.Join(server.Maildir("Rights"), "dovecot-acl")
	m := writable(t, a)
	must(t, "ls", m.path("Full"), m.path("Rights"), m.path("Gone"), m.path("Large"))
	if err := os.WriteFile(rights, []byte("owner lr\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.do("delete", "Gone")
	for _, tt := range []struct{ box, text, want string }{
		{"Full", large("full", 30_000), "EDQUOT"},
		{"Large", large("large", 200_000), "EFBIG"},
		{"Rights", writeText("rights", "text"), "EACCES"},
		{"Gone", writeText("gone", "text"), "ENOENT"},
	} {
		got := refusedWrite(t, tt.text, m.path(tt.box, tt.box+"-new"))
		if got != "close "+tt.want && (tt.want != "ENOENT" || got != "open ENOENT") {
			t.Errorf("%s: %q, want close %s", tt.box, got, tt.want)
		}
	}
	if owed, _ := spooled(t, m.home); len(owed) < 3 {
		t.Errorf("the spool owes %v", owed)
	}
	if got := oracle(t, a.addr, a.user, a.password); len(got) != 1 {
		t.Errorf("the server has %v", got)
	}
	c.do("expunge", "Full", "1")
	if err := os.Remove(rights); err != nil {
		t.Fatal(err)
	}
	c.do("create", "Gone")
	must(t, "rm", m.path("Large", "Large-new"))
	wantNothingOwed(t, m.home)
	for _, tt := range []struct{ box, text string }{
		{"Full", large("full", 30_000)}, {"Rights", writeText("rights", "text")},
	} {
		if got, want := heldIn(t, a, tt.box), fmt.Sprintf("%x", sha256.Sum256([]byte(tt.text))); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s holds %q, want the text once", tt.box, got)
		}
	}
	for _, box := range []string{"Full", "Large", "Rights"} {
		if lines := m.warnings(t, box+"-new"); len(lines) != 1 || !strings.Contains(lines[0], "(") {
			t.Errorf("the log says of %s %q, want one line that says what to do", box, lines)
		}
	}
}

// TestTextsThatServersChange has texts that a server would not keep as they are: one with NUL is
// refused before anything is sent where there is no BINARY; one whose header Cyrus changes with
// an OK stays in the spool, and is said and shown, and not sent again.
func TestTextsThatServersChange(t *testing.T) {
	needServers(t)
	t.Parallel()
	t.Run("NUL", func(t *testing.T) {
		t.Parallel()
		server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
		filter := imaptest.NewFilter(t, server.Addr, imaptest.FilterOptions{Hide: []string{"BINARY"}})
		a := account{filter.Addr, server.User, server.Password}
		m := writable(t, a)
		if got := refusedWrite(t, writeText("nul", "a\x00b"), m.path("INBOX", "nul")); got != "close EINVAL" {
			t.Errorf("%q, want close EINVAL", got)
		}
		owed, _ := spooled(t, m.home)
		if len(owed) != 1 || owed[0].state != "refused" {
			t.Errorf("owed is %v", owed)
		}
		if got := oracle(t, server.Addr, a.user, a.password); len(got) != 0 {
			t.Errorf("the server has %v", got)
		}
		if lines := m.warnings(t, "nul"); len(lines) != 1 || !strings.Contains(lines[0], "NUL") {
			t.Errorf("the log says %q, want one line that says why", lines)
		}
	})
	t.Run("8bit", func(t *testing.T) {
		t.Parallel()
		a := killServers["Cyrus"].start(t)
		m := writable(t, a)
		text := "Subject: \xfcber\r\n" + writeText("8bit", "text")
		if got := refusedWrite(t, text, m.path("INBOX", "8bit")); got != "OK" {
			t.Errorf("%q, want OK: it is found out behind", got)
		}
		eventually(t, retried, func() string {
			if owed, _ := spooled(t, m.home); len(owed) != 1 || owed[0].state != "changed" {
				return fmt.Sprintf("the spool owes %v, want one that was stored changed", owed)
			}
			return ""
		})
		if got := oracle(t, a.addr, a.user, a.password); len(got) != 1 {
			t.Errorf("the server has %v", got)
		}
		home := m.home
		if lines := m.warnings(t, "8bit"); len(lines) != 1 {
			t.Errorf("the log says %q, want one line", lines)
		}
		again := startMount(t, t.TempDir(), home, "imap://"+a.user+"@"+a.addr+"/", a.password, "--tls", "none", "--read-only=false")
		must(t, "ls", again.path("INBOX"))
		again.stop(t)
		if got := oracle(t, a.addr, a.user, a.password); len(got) != 1 {
			t.Errorf("after a remount the server has %v", got)
		}
	})
}

// TestFullDisk has no room for the spool: write says so, nothing reaches the server, and what
// is written when there is room again arrives whole.
func TestFullDisk(t *testing.T) {
	needServers(t)
	t.Parallel()
	server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true})
	home := t.TempDir()
	must(t, "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", home)
	t.Cleanup(func() { must(t, "umount", home) })
	m := startMount(t, t.TempDir(), home, "imap://"+server.User+"@"+server.Addr+"/", server.Password, "--tls", "none", "--read-only=false")
	defer m.stop(t)
	text := writeText("big", strings.Repeat("a line that fills the disk+", 200_000))
	if got := refusedWrite(t, text, m.path("INBOX", "big")); got != "write ENOSPC" {
		t.Errorf("%q, want write ENOSPC", got)
	}
	if got := oracle(t, server.Addr, server.User, server.Password); len(got) != 0 {
		t.Errorf("the server has %v", got)
	}
	must(t, "rm", m.path("INBOX", "big"))
	small := writeText("small", strings.Repeat("a line that does not+", 20_000))
	if got := refusedWrite(t, small, m.path("INBOX", "small")); got != "OK" {
		t.Errorf("with room again: %q", got)
	}
	if got := heldIn(t, account{server.Addr, server.User, server.Password}, "INBOX"); len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf("%x", sha256.Sum256([]byte(small)))) {
		t.Errorf("the server has %q", got)
	}
}

// TestTheLimitThatAServerNames is for APPENDLIMIT (RFC 7889), that of the account: a text over
// it is not sent. This server would take it.
func TestTheLimitThatAServerNames(t *testing.T) {
	needServers(t)
	t.Parallel()
	server := imaptest.StartDovecot(t, imaptest.DovecotOptions{NoTLS: true, ExtraConf: "imap_capability = +APPENDLIMIT=2000\n"})
	a := account{server.Addr, server.User, server.Password}
	proxy := imaptest.NewProxy(t, server.Addr)
	m := writable(t, account{proxy.Addr, a.user, a.password})
	small := writeText("small", strings.Repeat("few words\r\n", 100))
	large := writeText("large", strings.Repeat("many words\r\n", 20_000))
	if got := refusedWrite(t, small, m.path("INBOX", "small")); got != "OK" {
		t.Errorf("a text under the limit: %s", got)
	}
	before := proxy.Counters().Up
	if got := refusedWrite(t, large, m.path("INBOX", "large")); got != "close EFBIG" {
		t.Errorf("a text over the limit: %s, want close EFBIG", got)
	}
	if n := proxy.Counters().Up - before; n > int64(len(large))/2 {
		t.Errorf("%d octets were sent for it", n)
	}
	if owed, _ := spooled(t, m.home); len(owed) != 1 || owed[0].name != "large" {
		t.Errorf("the spool holds %v, want large", owed)
	}
	if got := must(t, "cat", m.path("INBOX", "large")); got != large {
		t.Errorf("under its name are %d octets", len(got))
	}
	if got := heldIn(t, a, "INBOX"); len(got) != 1 {
		t.Errorf("the server has %d messages, want the small one", len(got))
	}
	if lines := m.warnings(t, "large"); len(lines) != 1 || !strings.Contains(lines[0], "no message so large") {
		t.Errorf("the log says %q, want one line with what to do", lines)
	}
}
