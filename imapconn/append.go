package imapconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"imapfs/imapconn/imapwire"
)

// NewMessage is a message that is to be stored.
type NewMessage struct {
	// Text is read once, Size octets of it, by the goroutine that writes the
	// connection, and not any more once the call has returned. It comes from disk
	// or memory: a Read that waits holds up all commands.
	Text   io.Reader
	Size   int64     // octets, up to imapwire.MaxLiteral
	Flags  []string  // \Recent is an error
	Date   time.Time // INTERNALDATE, to the second; zero: the server's clock
	Binary bool      // the text holds NUL: ErrNotOffered where the server has no BINARY
}

// AppendData names a message that was stored.
type AppendData struct {
	UIDValidity UIDValidity
	UID         UID // 0: the server did not say (no UIDPLUS, UIDNOTSTICKY, no right to look)
}

// AppendState says what became of a text whose APPEND or REPLACE is an error.
type AppendState uint8

// The states. What the server answers after the last octet was written decides
// between Refused and success; where no answer came it is Unknown.
const (
	// NotSent: its last octet was never written, so the server cannot have it.
	NotSent AppendState = iota
	// Unknown: all of it was written and no tagged answer came. The server may
	// have it, once.
	Unknown
	// Refused: the server said NO or BAD. It has not stored it.
	Refused
)

// String names the state.
func (s AppendState) String() string { return [...]string{"not sent", "unknown", "refused"}[s] }

// AppendError is the error of Append and Replace.
type AppendError struct {
	State AppendState
	Err   error // a *StatusError where the server refused
}

// Error gives the cause, and says where it is open whether the text was stored.
func (e *AppendError) Error() string {
	if e.State == Unknown {
		return e.Err.Error() + " (whether the server has the message is not known)"
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *AppendError) Unwrap() error { return e.Err }

// Append stores a message at the end of a mailbox (RFC 3501 §6.3.11). mailbox is
// a wire name; it need not be selected, and must not be examined on this
// connection: Courier refuses that. Every error is an *AppendError that says
// whether the server may have the message.
//
// The text streams: 32 KiB of it are in memory at a time. Up to 1 MiB goes at once
// where the server takes that (RFC 7888); a larger one waits for the server's +,
// so that what is refused is not sent for nothing (RFC 7889 §4).
//
// While octets of the text move, in whatever time, nothing is given up; when none
// moves for the time limit the connection is. When ctx ends before the command is
// sent it never is; when it ends before the text is whole the connection must be
// closed, for the server waits for the rest; after that the answer is drained. A
// Text that fails or ends early closes the connection too.
func (c *Client) Append(ctx context.Context, mailbox string, m NewMessage) (AppendData, error) {
	return c.upload(ctx, c.mailboxCommand("APPEND", mailbox), m)
}

// upload sends a command that ends in a text: flags, date and the literal are
// added here.
func (c *Client) upload(ctx context.Context, cmd *command, m NewMessage) (AppendData, error) {
	u := &upload{c: c, text: m.Text, size: m.Size}
	if err := u.prepare(cmd, m); err != nil {
		return AppendData{}, &AppendError{NotSent, err}
	}
	err := c.do(ctx, cmd)
	u.release(ctx, cmd)
	switch {
	case err == nil:
		return u.data, nil
	case isAnswer(err):
		return AppendData{}, &AppendError{Refused, err}
	case u.sent.Load():
		return AppendData{}, &AppendError{Unknown, err}
	}
	return AppendData{}, &AppendError{NotSent, err}
}

// isAnswer reports whether err is the tagged answer itself: a BYE that ended the
// connection is inside a *ConnError and answers nothing.
func isAnswer(err error) bool {
	_, ok := err.(*StatusError)
	return ok
}

// prepare completes the command, or says why it cannot be sent.
func (u *upload) prepare(cmd *command, m NewMessage) error {
	have := u.c.Caps()
	switch {
	case m.Size < 0 || m.Size > imapwire.MaxLiteral:
		return fmt.Errorf("%s: a text of %d octets cannot be sent", cmd.describe(), m.Size)
	case m.Binary && !have.Has("BINARY"):
		return fmt.Errorf("%s: a text with NUL: %w", cmd.describe(), ErrNotOffered)
	case m.Size > fixedAppendLimit(have):
		return fmt.Errorf("%s: %w (%d octets)", cmd.describe(), ErrAppendLimit, fixedAppendLimit(have))
	}
	if len(m.Flags) > 0 {
		cmd.enc.Raw(" ").Flags(m.Flags)
	}
	if !m.Date.IsZero() {
		cmd.enc.Raw(" ").Date(m.Date)
	}
	if len(cmd.enc.Octets()) > maxSetOctets {
		return fmt.Errorf("%s: %w", cmd.describe(), errManyFlags)
	}
	cmd.enc.Raw(" ")
	if m.Binary {
		u.waits = binaryLiteral(&cmd.enc, m.Size)
	} else {
		u.waits = cmd.enc.Announce(m.Size, m.Size <= maxAtOnce)
	}
	cmd.dialogue = u.send
	cmd.written = make(chan struct{})
	cmd.admitted = func() {
		u.begun = true
		u.sent.Store(u.size == 0)
	}
	cmd.resolved = func(ok bool) error { return u.answered(ok, cmd) }
	return nil
}

// errManyFlags is a list that would make the line too long for some servers.
var errManyFlags = errors.New("too many flags")
