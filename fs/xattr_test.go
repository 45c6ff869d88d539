package fs

import (
	"errors"
	"syscall"
	"testing"

	"bazil.org/fuse"
)

func TestXattrs(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.attrs = []string{`\HasNoChildren`, `\sent`, `\Archive`}
	box.add(7, []byte("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n und mehr\r\nFrom: =?koi8-r?B?7sXaztXKzA==?= <a@b>\r\nMessage-ID: <x@y>\r\n\r\nbody\r\n"), -1)
	box.setFlags(7, `$Junk`, `\Flagged`, `\Seen`)
	box.add(8, []byte("no header at all"), -1)
	msg, plain, dir := walk(t, s, "INBOX", "7").Node, walk(t, s, "INBOX", "8").Node, walk(t, s, "INBOX").Node
	for _, c := range []struct {
		id   fuse.NodeID
		name string
		want string
		err  error
	}{
		{msg, "user.imap.flags", `$Junk \Flagged \Seen`, nil},
		{plain, "user.imap.flags", ``, nil},
		{msg, "user.imap.uid", `7`, nil},
		{msg, "user.imap.uidvalidity", `1`, nil},
		{msg, "user.imap.internaldate", `2017-07-14T02:40:07Z`, nil},
		{msg, "user.imap.subject", `Grüße und mehr`, nil},
		{msg, "user.imap.from", `Незнуйл <a@b>`, nil},
		{msg, "user.imap.message-id", `<x@y>`, nil},
		{msg, "user.imap.to", ``, syscall.ENODATA},
		{plain, "user.imap.subject", ``, syscall.ENODATA},
		{msg, "user.imap.mailbox", ``, syscall.ENODATA},
		{msg, "user.other", ``, syscall.ENODATA},
		{msg, "security.selinux", ``, syscall.ENODATA},
		{msg, "system.posix_acl_access", ``, syscall.ENODATA},
		{dir, "user.imap.mailbox", `INBOX`, nil},
		{dir, "user.imap.special-use", `\Archive \Sent`, nil},
		{dir, "user.imap.uidnext", `9`, nil},
		{dir, "user.imap.uidvalidity", `1`, nil},
		{dir, "user.imap.flags", ``, syscall.ENODATA},
		{fuse.RootID, "user.imap.mailbox", ``, syscall.ENODATA},
		{fuse.RootID, "user.imap.uidnext", ``, syscall.ENODATA},
	} {
		got, err := s.getxattr(c.id, c.name)
		if err == errWait {
			got, err = s.getxattrWait(t.Context(), c.id, c.name)
		}
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v %s: %q, %v", c.id, c.name, got, err)
		}
	}
	for id, want := range map[fuse.NodeID]string{msg: "user.imap.flags\x00", dir: "", fuse.RootID: ""} {
		if got, err := s.listxattr(id); string(got) != want || err != nil {
			t.Errorf("listxattr %v: %q, %v", id, got, err)
		}
	}
	if sized(make([]byte, 5), 0) != nil || sized(make([]byte, 5), 5) != nil || sized(make([]byte, 5), 4) != syscall.ERANGE {
		t.Error("the size protocol")
	}
	if setxattr("user.imap.flags") != syscall.EROFS || setxattr("system.posix_acl_access") != syscall.EOPNOTSUPP {
		t.Error("setxattr")
	}
}

func TestUnloadedMailboxIsLoadedForItsXattr(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	a.mailbox("INBOX").add(7, []byte("x"), -1)
	id := walk(t, s, "INBOX").Node
	if _, err := s.getxattr(id, "user.imap.uidnext"); err != errWait {
		t.Fatal(err)
	}
	if got, err := s.getxattrWait(t.Context(), id, "user.imap.uidnext"); err != nil || string(got) != "8" {
		t.Errorf("%q, %v", got, err)
	}
}
