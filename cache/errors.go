package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"imapfs/cache/spool"
	"imapfs/imapconn"
)

// Kind says what sort of failure an error is, for whoever must answer with one
// number. It is decided by response code (RFC 5530) and by type, never by text.
type Kind int

// The kinds. The zero Kind is none.
const (
	_           Kind = iota
	NotExist         // no such mailbox or message
	Stale            // the message is expunged, or its mailbox has another UIDVALIDITY
	Access           // NOPERM, a refused login, an ACL
	ReadOnly         // READ-ONLY
	NotOffered       // CANNOT, or an extension that the server does not have
	Quota            // OVERQUOTA
	TooBig           // TOOBIG, APPENDLIMIT, or over a limit of ours
	Exists           // ALREADYEXISTS
	Busy             // INUSE, LIMIT, or a server that wants to be asked later
	Interrupted      // the caller's context was cancelled
	Timeout          // no answer inside the deadline
	IO               // the connection is lost, or the answer cannot be used
	NotEmpty         // the mailbox has messages, or others below it
	Invalid          // a name or a flag that no server could take
)

var kindNames = [...]string{"", "does not exist", "stale", "access denied", "read-only", "not offered",
	"over quota", "too big", "exists", "busy", "interrupted", "timeout", "i/o", "not empty", "invalid"}

// String names the kind.
func (k Kind) String() string {
	if k <= 0 || int(k) >= len(kindNames) {
		return "kind " + strconv.Itoa(int(k))
	}
	return kindNames[k]
}

// Error is every error of this package but those of the first connection.
type Error struct {
	Op      string // what was tried, one word: open, read, load, list
	Mailbox string // decoded, its levels joined with /; empty: the account
	UID     UID    // 0: no message in particular
	Kind    Kind
	Err     error // the cause
}

// Error gives the cause in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Mailbox != "" {
		b.WriteString(" " + strconv.Quote(e.Mailbox))
	}
	if e.UID != 0 {
		b.WriteString(" message " + strconv.FormatUint(uint64(e.UID), 10))
	}
	b.WriteString(": ")
	if e.Err == nil {
		b.WriteString(e.Kind.String())
	} else {
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Causes that no server names.
var (
	errExpunged   = errors.New("the message is expunged (list the directory again)")
	errValidity   = errors.New("the mailbox has a new UIDVALIDITY (list the directory again)")
	errGone       = errors.New("the mailbox is gone (list the directory above again)")
	errNoMessages = errors.New("the mailbox holds no messages, only mailboxes")
	errLengths    = errors.New("the server gives the text in different lengths (try again, or look with --trace FILE)")
	errResized    = errors.New("the text has another length than it was opened with (open it again)")
	errShort      = errors.New("the server lists fewer messages than it says there are (try again)")
	errFlagSets   = fmt.Errorf("the messages have more than %d different sets of flags, or more than %d octets of them (take keywords off)", maxFlagSets, maxFlagOctets)
	errIndexed    = fmt.Errorf("more than %d messages have been listed in all mailboxes (exclude some of them)", maxIndexed)
	errClosed     = errors.New("the account is being closed")
	errPatience   = errors.New("the server has not answered inside the deadline (see --timeout)")
)

// codeKinds is what response codes mean (RFC 3501 §7.1, RFC 5530, RFC 7889).
var codeKinds = map[string]Kind{
	"NONEXISTENT":          NotExist,
	"TRYCREATE":            NotExist,
	"NOPERM":               Access,
	"AUTHENTICATIONFAILED": Access,
	"AUTHORIZATIONFAILED":  Access,
	"EXPIRED":              Access,
	"PRIVACYREQUIRED":      Access,
	"READ-ONLY":            ReadOnly,
	"CANNOT":               NotOffered,
	"OVERQUOTA":            Quota,
	"TOOBIG":               TooBig,
	"APPENDLIMIT":          TooBig,
	"ALREADYEXISTS":        Exists,
	"INUSE":                Busy,
	"HASCHILDREN":          NotEmpty,
	"LIMIT":                Busy,
	"THROTTLED":            Busy,
	"UNAVAILABLE":          Busy,
	"EXPUNGEISSUED":        Stale,
}

// KindOf gives the kind of an error, however deeply wrapped: that of an *Error
// in it, else by response code and type. What cannot be told is IO; nil is 0.
func KindOf(err error) Kind {
	var (
		known  *Error
		status *imapconn.StatusError
		auth   *imapconn.AuthError
		conn   *imapconn.ConnError
		down   downError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &known):
		return known.Kind
	case errors.As(err, new(*throttledError)):
		return Busy
	case errors.As(err, new(*spentError)):
		return Quota
	case errors.As(err, &down) && !saysLater(err):
		return Timeout // as for who waited until it was known
	case errors.As(err, new(*imapconn.AppendError)) && errors.As(err, &status) && status.Code == imapconn.CodeLimit:
		return TooBig // so Dovecot says it of a text over quota_max_mail_size
	case errors.As(err, &status) && codeKinds[status.Code] != 0:
		return codeKinds[status.Code]
	case saysLater(err):
		return Busy
	case errors.As(err, &auth):
		return Access
	case errors.As(err, &status):
		return IO
	case errors.Is(err, imapconn.ErrNotOffered):
		return NotOffered
	case errors.Is(err, imapconn.ErrReadOnly):
		return ReadOnly
	case errors.Is(err, imapconn.ErrTooLarge), errors.Is(err, errFlagSets), errors.Is(err, errIndexed):
		return TooBig
	case errors.Is(err, spool.ErrFull):
		return Quota
	case errors.Is(err, imapconn.ErrAppendLimit), errors.Is(err, spool.ErrTooLong):
		return TooBig
	case errors.Is(err, errNotMail), errors.Is(err, errNUL):
		return Invalid
	case errors.Is(err, errExpunged), errors.Is(err, errValidity), errors.Is(err, errResized):
		return Stale
	case errors.Is(err, errKept):
		return Busy
	case errors.Is(err, errGone), errors.Is(err, errNoMessages):
		return NotExist
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errPatience):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.As(err, &conn) && conn.Timeout():
		return Timeout
	}
	return IO
}

// joint is two errors as one, in one line; either may be nil.
func joint(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil || a.Error() == b.Error():
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}

// lostConnection reports whether err is the end of a connection, or of what it knew
// of message numbers or of a mailbox's name, and so worth another try on another.
func lostConnection(err error) bool {
	var (
		conn *imapconn.ConnError
		down downError
		auth *imapconn.AuthError
		lost *astrayError
	)
	if errors.As(err, &down) || errors.As(err, &auth) {
		return false
	}
	return errors.Is(err, errRenamed) || errors.As(err, &conn) || errors.As(err, &lost) || errors.Is(err, imapconn.ErrClosed) ||
		errors.Is(err, imapconn.ErrNotSelected) || errors.Is(err, imapconn.ErrNumbers)
}
