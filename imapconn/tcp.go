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

// dialTCP connects, within the time limit.
func (d *Dialer) dialTCP(ctx context.Context, c *Client) (net.Conn, error) {
	dial := d.DialContext
	if dial == nil {
		nd := net.Dialer{KeepAliveConfig: keepAlive, Control: userTimeout(c.timeout)}
		dial = nd.DialContext
	}
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := dial(within, "tcp", c.addr)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("connect to %s: %w", c.addr, ctx.Err())
	case within.Err() != nil:
		return nil, &ConnError{Addr: c.addr, Err: errSilent{c.timeout}}
	}
	return nil, d.connectError(c.addr, err)
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
