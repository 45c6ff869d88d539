package imaptest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"imapfs/imapconn/imapwire"
)

// StrictOptions says what of all that RFC 1730 permits a Strict server does. The
// zero value is the plainest server.
type StrictOptions struct {
	// OutOfOrder executes pipelined FETCH commands last first (section 5.5).
	OutOfOrder bool
	// ExpungeInFetch sends EXPUNGE inside the answers to UID commands, which
	// section 7.3.1 forbids only for FETCH, STORE and SEARCH by number.
	ExpungeInFetch bool
	// BareFetch leaves out the parentheses of FETCH data, as the example of section
	// 6.4.7 does.
	BareFetch bool
	// Obsolete sends the responses of appendix B besides the others.
	Obsolete bool
	// OldDates gives INTERNALDATE in the obsolete form, "17-Jul-94 02:44:25-PDT".
	OldDates bool
	// NoPermanentFlags leaves PERMANENTFLAGS out: then all of FLAGS are permanent.
	NoPermanentFlags bool
	// Delimiter is the hierarchy delimiter; 0 is NIL.
	Delimiter byte
}

// Strict is an in-memory server of RFC 1730 and of nothing newer: it reads commands
// by the grammar of section 9 to the letter and answers BAD to anything else:
// BODY.PEEK[], BODY[]<>, STATUS, UNSELECT, NAMESPACE, IDLE, UID EXPUNGE, literals
// that do not synchronise, 8-bit octets in quoted strings. It keeps neither
// envelopes nor body structures, and says NO to who asks for them.
type Strict struct {
	Addr, User, Password string

	tb       TB
	options  StrictOptions
	listener net.Listener
	wg       sync.WaitGroup

	mu         sync.Mutex // guards all that follows, the boxes and the sessions' views
	boxes      []*strictBox
	subscribed map[string]bool
	commands   []string
	sessions   map[*strictSession]struct{}
	validity   uint32
}

// strictBox is a mailbox of a Strict server.
type strictBox struct {
	name     string // as on the wire
	validity uint32
	next     imapwire.UID
	messages []*strictMessage // in UID order
}

type strictMessage struct {
	uid    imapwire.UID
	text   []byte
	flags  []string // without \Recent
	date   time.Time
	recent bool // no SELECT has seen it
	gone   bool // expunged
}

// NewStrict starts a Strict server on 127.0.0.1, with an empty INBOX. It ends with
// the test.
func NewStrict(tb TB, o StrictOptions) *Strict {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Strict{
		Addr: l.Addr().String(), User: "alice", Password: "strict-secret",
		tb: tb, options: o, listener: l, validity: 730,
		subscribed: make(map[string]bool), sessions: make(map[*strictSession]struct{}),
	}
	s.create("INBOX")
	s.wg.Add(1)
	go s.accept()
	tb.Cleanup(s.close)
	return s
}

func (s *Strict) accept() {
	defer s.wg.Done()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		se := newStrictSession(s, c)
		s.mu.Lock()
		s.sessions[se] = struct{}{}
		s.mu.Unlock()
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			se.serve()
			s.mu.Lock()
			delete(s.sessions, se)
			s.mu.Unlock()
		}()
	}
}

func (s *Strict) close() {
	s.listener.Close()
	s.Cut()
	s.wg.Wait()
}

// Cut ends all connections.
func (s *Strict) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for se := range s.sessions {
		reset(se.conn)
	}
}

// Create makes a mailbox; name is as on the wire.
func (s *Strict) Create(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.create(name)
}

func (s *Strict) create(name string) *strictBox {
	s.validity++
	b := &strictBox{name: name, validity: s.validity, next: 1}
	s.boxes = append(s.boxes, b)
	return b
}

// Remove deletes a mailbox, as another client does.
func (s *Strict) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boxes = slices.DeleteFunc(s.boxes, func(b *strictBox) bool { return sameBox(b.name, name) })
}

// Deliver puts a message into a mailbox, as another client does. Sessions that
// have it open are told at once: EXISTS may come unasked.
func (s *Strict) Deliver(name string, text []byte, date time.Time, flags ...string) imapwire.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deliver(s.must(name), text, date, flags).uid
}

func (s *Strict) deliver(b *strictBox, text []byte, date time.Time, flags []string) *strictMessage {
	m := &strictMessage{uid: b.next, text: text, flags: slices.Clone(flags), date: date, recent: true}
	b.next++
	b.messages = append(b.messages, m)
	for se := range s.sessions {
		if se.box == b {
			se.tellExists()
			se.flush()
		}
	}
	return m
}

// Expunge removes messages, as another client does. Sessions are told with their
// next command, never before.
func (s *Strict) Expunge(name string, uids ...imapwire.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expunge(s.must(name), func(m *strictMessage) bool { return slices.Contains(uids, m.uid) })
}

func (s *Strict) expunge(b *strictBox, which func(*strictMessage) bool) {
	b.messages = slices.DeleteFunc(b.messages, func(m *strictMessage) bool {
		m.gone = m.gone || which(m)
		return m.gone
	})
}

// SetFlags changes the flags of a message, as another client does.
func (s *Strict) SetFlags(name string, uid imapwire.UID, flags ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.must(name)
	for _, m := range b.messages {
		if m.uid == uid {
			m.flags = slices.Clone(flags)
			s.changed(b, m, nil)
		}
	}
}

// changed has every session that knows a message tell of its flags with its next
// command. b's sessions are meant, but for the one that knows already.
func (s *Strict) changed(b *strictBox, m *strictMessage, but *strictSession) {
	for se := range s.sessions {
		if se.box == b && se != but && !slices.Contains(se.changed, m) {
			se.changed = append(se.changed, m)
		}
	}
}

// Flags are the flags of a message, `\Recent` among them.
func (s *Strict) Flags(name string, uid imapwire.UID) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.must(name).messages {
		if m.uid == uid {
			return m.allFlags()
		}
	}
	return nil
}

func (m *strictMessage) allFlags() []string {
	flags := slices.Clone(m.flags)
	if m.recent {
		flags = append(flags, `\Recent`)
	}
	slices.Sort(flags)
	return flags
}

// SetValidity changes UIDVALIDITY and all UIDs with it: they begin at first.
// Sessions that have the mailbox open are cut off: it cannot change in a session.
func (s *Strict) SetValidity(name string, v uint32, first imapwire.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.must(name)
	was := b.messages
	b.validity, b.next, b.messages = v, first, nil
	for _, m := range was {
		again := *m
		again.uid = b.next
		b.next++
		b.messages = append(b.messages, &again)
		m.gone = true
	}
	for se := range s.sessions {
		if se.box == b {
			se.leave()
			reset(se.conn)
		}
	}
}

// Commands are the commands that came, in order, without tags or literals' sizes;
// those that begin with name, all of them for "".
func (s *Strict) Commands(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var came []string
	for _, c := range s.commands {
		if strings.HasPrefix(c, name) {
			came = append(came, c)
		}
	}
	return came
}

// sameBox compares names: INBOX in any case, all others octet by octet.
func sameBox(a, b string) bool {
	return a == b || strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}

// find is the mailbox of that name, nil if there is none. s.mu is held.
func (s *Strict) find(name string) *strictBox {
	for _, b := range s.boxes {
		if sameBox(b.name, name) {
			return b
		}
	}
	return nil
}

// must is find for tests.
func (s *Strict) must(name string) *strictBox {
	b := s.find(name)
	if b == nil {
		s.tb.Fatalf("imaptest: there is no mailbox %q", name)
	}
	return b
}
