package imapconn

import (
	"errors"
	"strconv"
	"strings"
)

// Errors to be asked for with errors.Is.
var (
	// ErrClosed: Close or Logout was called.
	ErrClosed = errors.New("connection closed")
	// ErrTooLarge: a text is longer than Part.Limit; it was read and dropped.
	ErrTooLarge = errors.New("text is larger than the limit")
	// ErrNotOffered: the server does not offer the extension that this needs.
	ErrNotOffered = errors.New("not offered by the server")
	// ErrReadOnly: the mailbox was examined, or the server gave it for reading
	// only; nothing was sent.
	ErrReadOnly = errors.New("the mailbox is open for reading only")
	// ErrAppendLimit: a text is longer than the server takes (RFC 7889); nothing
	// was sent.
	ErrAppendLimit = errors.New("text is larger than the server takes")
	// ErrNotSelected: no mailbox is selected on this connection.
	ErrNotSelected = errors.New("no mailbox is selected")
)

// StatusError is a command that the server answered with NO or BAD, or BYE
// where it ended the connection with words.
type StatusError struct {
	Op      string // the command, in capitals: EXAMINE
	Mailbox string // as on the wire; empty where the command names none
	Type    string // NO, BAD or BYE
	Code    string // the response code in capitals, without brackets or arguments; empty: none
	Text    string // the server's words, control characters removed
}

// Error gives the server's verdict in one line.
func (e *StatusError) Error() string {
	var b strings.Builder
	b.WriteString(strings.ToLower(e.Op))
	if e.Mailbox != "" {
		b.WriteByte(' ')
		b.WriteString(strconv.Quote(e.Mailbox))
	}
	b.WriteString(": server says ")
	b.WriteString(e.Type)
	if e.Code != "" {
		b.WriteString(" [" + e.Code + "]")
	}
	if e.Text != "" {
		b.WriteString(" " + e.Text)
	}
	return b.String()
}

// ConnError is the end of a connection and its cause.
type ConnError struct {
	Addr string // host:port
	Err  error
	Hint string // the way out, where there is one
}

// Error gives the cause and the way out in one line.
func (e *ConnError) Error() string { return e.Addr + ": " + e.Err.Error() + hinted(e.Hint) }

// Unwrap gives the cause.
func (e *ConnError) Unwrap() error { return e.Err }

// Timeout reports whether the server fell silent.
func (e *ConnError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// AuthError is a login that was refused or could not be tried.
type AuthError struct {
	Host string
	User string
	Err  error  // a *StatusError where the server refused
	Hint string // the way out
}

// Error gives the server's words and the way out.
func (e *AuthError) Error() string {
	return "login as " + e.User + " at " + e.Host + ": " + e.Err.Error() + hinted(e.Hint)
}

// Unwrap gives the refusal.
func (e *AuthError) Unwrap() error { return e.Err }

// TLSError is a connection that could not be protected.
type TLSError struct {
	Addr string
	Err  error
	Hint string
}

// Error gives the cause and the way out.
func (e *TLSError) Error() string { return e.Addr + ": " + e.Err.Error() + hinted(e.Hint) }

// Unwrap gives the cause.
func (e *TLSError) Unwrap() error { return e.Err }

func hinted(hint string) string {
	if hint == "" {
		return ""
	}
	return " (" + hint + ")"
}
