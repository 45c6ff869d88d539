package spool

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// files names what lies below a directory.
func files(t *testing.T, base string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(base, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestOrphansAreWhatNobodyHas: only what the server does not have is named, only when
// its daemon is gone, and looking changes nothing.
func TestOrphansAreWhatNobodyHas(t *testing.T) {
	base := t.TempDir()
	if found, err := Orphans(filepath.Join(base, "none")); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
	s, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ready := made(t, s, "Subject: ready\r\n\r\n")
	refused := made(t, s, "Subject: refused\r\n\r\n")
	check(refused.Refuse(Failure{Kind: "quota", Words: "no room"}))
	sending := made(t, s, "Subject: sending\r\n\r\n")
	check(sending.Send(1, 2))
	done := made(t, s, "Subject: done\r\n\r\n")
	check(done.Send(1, 2))
	check(done.Done(1, 7))
	scratch, err := s.Scratch(attrs(".swp"))
	check(err)
	_, err = scratch.WriteAt([]byte("x"), 0)
	check(err)
	if found, err := Orphans(base); err != nil || len(found) > 0 {
		t.Errorf("of a daemon that lives: %v, %v", found, err)
	}
	check(s.Close())

	before := files(t, base)
	found, err := Orphans(base)
	check(err)
	var got []string
	for _, o := range found {
		text, err := os.ReadFile(o.Path)
		check(err)
		got = append(got, o.ID+" "+o.State.String()+" "+o.Failure.Words+" "+strings.TrimSpace(string(text)))
		if o.Size != int64(len(text)) {
			t.Errorf("%d octets are said to be %d", len(text), o.Size)
		}
	}
	want := []string{
		ready.Info().ID + " ready  Subject: ready",
		refused.Info().ID + " refused no room Subject: refused",
		sending.Info().ID + " unknown  Subject: sending",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if after := files(t, base); !slices.Equal(before, after) {
		t.Errorf("looking left %q of %q", after, before)
	}
}

// TestLookingKeepsNoDaemonOut: whoever looks has the lock for an instant, and a daemon
// that begins then takes the directory all the same.
func TestLookingKeepsNoDaemonOut(t *testing.T) {
	base := t.TempDir()
	s, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	made(t, s, "Subject: x\r\n\r\n")
	lock := filepath.Join(s.dirs[0].path, lockName)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	looker, err := os.Open(lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(looker.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(lockPause, func() { looker.Close() })
	if n := len(opened(t, base).Entries()); n != 1 {
		t.Fatalf("%d texts were taken over", n)
	}
}
