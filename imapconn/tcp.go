package imapconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// An idle connection is asked for a sign of life by the kernel, so that one
// whose network has gone is known dead after a minute without a timer of ours.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// probes are for a connection on which an answer is overdue. How long none of them
// may be answered is for the time limit to say.
var probes = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: 2 * time.Second, Count: 100}

// connectAgain is after how long without an answer one more attempt to connect
// is made. The kernel repeats its own ever more seldom, and would find out late
// that the network is back.
const connectAgain = 2 * time.Second

// dialTCP connects, within the time limit.
func (d *Dialer) dialTCP(ctx context.Context, c *Client) (net.Conn, error) {
	dial := d.DialContext
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: -1}).DialContext // tune does
	}
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := connect(within, func(ctx context.Context) (net.Conn, error) { return dial(ctx, "tcp", c.addr) })
	switch {
	case err == nil:
		if err := tune(conn, c.timeout); err != nil {
			c.log.Debug("the kernel does not look after a connection", "err", err)
		}
		return conn, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("connect to %s: %w", c.addr, ctx.Err())
	case within.Err() != nil:
		return nil, &ConnError{Addr: c.addr, Err: errSilent{c.timeout}}
	}
	return nil, d.connectError(c.addr, err)
}

// connect makes attempts until one has an answer, good or bad, or ctx ends. The
// first goes on, so that a far server has its time; the newest takes the place
// of the one before it.
func connect(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
		ctx  context.Context
	}
	ctx, cancel := context.WithCancel(ctx)
	answers, under := make(chan answer), 0
	defer func() {
		cancel()
		for ; under > 0; under-- {
			if late := <-answers; late.err == nil {
				late.conn.Close()
			}
		}
	}()
	attempt := func() context.CancelFunc {
		ctx, cancel := context.WithCancel(ctx)
		under++
		go func() { // waited for above
			conn, err := dial(ctx)
			answers <- answer{conn, err, ctx}
		}()
		return cancel
	}
	defer attempt()()
	newest := func() {}
	again := time.NewTicker(connectAgain)
	defer again.Stop()
	for {
		select {
		case a := <-answers:
			under--
			if a.err == nil || a.ctx.Err() == nil || ctx.Err() != nil {
				return a.conn, a.err
			}
		case <-again.C:
			newest()
			newest = attempt()
		}
	}
}

// tune has the kernel look after a connection: keepAlive, and the time limit for
// what was sent and is not acknowledged. What is no *net.TCPConn is left as it is.
func tune(conn net.Conn, timeout time.Duration) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	if err := tcp.SetKeepAliveConfig(keepAlive); err != nil {
		return err
	}
	return limitSilence(tcp, timeout)
}

// connectError says what to do about a failed connect.
func (d *Dialer) connectError(addr string, err error) error {
	e := &ConnError{Addr: addr, Err: plainly(err)}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Err = &plainError{"unknown host", err}
		e.Hint = "check the name"
	case errors.As(err, &dns):
		e.Err = &plainError{"the name cannot be looked up", err}
		e.Hint = "is the network up?"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Hint = "check host and port: nothing answers there"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		e.Hint = "is the network up?"
	}
	return e
}

// plainError is a cause in fewer words.
type plainError struct {
	text  string
	cause error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.cause }

// Timeout reports whether the cause was a timeout.
func (e *plainError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.cause, &t) && t.Timeout()
}

// plainly takes addresses and system calls out of a network error's text, which
// ConnError gives once.
func plainly(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &plainError{"server closed the connection", err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &plainError{"no octet could be sent in time", err}
	case errors.As(err, &errno):
		return &plainError{errno.Error(), err}
	}
	return err
}
