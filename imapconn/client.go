package imapconn

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"imapfs/imapconn/imapwire"
)

// Caps is an immutable set of capabilities.
type Caps = imapwire.Caps

// Client is one connection to a server, logged in. Its methods may be called by
// several goroutines; their commands share the connection as RFC 3501 §5.5
// permits. A command is for the mailbox that is selected when it is sent: who
// shares a Client decides together what is selected.
//
// Two goroutines belong to a Client, one that reads and one that writes. Close
// waits for both.
type Client struct {
	addr    string // host:port
	host    string
	timeout time.Duration
	log     *slog.Logger
	trace   *tracer // nil: none

	raw        net.Conn                            // below TLS; set before the goroutines start
	clock      clock                               // when an octet last moved on raw
	traffic    Traffic                             // on raw
	tls        atomic.Pointer[tls.ConnectionState] // nil: in the clear
	compressed atomic.Bool
	gains      *Compression // is told how fast texts come; nil: nobody asks

	group sync.WaitGroup
	wake  chan struct{} // tells the writer to look again; holds one
	done  chan struct{} // closed when err is set

	// The writing goroutine's own; the reader's while STARTTLS or COMPRESS is alone.
	sink  *sink
	timer *time.Timer
	held  held

	probing bool // the kernel asks every two seconds

	// The reading goroutine's own.
	conn   net.Conn // above TLS, below compression
	dec    *imapwire.Decoder
	flags  imapwire.FlagTable
	answer fetchAnswer
	alerts int
	stream stream

	unproved bool // STARTTLS is to come: nobody knows who speaks

	mu        sync.Mutex // held briefly, never across the network or a callback
	err       error      // why the connection is dead
	caps      Caps
	enabled   Caps
	qresync   bool       // we have enabled it
	noModSeqs bool       // a parameter of SELECT was answered BAD: none is sent any more
	queue     []*command // not sent, in order
	flight    []*command // sent and not answered, in order
	lastTag   uint64
	flights   int64    // how often a command was sent while none was unanswered
	waiting   *command // told to wait for a +, by the server's grammar
	plus      []byte   // what the + said
	hasPlus   bool
	box       *selection // what is selected or being selected; nil: nothing
	everOpen  bool       // a SELECT or EXAMINE was sent: ENABLE comes too late
	idle      bool       // a caller is in Idle
	watcher   Watcher    // is told of what is not selected (notify.go); nil: nobody
	leaving   bool       // LOGOUT was sent: BYE and the end are expected
	login     Login
}

// Caps returns what the server offers, as it said last.
func (c *Client) Caps() Caps {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.caps
}

// Done is closed when the connection is dead; Err then says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil while the connection lives; then ErrClosed, or a *ConnError
// with the cause.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection now and waits for its goroutines. Commands under
// way return ErrClosed. It must not be called from a callback.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	c.group.Wait()
	return nil
}

// Drop ends the connection now with a cause, a *ConnError, and waits for nothing.
// It is for who knows better than the connection that it is dead; Close comes
// after it.
func (c *Client) Drop(cause error) { c.fail(&ConnError{Addr: c.addr, Err: cause}) }

// LocalAddr is this end of the connection.
func (c *Client) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// Heard is how long ago the server's last octet came.
func (c *Client) Heard() time.Duration { return c.clock.sinceHeard() }

// Quiet is how long ago an octet last moved, either way.
func (c *Client) Quiet() time.Duration { return c.clock.since() }

// Logout says LOGOUT, waits for the answer as long as ctx allows, and closes.
func (c *Client) Logout(ctx context.Context) error {
	err := c.do(ctx, &command{op: "LOGOUT", alone: true, admitted: func() { c.leaving = true }})
	c.Close()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// Noop gives the server a chance to say what it knows (RFC 3501 §6.1.2).
func (c *Client) Noop(ctx context.Context) error {
	return c.do(ctx, &command{op: "NOOP"})
}

// fail ends the connection with its cause, once. Every command is answered
// with it. It closes the socket itself, not TLS, whose Close may wait for a
// peer that is gone.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if c.leaving {
		err = ErrClosed
	}
	c.err = err
	close(c.done)
	c.raw.Close()
	for _, cmd := range append(c.flight, c.queue...) {
		cmd.finish(err)
	}
	c.flight, c.queue, c.box = nil, nil, nil
}

// dead reports whether the connection has failed.
func (c *Client) dead() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
