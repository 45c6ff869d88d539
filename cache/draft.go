package cache

import (
	"context"
	"errors"
	"io"
	"time"
)

// Draft is a text that the server does not have yet: a file from its first octet on.
// It lies in the spool, and outlives the process. Its methods may be called from any
// goroutine; none but Send waits for the server.
//
// Errors of the disk are in what is returned, so that errors.As finds the
// syscall.Errno (ENOSPC, EDQUOT, EFBIG).
type Draft struct{}

// ErrDraftGone: the draft has arrived, or was discarded, and its text is no longer here.
var ErrDraftGone = errors.New("the text is no longer in the spool (open the file again)")

// NewDraft makes an empty text that belongs in box. It is open once (Draft.Close).
func (a *Account) NewDraft(box *Mailbox, name string) (*Draft, error) {
	return nil, errors.ErrUnsupported
}

// NewScratch makes an empty text that is no mail until Send says otherwise; box may be
// nil. It is open once.
func (a *Account) NewScratch(box *Mailbox, name string) (*Draft, error) {
	return nil, errors.ErrUnsupported
}

// EditDraft makes a draft that begins as the first octets of a message, at most keep of
// them, and replaces it once it is sent. The text streams from the server into the spool.
// Flags and date are the message's unless Fate has others. It is open once.
//
// Errors as with Mailbox.Open.
func (a *Account) EditDraft(ctx context.Context, box *Mailbox, v UIDValidity, uid UID, name string, keep int64) (*Draft, error) {
	return nil, errors.ErrUnsupported
}

// AsideDraft copies a message to a scratch file of that name in its mailbox. The message
// stays. Errors as with EditDraft.
func (a *Account) AsideDraft(ctx context.Context, box *Mailbox, v UIDValidity, uid UID, name string) (*Draft, error) {
	return nil, errors.ErrUnsupported
}

// Drafts gives what is in the spool and has not arrived, the oldest first: after Open what
// a daemon that is gone has left. None of these is open.
func (a *Account) Drafts() []*Draft { return nil }

// ID names the draft in Pending, Export and DiscardPending: of the text as it is now.
func (d *Draft) ID() string { return "" }

// Place is where it belongs: the mailbox, nil where that is gone or there is none, and
// its name in it.
func (d *Draft) Place() (box *Mailbox, name string) { return nil, "" }

// Date is the date that it is to have, or has; zero: none was given.
func (d *Draft) Date() time.Time { return time.Time{} }

// Flags are those that it is to have. Not to be modified.
func (d *Draft) Flags() []string { return nil }

// Scratch reports whether it is no mail.
func (d *Draft) Scratch() bool { return false }

// Size is the length of the text as written, in octets, from memory.
func (d *Draft) Size() int64 { return 0 }

// Dirty reports whether it was written to since it was committed.
func (d *Draft) Dirty() bool { return false }

// Sent is the message that it is, as far as is known; the zero Sent: none yet.
func (d *Draft) Sent() Sent { return Sent{} }

// ReadAt reads the text as it was written. io.EOF as io.ReaderAt says. ErrDraftGone.
func (d *Draft) ReadAt(p []byte, off int64) (int, error) { return 0, io.EOF }

// WriteAt writes octets at an offset. What was committed is not changed: it goes on
// its way, and what is written replaces it once that is committed. After an error the
// text is not whole and is never sent, until these octets are written or cut off.
func (d *Draft) WriteAt(p []byte, off int64) (int, error) { return 0, errors.ErrUnsupported }

// Truncate makes the text size octets long. Else as WriteAt.
func (d *Draft) Truncate(size int64) error { return errors.ErrUnsupported }

// Sync makes the text durable on the local disk.
func (d *Draft) Sync() error { return errors.ErrUnsupported }

// Move gives a draft another place and name, and another kind: scratch or mail. What is
// with the server, or on its way, keeps its place and kind: Busy, and only the name
// may change.
func (d *Draft) Move(box *Mailbox, name string, scratch bool) error { return errors.ErrUnsupported }

// Send commits what was written, sends it by APPEND (RFC 3501 §6.3.11), and returns when
// the server has it. Nothing that was written: it waits for what is on its way. An
// empty text is never sent: the zero Sent. So is an edit that has changed nothing, whose
// Sent is the message that was there.
//
// The message is in the snapshot of its mailbox when Send returns nil, where that is loaded
// and the UID is known.
//
// An error says that the server does not have the text yet. It stays in the spool, is
// listed by Pending, and is tried again until it arrives, is discarded or written anew;
// so it is where ctx ends first (Interrupted, Timeout). Invalid: the first line is no
// header field and Config.AnyText is not set, or it holds NUL and the server takes none;
// that is not tried again. NotExist: the mailbox is gone. Quota, TooBig, Access, ReadOnly.
func (d *Draft) Send(ctx context.Context, f Fate) (Sent, error) { return Sent{}, errors.ErrUnsupported }

// Owe is Send without waiting: for what is dirty when the last program closes it.
// Its error says what Send would say at once; the rest DraftFailed tells.
func (d *Draft) Owe(f Fate) error { return errors.ErrUnsupported }

// SetDate gives it another date. What has arrived within the last minute is appended
// again, behind, and the first one deleted. NotOffered: it arrived before that.
func (d *Draft) SetDate(t time.Time) error { return errors.ErrUnsupported }

// SetFlags gives it other flags: before it is sent. Busy: it is on its way or has arrived.
func (d *Draft) SetFlags(flags []string) error { return errors.ErrUnsupported }

// Discard ends the draft: what has not arrived is removed for ever. One that is
// just being sent is deleted from the server if it arrives.
func (d *Draft) Discard() error { return errors.ErrUnsupported }

// Open opens it once more; ErrDraftGone.
func (d *Draft) Open() error { return errors.ErrUnsupported }

// Close undoes one Open. With the last one a text that was cut to nothing is dropped, and
// the one that was there before stays. What has arrived is let go by and by.
func (d *Draft) Close() error { return errors.ErrUnsupported }
