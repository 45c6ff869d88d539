package imapconn

import (
	"context"
	"errors"
	"fmt"

	"imapfs/imapconn/imapwire"
)

// Watcher is told what the server says, unasked, of mailboxes that are not
// selected (RFC 5465). Its methods obey the rules of Recorder's: they run on the
// goroutine that reads the connection, return at once and do not call the Client.
type Watcher interface {
	// MailboxStatus gives what STATUS said of a mailbox: some of its numbers,
	// which are those of now, or have not changed at all.
	MailboxStatus(s StatusData)
	// MailboxListed gives what LIST said of a name: made, renamed (OldName), or
	// gone (\NonExistent).
	MailboxListed(l ListData)
	// Overflow says that the server tells nothing more (RFC 5465 §5.8).
	Overflow()
}

// notifyEvents are what is asked for, the most first: a server refuses a set that
// holds an event that it does not have (RFC 5465 §3.1). Its words on which these
// are cannot be used: the RFC has BADEVENT name those that it has, and Dovecot
// names those that it has not. Changes of flags are told only with new and
// expunged messages (§5). Subscriptions are shown nowhere, so not asked for.
var notifyEvents = []string{
	"MessageNew MessageExpunge FlagChange MailboxName",
	"MessageNew MessageExpunge FlagChange",
	"MessageNew MessageExpunge MailboxName",
	"MessageNew MessageExpunge",
}

// Notify has the server tell w, until the connection ends, what happens in all
// the user's own mailboxes but the selected one (RFC 5465): new, expunged and
// flagged messages, names that come and go, as far as the server has these. It
// is for a connection that selects nothing, once: Dovecot tells nothing more when
// it is asked a second time. Enable CONDSTORE before it: without, Dovecot does
// not tell of flags, and no server has to (§5.1).
//
// ErrNotOffered where the server has no NOTIFY; a *StatusError where it refuses,
// as it may if that is too much for it (NOTIFICATIONOVERFLOW). What was before
// is not told. What is told is a hint.
func (c *Client) Notify(ctx context.Context, w Watcher) error {
	if !c.Caps().Has("NOTIFY") {
		return fmt.Errorf("notify: %w", ErrNotOffered)
	}
	var err error
	for _, events := range notifyEvents {
		err = c.notify(ctx, w, events)
		var refused *StatusError
		if !errors.As(err, &refused) || refused.Type != "NO" || refused.Code == notifyOverflow {
			return err
		}
	}
	return err
}

const notifyOverflow = "NOTIFICATIONOVERFLOW"

// notify asks once. Events may come before the answer.
func (c *Client) notify(ctx context.Context, w Watcher, events string) error {
	cmd := c.newCommand("NOTIFY")
	cmd.enc.Raw(" SET (personal (" + events + "))")
	cmd.admitted = func() { c.watcher = w }
	cmd.resolved = func(ok bool) error {
		if !ok {
			c.setWatcher(nil)
		}
		return nil
	}
	return c.do(ctx, cmd)
}

func (c *Client) setWatcher(w Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watcher = w
}

// watching gives who is told of mailboxes that are not selected; nil: nobody.
func (c *Client) watching() Watcher {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watcher
}

// overflowed records an untagged OK that may say that nothing more is told.
func (c *Client) overflowed(s imapwire.Status, code imapwire.Code) {
	if s != imapwire.OK || code.Name != notifyOverflow {
		return
	}
	if w := c.watching(); w != nil {
		c.setWatcher(nil)
		w.Overflow()
	}
}
