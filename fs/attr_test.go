package fs

import (
	"testing"

	"bazil.org/fuse"

	"imapfs/cache"
)

func TestAttributes(t *testing.T) {
	s, a, _ := newTestServer(t, Options{UID: 10, GID: 20})
	box := a.mailbox("INBOX")
	box.add(1, make([]byte, 1025), -1)
	box.setup(func() { box.messages[0].Date = -5 })
	at := walk(t, s, "INBOX", "1").Attr
	if at.Mode != 0o600 || at.Uid != 10 || at.Gid != 20 || at.Size != 1025 || at.Blocks != 3 || at.Nlink != 1 {
		t.Errorf("%+v", at)
	}
	if at.Mtime.Unix() != 0 || !at.Ctime.Equal(at.Mtime) || !at.Atime.Equal(at.Mtime) {
		t.Errorf("times %v %v %v", at.Atime, at.Mtime, at.Ctime)
	}
	dir := walk(t, s, "INBOX").Attr
	if dir.Mode.Perm() != 0o700 || !dir.Mode.IsDir() || dir.Nlink != 1 || dir.Size != 0 {
		t.Errorf("%+v", dir)
	}
	root, err := s.getattr(fuse.RootID)
	if err != nil || root.Inode != rootInode || !root.Mode.IsDir() {
		t.Errorf("%+v, %v", root, err)
	}
	if s, err := newServer(a, Options{Umask: 0o022}); err != nil || s.fileMode != 0o644 || s.dirMode != 0o755 {
		t.Errorf("umask 022: %v, %v, %v", s.fileMode, s.dirMode, err)
	}
	if m := s.messageAttr(&binding{}, cache.Message{Date: 1 << 40}); m.Mtime.Unix() != 1<<32-1 {
		t.Errorf("%v", m.Mtime)
	}
}

func TestFlagsTouchNothing(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	box.add(1, []byte("x"), -1)
	before, dir := walk(t, s, "INBOX", "1").Attr, walk(t, s, "INBOX").Attr
	k.take(s)
	box.setFlags(1, `\Seen`)
	if told := k.take(s); len(told) != 0 {
		t.Errorf("told: %q", told)
	}
	if after := walk(t, s, "INBOX", "1").Attr; after != before {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if after := walk(t, s, "INBOX").Attr; after != dir {
		t.Errorf("before %+v\nafter %+v", dir, after)
	}
}

func TestStatfsShowsTheQuota(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	if r := s.statfs(); r.Blocks != 0 || r.Namelen != 255 {
		t.Errorf("%+v", r)
	}
	a.usage = cache.Usage{Used: 30 << 20, Limit: 100 << 20, Messages: 12}
	if r := s.statfs(); r.Blocks*uint64(r.Bsize) != 100<<20 || r.Bfree*uint64(r.Bsize) != 70<<20 || r.Files != 12 {
		t.Errorf("%+v", r)
	}
	a.usage.Used = 101 << 20
	if r := s.statfs(); r.Bfree != 0 {
		t.Errorf("%+v", r)
	}
}
