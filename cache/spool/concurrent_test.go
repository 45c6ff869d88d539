package spool

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"imapfs/imapconn/imapwire"
)

// TestManyAtOnce has programs write generations of one name, and a sender send them,
// while mailboxes are renamed and listings made: nothing waits for ever, and each
// name's last text is what was sent last.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := inMemory(t)
	const names, rounds = 4, 8
	var wait, listing sync.WaitGroup
	stop := make(chan struct{})
	listing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, e := range s.Entries() {
				e.ReadAt(make([]byte, 10), 0)
			}
			if err := s.Hide("INBOX", 7, imapwire.SetOf(UID(i%9+1))); err != nil {
				t.Error(err)
				return
			}
			from, to := "a"+strconv.Itoa(i%2), "a"+strconv.Itoa((i+1)%2)
			if err := s.RenameMailbox(Mailbox{Wire: from, Path: []string{from}}, Mailbox{Wire: to, Path: []string{to}}, '/'); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for n := range names {
		wait.Go(func() {
			e, err := s.Create(Attrs{Mailbox: Mailbox{"a0", []string{"a0"}}, Name: strconv.Itoa(n)})
			if err != nil {
				t.Error(err)
				return
			}
			var last string
			ready := make(chan *Entry, rounds)
			var sender sync.WaitGroup
			sender.Go(func() {
				uid := UID(0)
				for e := range ready {
					err := e.Send(7, uid+1)
					if errors.Is(err, ErrSuperseded) || errors.Is(err, ErrGone) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					if last, err = sent(e); err != nil {
						t.Error(err)
					}
					was := e.Info().Replaces
					if uid == 0 && len(was) > 0 || uid > 0 && (len(was) != 1 || was[0].UID != uid) {
						t.Errorf("%v are replaced, want %d", was, uid)
					}
					uid++
					if err := e.Done(7, uid); err != nil {
						t.Error(err)
					}
					e.Replaced()
					if err := e.Remove(); err != nil && !errors.Is(err, ErrGone) {
						t.Error(err)
					}
				}
			})
			for i := range rounds {
				if i > 0 { // the next generation, of whatever has become of the last
					next, err := e.Edit(0)
					if errors.Is(err, ErrGone) { // sent and removed: a file anew
						next, err = s.Create(e.Info().Attrs)
						if err == nil {
							err = next.Set(func(a *Attrs) { a.Replaces = []Message{e.Info().Where()} })
						}
					}
					if err != nil {
						t.Error(err)
						return
					}
					e = next
				}
				if _, err := e.WriteAt([]byte("A: "+strconv.Itoa(i)+"\n\n"), 0); err != nil {
					t.Error(err)
				}
				if err := e.Commit(); err != nil {
					t.Error(err)
				}
				ready <- e
			}
			close(ready)
			sender.Wait()
			if want := "A: " + strconv.Itoa(rounds-1); !strings.HasPrefix(last, want) {
				t.Errorf("sent last: %q, want %q", last, want)
			}
		})
	}
	wait.Wait()
	close(stop)
	listing.Wait()
	if n := len(s.Entries()); n != 0 {
		t.Errorf("%d texts are left", n)
	}
}

// BenchmarkMessage is what the spool costs for a message that the server takes at once.
func BenchmarkMessage(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	text := []byte("Subject: x\n\n" + strings.Repeat("line\n", 1600))
	for b.Loop() {
		e, err := s.Create(attrs("1"))
		if err != nil {
			b.Fatal(err)
		}
		e.WriteAt(text, 0)
		for _, err := range []error{e.Commit(), e.Send(7, 1), e.Done(7, 1), e.Close(), e.Remove()} {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
