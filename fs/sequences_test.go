package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bazil.org/fuse"

	"imapfs/cache"
)

// flagged fills a mailbox with what the tests of .mh_sequences look at.
func flagged(box *fakeMailbox) {
	for uid, flags := range map[cache.UID][]string{
		1: nil, 2: nil, 3: {`$Junk`}, 5: {`\Answered`, `\Seen`}, 7: {`\Flagged`}, 9: {`\Flagged`, `\Seen`}, 10: {`\Answered`, `\Flagged`, `\Seen`},
	} {
		box.add(uid, []byte("x"), -1)
		box.setFlags(uid, flags...)
	}
}

const flaggedText = "unseen: 1-3 7\nflagged: 7 9-10\nreplied: 5 10\n"

// sequencesOf looks .mh_sequences up, waiting where that must be, and reads it.
func sequencesOf(t *testing.T, s *Server, dir fuse.NodeID) (fuse.LookupResponse, string) {
	t.Helper()
	r, err := s.lookup(dir, mhSequencesName)
	if err == errWait {
		r, err = s.lookupSequencesWait(t.Context(), dir)
	}
	if err != nil || r.Node == 0 {
		t.Fatalf("lookup: %v, %v", r, err)
	}
	return r, readAll(t, s, r)
}

// readAll reads as the kernel does that has been told a length.
func readAll(t *testing.T, s *Server, r fuse.LookupResponse) string {
	t.Helper()
	var text []byte
	for {
		pieces, err := s.read(r.Node, 16<<10, int64(len(text)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text = append(text, bytes.Join(pieces, nil)...); len(pieces) == 0 {
			break
		}
	}
	if at, err := s.getattr(r.Node); err != nil || at.Size != uint64(len(text)) || at.Inode != r.Attr.Inode || r.Attr.Size != at.Size {
		t.Fatalf("%d octets, lookup says %+v, getattr %+v, %v", len(text), r.Attr, at, err)
	}
	return string(text)
}

func TestSequencesAreTheFlags(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	flagged(a.mailbox("INBOX"))
	dir := walk(t, s, "INBOX").Node
	if _, err := s.lookup(dir, mhSequencesName); err != errWait {
		t.Fatalf("before the first load: %v", err)
	}
	r, text := sequencesOf(t, s, dir)
	if text != flaggedText {
		t.Errorf("%q", text)
	}
	if r.Attr.Mode != 0o400 || r.EntryValid != 0 || r.Attr.Valid != forever || r.Attr.Nlink != 1 {
		t.Errorf("%+v", r)
	}
	for _, name := range listed(t, s, dir) {
		if strings.HasPrefix(name, ".mh") {
			t.Error("it is listed")
		}
	}
	_, err := s.open(r.Node, fuse.OpenReadWrite)
	wantErrno(t, "open for writing", err, syscall.EROFS)
	_, err = s.lookup(r.Node, "x")
	wantErrno(t, "a name in it", err, syscall.ENOTDIR)
	_, err = s.getxattr(r.Node, xattrFlags)
	wantErrno(t, "getxattr", err, syscall.ENODATA)
	if names, err := s.listxattr(r.Node); len(names) > 0 || err != nil {
		t.Errorf("listxattr: %q, %v", names, err)
	}
	if p, err := s.read(r.Node, 10, 1<<40, nil); len(p) != 0 || err != nil {
		t.Errorf("behind the end: %q, %v", p, err)
	}
}

func TestSequencesAreThereWhereMessagesMayBe(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	a.mailbox("Empty")
	place := a.mailbox("Place", "Below")
	flagged(place)
	below := walk(t, s, "Place", "Below").Node
	if _, text := sequencesOf(t, s, walk(t, s, "Empty").Node); text != "" {
		t.Errorf("of an empty mailbox: %q", text)
	}
	if _, text := sequencesOf(t, s, below); text != flaggedText {
		t.Errorf("of a mailbox in another: %q", text)
	}
	noMessages := walk(t, s, "Place").Node
	for _, id := range []fuse.NodeID{fuse.RootID, noMessages} {
		if r, err := s.lookup(id, mhSequencesName); err != nil || r.Node != 0 || r.EntryValid != forever {
			t.Errorf("where no message can be: %+v, %v", r, err)
		}
	}
	// The server makes a mailbox of the place.
	k.take(s)
	a.mailbox("Place").add(1, []byte("x"), -1)
	if err := s.load(t.Context(), noMessages); err != nil {
		t.Fatal(err)
	}
	if told := k.take(s); !slices.Contains(told, fmt.Sprintf("entry %v .mh_sequences", noMessages)) {
		t.Errorf("told: %q", told)
	}
	if _, text := sequencesOf(t, s, noMessages); text != "unseen: 1\n" {
		t.Errorf("%q", text)
	}
}

func TestNoSequencesWithASuffix(t *testing.T) {
	s, a, _ := newTestServer(t, Options{Suffix: ".eml"})
	flagged(a.mailbox("INBOX"))
	id := walk(t, s, "INBOX").Node
	if r, err := s.lookup(id, mhSequencesName); err != nil || r.Node != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSequencesFailAsTheListingDoes(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	flagged(box)
	dir := walk(t, s, "INBOX").Node
	box.setup(func() { box.loadErr = box.failure("load", 0, cache.Access, "no") })
	_, err := s.lookupSequencesWait(t.Context(), dir)
	wantErrno(t, "lookup", err, syscall.EACCES)
	box.setup(func() { box.loadErr = nil })
	r, _ := sequencesOf(t, s, dir)
	box.setup(func() { box.loadErr = box.failure("load", 0, cache.IO, "lost") })
	_, err = s.openWait(t.Context(), r.Node, fuse.OpenReadOnly)
	wantErrno(t, "open", err, syscall.EIO)
}

// A node is one text for ever, as the kernel may have half of it in its pages.
func TestOpenSequencesAreOneState(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	flagged(box)
	dir := walk(t, s, "INBOX").Node
	old, _ := sequencesOf(t, s, dir)
	k.take(s)
	box.setFlags(2, `\Seen`)
	if told := k.take(s); !slices.Equal(told, []string{fmt.Sprintf("entry %v .mh_sequences", dir)}) {
		t.Errorf("told: %q", told)
	}
	fresh, text := sequencesOf(t, s, dir)
	if want := strings.Replace(flaggedText, "1-3", "1 3", 1); text != want || fresh.Node == old.Node || fresh.Attr.Inode != old.Attr.Inode {
		t.Errorf("%q, nodes %v and %v, inodes %v and %v", text, old.Node, fresh.Node, old.Attr.Inode, fresh.Attr.Inode)
	}
	if !fresh.Attr.Mtime.After(old.Attr.Mtime) {
		t.Errorf("mtime %v, then %v", old.Attr.Mtime, fresh.Attr.Mtime)
	}
	if got := readAll(t, s, old); got != flaggedText {
		t.Errorf("who has it open reads %q", got)
	}
	if _, err := s.openWait(t.Context(), fresh.Node, fuse.OpenReadOnly); err != nil {
		t.Errorf("open: %v", err)
	}

	// What is no sequence changes nothing, nor does a change that is taken back.
	box.setFlags(2, `$Forwarded`, `\Seen`)
	if same, _ := sequencesOf(t, s, dir); same.Node != fresh.Node || same.Attr.Mtime != fresh.Attr.Mtime {
		t.Errorf("another keyword: %v, then %v", fresh, same)
	}
}

func TestForgottenSequencesAreDropped(t *testing.T) {
	s, a, k := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	flagged(box)
	dir := walk(t, s, "INBOX").Node
	r, _ := sequencesOf(t, s, dir)
	sequencesOf(t, s, dir)
	s.generated.forget(r.Node, 1)
	if got := readAll(t, s, r); got != flaggedText {
		t.Errorf("looked up twice and forgotten once: %q", got)
	}
	s.generated.forget(r.Node, 1)
	_, err := s.getattr(r.Node)
	wantErrno(t, "getattr", err, syscall.ESTALE)
	if n := len(s.generated.nodes); n != 0 {
		t.Errorf("%d nodes are kept", n)
	}
	k.take(s)
	box.setFlags(1, `$Junk`)
	if told := k.take(s); len(told) != 0 {
		t.Errorf("told of what the kernel does not have: %q", told)
	}
	again, text := sequencesOf(t, s, dir)
	if text != flaggedText || again.Attr.Mtime != r.Attr.Mtime {
		t.Errorf("%q of %v, before %v", text, again.Attr.Mtime, r.Attr.Mtime)
	}
	for range 3 { // a mailbox in use leaves nothing behind
		box.setFlags(1, `\Seen`)
		x, _ := sequencesOf(t, s, dir)
		box.setFlags(1)
		y, _ := sequencesOf(t, s, dir)
		s.generated.forget(x.Node, 1)
		s.generated.forget(y.Node, 1)
	}
	if n := len(s.generated.nodes); n != 1 {
		t.Errorf("%d nodes are kept", n)
	}
}

// OPEN refreshes, as opendir does. It turns its caller back once, not twice.
func TestOpenSequencesAsksTheServer(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	flagged(box)
	dir := walk(t, s, "INBOX").Node
	r, _ := sequencesOf(t, s, dir)
	box.setFlagsUnheard(1, `\Seen`)
	if _, err := s.open(r.Node, fuse.OpenReadOnly); err != errWait {
		t.Errorf("open: %v", err)
	}
	for range 2 { // two programs at once
		_, err := s.openWait(t.Context(), r.Node, fuse.OpenReadOnly)
		wantErrno(t, "open of the old", err, syscall.ESTALE)
	}
	r, text := sequencesOf(t, s, dir)
	if !strings.HasPrefix(text, "unseen: 2-3 7\n") {
		t.Errorf("%q", text)
	}
	box.setFlagsUnheard(2, `\Seen`)
	if _, err := s.openWait(t.Context(), r.Node, fuse.OpenReadOnly); err != nil {
		t.Errorf("open once more: %v", err)
	}
	if got := readAll(t, s, r); got != text {
		t.Errorf("%q", got)
	}
}

func TestSequencesEndWithTheirMailbox(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	box := a.mailbox("INBOX")
	flagged(box)
	old, _ := sequencesOf(t, s, walk(t, s, "INBOX").Node)
	box.setValidity(2)
	for what, err := range map[string]error{
		"read":    second(s.read(old.Node, 10, 0, nil)),
		"getattr": second(s.getattr(old.Node)),
		"open":    second(s.openWait(t.Context(), old.Node, fuse.OpenReadOnly)),
	} {
		wantErrno(t, what, err, syscall.ESTALE)
	}
	fresh, text := sequencesOf(t, s, walk(t, s, "INBOX").Node)
	if fresh.Node == old.Node || fresh.Attr.Inode != old.Attr.Inode || text != flaggedText {
		t.Errorf("%q, nodes %v and %v", text, old.Node, fresh.Node)
	}
	a.remove("INBOX")
	_, err := s.read(fresh.Node, 10, 0, nil)
	wantErrno(t, "read", err, syscall.ESTALE)
}

func second[T any](_ T, err error) error { return err }

// A LOOKUP that is answered by its deadline has been given no node.
func TestLateLookupCountsNothing(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	flagged(a.mailbox("INBOX"))
	dir := walk(t, s, "INBOX").Node
	w := s.newWaiting(dir)
	w.fail = func(syscall.Errno) {}
	var r fuse.LookupResponse
	done := make(chan struct{})
	w.late = func() {
		s.generated.forget(r.Node, 1)
		close(done)
	}
	req := &fuse.LookupRequest{Header: fuse.Header{ID: 7}}
	s.wait(req, w, func(ctx context.Context) (func(), error) {
		r, _ = s.lookupSequencesWait(ctx, dir)
		s.waits.take(7, w) // as an INTERRUPT does
		return nil, errors.New("of no use")
	})
	<-done
	if n := len(s.generated.nodes); r.Node == 0 || n != 0 {
		t.Errorf("node %v, %d kept", r.Node, n)
	}
}
