package cache

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

func TestOpenLoadRead(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	s.Mailbox("Archive/2023")
	var sizes = []int{0, 1, 2, 60, 8000, blockLen, smallText, smallText + 1, smallText + blockLen, 3_000_001}
	for i, n := range sizes {
		in.Add(text(i, n))
	}
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	snap := mustLoad(t, m)
	if snap.Len() != len(sizes) || snap.Validity() != 1000 {
		t.Fatalf("%d messages under %d", snap.Len(), snap.Validity())
	}
	for i, n := range sizes {
		uid := snap.At(i).UID
		checkText(t, m, uid, text(i, n))
		for _, step := range []int{1000, 4096, 300_000} {
			if got, err := readAll(t, m, uid, step); err != nil || string(got) != string(text(i, n)) {
				t.Errorf("message %d of %d octets by %d: %d octets, %v", uid, n, step, len(got), err)
			}
		}
	}
	archive := box(t, a, "Archive")
	if archive.Selectable() || !box(t, a, "Archive", "2023").Selectable() || a.Tree().Parent(archive) != a.Tree().Root() {
		t.Error("Archive was not listed and is a mailbox")
	}
	if len(s.Commands("UNKNOWN")) > 0 || len(s.Commands("SELECT")) > 0 {
		t.Error("SELECT was sent")
	}
}

func TestDovecotFromMailboxesToOctets(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs Dovecot")
	}
	d := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	var want [][]byte
	for i := range 300 {
		want = append(want, text(i, 100+i*37))
	}
	want = append(want, text(300, 20<<20))
	d.Deliver(t, "INBOX", want...)
	d.Deliver(t, "Entwürfe/Ärger", text(1, 1000))
	a := open(t, d.Addr, d.User, d.Password)
	m := box(t, a, "INBOX")
	snap := mustLoad(t, m)
	if snap.Len() != len(want) {
		t.Fatalf("%d messages of %d", snap.Len(), len(want))
	}
	for i, w := range want {
		checkText(t, m, snap.At(i).UID, w)
	}
	other := box(t, a, "Entwürfe", "Ärger")
	if got := mustLoad(t, other); got.Len() != 1 {
		t.Fatalf("%d messages", got.Len())
	}
	checkText(t, other, 1, text(1, 1000))
	if fmt.Sprint(other.Path()) != "[Entwürfe Ärger]" || !slices.Equal(other.Path(), []string{"Entwürfe", "Ärger"}) {
		t.Errorf("%q", other.Path())
	}
}

// TestCloseEndsWhatHasLeftThePool closes an account just when a session of it has been given
// up: too late for that one to be logged out, and no longer among those that Close logs out.
func TestCloseEndsWhatHasLeftThePool(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 100))
	a := openScripted(t, s)
	mustLoad(t, box(t, a, "INBOX"))
	a.pool.mu.Lock()
	for _, c := range slices.Clone(a.pool.conns) {
		a.pool.drop(c)
	}
	a.pool.mu.Unlock()
	closed := make(chan struct{})
	go func() {
		a.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patient):
		t.Fatal("Close does not end")
	}
}
