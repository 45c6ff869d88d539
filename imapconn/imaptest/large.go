package imaptest

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"imapfs/imapconn/imapwire"
)

// Large is an IMAP4rev1 server with as many messages and mailboxes as one likes:
// it makes up what it is asked for out of the UID, and keeps only what a test has
// changed. A million messages are there at once.
//
// Sessions are told of changes with their next NOOP, and at once where they idle.
type Large struct {
	Addr, User, Password string

	tb       TB
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex // guards all that follows, and what the sessions know
	boxes    map[string]*largeBox
	names    []string // in the order of LIST
	sessions map[*largeSession]struct{}
	counts   map[string]int
	caps     string
	twist    func([]string) []string
}

// LargeCapabilities is what a Large server offers unless told otherwise.
const LargeCapabilities = "IMAP4rev1 IDLE UNSELECT"

// largeBox is a mailbox: every UID below next, but for those that are gone.
type largeBox struct {
	name     string
	validity uint32
	next     imapwire.UID
	gone     []imapwire.UID // sorted
	flags    []largeFlags   // what changed, the last that names a message counts
	news     []largeNews    // since the beginning
}

type largeFlags struct {
	first, last imapwire.UID
	flags       string
}

// largeNews is one change: new mail where there is neither gone nor flags.
type largeNews struct {
	gone        []imapwire.UID // sorted
	flags       *largeFlags
	first, last imapwire.UID // of the new mail
}

// NewLarge starts a server whose INBOX has so many messages, beside so many other
// mailboxes of ten messages each, named box-0001 and on. It ends with the test.
func NewLarge(tb TB, messages, mailboxes int) *Large {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Large{
		Addr: l.Addr().String(), User: "alice", Password: "large-secret",
		tb: tb, listener: l, caps: LargeCapabilities,
		boxes: make(map[string]*largeBox), sessions: make(map[*largeSession]struct{}), counts: make(map[string]int),
	}
	s.create("INBOX", messages)
	for i := range mailboxes {
		s.create(fmt.Sprintf("box-%04d", i+1), 10)
	}
	s.wg.Add(1)
	go s.accept()
	tb.Cleanup(s.close)
	return s
}

func (s *Large) create(name string, messages int) {
	s.names = append(s.names, name)
	s.boxes[name] = &largeBox{name: name, validity: uint32(len(s.names)), next: imapwire.UID(messages) + 1}
}

func (s *Large) accept() {
	defer s.wg.Done()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		se := newLargeSession(s, c)
		s.mu.Lock()
		s.sessions[se] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			se.serve()
			s.mu.Lock()
			delete(s.sessions, se)
			s.mu.Unlock()
		})
	}
}

func (s *Large) close() {
	s.listener.Close()
	s.Cut()
	s.wg.Wait()
}

// Cut resets all connections.
func (s *Large) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for se := range s.sessions {
		reset(se.conn)
	}
}

// Counts is how often each command came: "EXAMINE", "UID FETCH".
func (s *Large) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Deliver puts n new messages into a mailbox.
func (s *Large) Deliver(name string, n int) {
	s.change(name, func(b *largeBox) largeNews {
		first := b.next
		b.next += imapwire.UID(n)
		return largeNews{first: first, last: b.next - 1}
	})
}

// SetFlags gives the messages from first to last other flags, as on the wire.
func (s *Large) SetFlags(name string, first, last imapwire.UID, flags string) {
	s.change(name, func(b *largeBox) largeNews {
		b.flags = append(b.flags, largeFlags{first, last, flags})
		return largeNews{flags: &b.flags[len(b.flags)-1]}
	})
}

// Expunge removes messages that are there. Sessions are told from the last to the
// first, as Dovecot does.
func (s *Large) Expunge(name string, uids ...imapwire.UID) {
	s.change(name, func(b *largeBox) largeNews {
		gone := slices.Sorted(slices.Values(uids))
		b.gone = slices.Sorted(slices.Values(slices.Concat(b.gone, gone)))
		return largeNews{gone: gone}
	})
}

func (s *Large) change(name string, f func(*largeBox) largeNews) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[name]
	if b == nil {
		s.tb.Fatalf("imaptest: there is no mailbox %q", name)
	}
	b.news = append(b.news, f(b))
	for se := range s.sessions {
		if se.box == b && se.idling {
			se.tell()
		}
	}
}

// messages is how many there are. The server's lock is held.
func (b *largeBox) messages() int { return int(b.next) - 1 - len(b.gone) }

// flagsOf are the flags of a message. The server's lock is held.
func (b *largeBox) flagsOf(uid imapwire.UID) string {
	for _, f := range slices.Backward(b.flags) {
		if f.first <= uid && uid <= f.last {
			return f.flags
		}
	}
	switch {
	case uid%100 == 0:
		return `\Seen \Flagged`
	case uid%7 == 0:
		return ""
	}
	return `\Seen`
}
