package cache

import (
	"context"
	"errors"
)

// MoveTo moves a message, known under UIDVALIDITY v, to another mailbox and gives its
// UID there; 0 where the server does not say. By MOVE (RFC 6851), else by COPY and
// what Delete does. What is cut off in between leaves the message in both, never in
// none.
//
// When it returns nil the snapshot of m is without the message; that of to has it
// if to has been loaded and the UID is known, and else to is asked about when somebody
// looks. When ctx ends first the work goes on.
//
// Errors as with Delete; NotExist, too, if to is gone (the Mailbox of the Error says
// which), Quota, TooBig. IO: the answer was lost; where it was a COPY, the message may
// have a copy now.
func (m *Mailbox) MoveTo(ctx context.Context, v UIDValidity, uid UID, to *Mailbox) (UID, error) {
	return 0, failure("move", m, uid, errors.ErrUnsupported)
}
