package imaptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// MemoryOptions says how a Memory differs from the usual one.
type MemoryOptions struct {
	// Revision2 offers IMAP4rev2 (RFC 9051) besides IMAP4rev1.
	Revision2 bool
}

// Memory is the in-memory server of emersion/go-imap: quick to start, with one
// user, speaking neither TLS nor STARTTLS. It is also what `imapfs demo` shows.
// It has faults of its own (UID MOVE answers `* 0 EXPUNGE`, flags come in lower
// case): it is for speed, not for truth.
type Memory struct {
	Addr, User, Password string // Addr is host:port

	user   *imapmemserver.User
	server *imapserver.Server
	done   chan error

	mu     sync.Mutex
	exists map[string]bool // the mailboxes that were made
}

// NewMemory starts a Memory on 127.0.0.1, with an empty INBOX.
func NewMemory(o MemoryOptions) (*Memory, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &Memory{
		Addr: listener.Addr().String(), User: "alice", Password: "memory-secret",
		done: make(chan error, 1), exists: make(map[string]bool),
	}
	m.user = imapmemserver.NewUser(m.User, m.Password)
	accounts := imapmemserver.New()
	accounts.AddUser(m.user)
	caps := imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapLiteralPlus: {}}
	if o.Revision2 {
		caps[imap.CapIMAP4rev2] = struct{}{}
	}
	m.server = imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return accounts.NewSession(), nil, nil
		},
		Caps:         caps,
		InsecureAuth: true, // loopback only
		Logger:       log.New(io.Discard, "", 0),
	})
	if err := m.Create("INBOX"); err != nil {
		listener.Close()
		return nil, err
	}
	go func() { m.done <- m.server.Serve(listener) }()
	return m, nil
}

// Create makes a mailbox, its levels separated by '/', if it is not there.
func (m *Memory) Create(mailbox string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exists[mailbox] {
		return nil
	}
	if err := m.user.Create(mailbox, nil); err != nil {
		return fmt.Errorf("create %s: %w", mailbox, err)
	}
	m.exists[mailbox] = true
	return nil
}

// Append delivers a text, octet for octet, into a mailbox that is made if
// missing. Whoever has it open is told.
func (m *Memory) Append(mailbox string, text []byte, flags []string, date time.Time) error {
	if err := m.Create(mailbox); err != nil {
		return err
	}
	options := &imap.AppendOptions{Time: date}
	for _, f := range flags {
		options.Flags = append(options.Flags, imap.Flag(f))
	}
	if _, err := m.user.Append(mailbox, bytes.NewReader(text), options); err != nil {
		return fmt.Errorf("append to %s: %w", mailbox, err)
	}
	return nil
}

// Close ends all sessions and the server.
func (m *Memory) Close() error {
	err := m.server.Close()
	<-m.done // Serve ends with an error that says only that it was closed
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
