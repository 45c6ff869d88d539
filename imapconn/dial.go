package imapconn

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	"imapfs/imapconn/imapwire"
)

// Dial connects, greets, protects the connection as TLS says, logs in, and says
// who we are: what it returns is ready for use. Its errors are *ConnError,
// *TLSError, *AuthError, what Credentials returned, or wrap ctx's; each is one
// line that ends with what to do.
func (d *Dialer) Dial(ctx context.Context) (*Client, error) {
	c := d.newClient()
	raw, err := d.dialTCP(ctx, c)
	if err != nil {
		return nil, err
	}
	c.raw = raw
	var conn net.Conn = d.metered(c, raw)
	if d.TLS == TLSImplicit {
		if conn, err = d.handshake(ctx, c, conn); err != nil {
			raw.Close()
			return nil, err
		}
	}
	greeted := c.start(conn)
	if err := d.open(ctx, c, greeted); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// metered puts what counts and bounds octets above a socket.
func (d *Dialer) metered(c *Client, raw net.Conn) net.Conn {
	traffic := d.Traffic
	if traffic == nil {
		traffic = new(Traffic)
	}
	m := meter{raw, &c.clock, c.timeout, &c.traffic, traffic}
	if d.Bandwidth == nil {
		return m
	}
	return limited{m, d.Bandwidth, &c.clock, c.done}
}

// newClient makes a Client without a connection.
func (d *Dialer) newClient() *Client {
	c := &Client{
		addr:    net.JoinHostPort(d.Host, strconv.Itoa(d.Port)),
		host:    d.Host,
		timeout: d.Timeout,
		log:     d.Logger,
		gains:   d.Compression,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		clock:   clock{start: time.Now()},

		unproved: d.TLS == TLSStartTLS,
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if d.Trace != nil {
		d.mu.Lock()
		d.conns++
		c.trace = &tracer{w: d.Trace, shared: &d.mu, conn: d.conns}
		d.mu.Unlock()
	}
	return c
}

// start begins to read and write. The server owes a greeting.
func (c *Client) start(conn net.Conn) (greeted *command) {
	c.conn = conn
	c.dec = imapwire.NewDecoder(c.traced(conn))
	c.sink = newSink(conn, c.trace)
	greeted = &command{op: "greeting", alone: true, answer: &greeting{}, done: make(chan struct{})}
	c.flight = []*command{greeted}
	c.clock.touch()
	c.group.Add(2)
	go c.readLoop()
	go c.writeLoop()
	return greeted
}

// open takes a connection from the greeting to the authenticated state.
func (d *Dialer) open(ctx context.Context, c *Client, greeted *command) error {
	var preauth bool
	err := c.inTime(ctx, func(ctx context.Context) (err error) {
		preauth, err = c.awaitGreeting(ctx, greeted)
		return err
	})
	if err != nil {
		return d.greetingError(err)
	}
	if d.TLS == TLSStartTLS {
		if preauth {
			return &TLSError{c.addr, errors.New("server has logged us in before STARTTLS"), "use imaps:// or --tls none"}
		}
		err := c.inTime(ctx, func(ctx context.Context) error { return d.startTLS(ctx, c) })
		if err != nil {
			return err
		}
	}
	if !preauth {
		if err := d.login(ctx, c); err != nil {
			return err
		}
	}
	if err := c.inTime(ctx, c.knowCaps); err != nil {
		return err
	}
	if err := c.inTime(ctx, func(ctx context.Context) error { return d.compress(ctx, c) }); err != nil {
		return err
	}
	if err := c.inTime(ctx, c.introduce); err != nil {
		return d.compressionError(c, err)
	}
	return nil
}

// inTime takes a step of opening a connection, within the time limit as a whole:
// a server that goes on saying something else, octet by octet, is not silent, and
// nobody but who dials would ever give it up.
func (c *Client) inTime(ctx context.Context, step func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := step(within)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return c.broken(errSilent{c.timeout})
	}
	return err
}

// greetingError says what to do about a server that does not greet.
func (d *Dialer) greetingError(err error) error {
	var e *ConnError
	if alert, ok := remoteAlert(err); ok && errors.As(err, &e) {
		return alertError(e.Addr, alert, e.Err)
	}
	if errors.As(err, &e) && e.Timeout() && d.TLS != TLSImplicit {
		e.Hint = "if the port expects TLS use imaps://"
	}
	return err
}
