package cache

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"imapfs/imapconn"
)

// SetFlags adds flags to those of a message, known under UIDVALIDITY v, and takes others
// away (RFC 3501 §6.4.6). What others it has stays. Flags compare without regard to
// case. Only what differs from what is known is sent. \Recent is left out; so is what
// the mailbox does not keep (PERMANENTFLAGS), which is logged once for a mailbox. The
// snapshot has the flags when SetFlags returns nil.
//
// NotOffered: \Deleted, which is Delete's; or nothing that was asked for is kept.
// Invalid: what cannot be a flag. Else as Delete.
func (m *Mailbox) SetFlags(ctx context.Context, v UIDValidity, uid UID, add, remove []string) error {
	return m.account.change(ctx, "flag", m, uid, func(j *job) error {
		c := flagChange{m: m, uid: uid}
		for _, f := range slices.Concat(add, remove) {
			if err := checkFlag(f); err != nil {
				return err
			}
		}
		err := c.set(j, v, add, remove)
		for j.again(err) { // to set what is set is harmless
			err = c.set(j, v, add, remove)
		}
		if inDoubt(err) {
			m.doubt()
		}
		return err
	})
}

var (
	errDeletedFlag = fmt.Errorf("%w: \\Deleted is not set like other flags (remove the file)", imapconn.ErrNotOffered)
	errNotKept     = fmt.Errorf("%w: the mailbox does not keep these flags", imapconn.ErrNotOffered)
)

// checkFlag refuses what is no flag (RFC 3501 §9, flag), and \Deleted.
func checkFlag(f string) error {
	word := strings.TrimPrefix(f, `\`)
	bad := word == "" || strings.ContainsFunc(word, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`(){%*"\]`, c)
	})
	switch {
	case bad:
		return &Error{Op: "flag", Kind: Invalid, Err: fmt.Errorf("%q cannot be a flag (a flag is a word of ASCII letters and digits)", f)}
	case strings.EqualFold(f, `\Deleted`):
		return errDeletedFlag
	}
	return nil
}

type flagChange struct {
	m   *Mailbox
	uid UID
}

func (c *flagChange) set(j *job, v UIDValidity, add, remove []string) error {
	msg, _, err := c.m.existing(v, c.uid)
	if err != nil {
		return err
	}
	add, remove = differing(msg.Flags, add, remove)
	if len(add)+len(remove) == 0 {
		return nil
	}
	l, err := c.m.writing(j, v)
	if err != nil {
		return err
	}
	defer l.release()
	said := l.hear.answer()
	asked := len(add) + len(remove)
	add, remove = c.m.permitted(said, add), c.m.permitted(said, remove)
	if asked > 0 && len(add)+len(remove) == 0 {
		return errNotKept
	}
	ctx := c.m.account.ctx
	c.m.ours.touch()
	// Two commands of one flight might be executed in any order: these touch
	// different flags.
	errs := make(chan error, 1)
	go func() { errs <- l.client.AddFlags(ctx, oneUID(c.uid), add...) }()
	err = l.client.RemoveFlags(ctx, oneUID(c.uid), remove...)
	if err = joint(<-errs, err); err != nil {
		return err
	}
	c.m.find(l.epoch, finding{edit: edit{record: record{uid: c.uid}, flagOnly: true}, flags: changed(c.m.flagsNow(c.uid, msg.Flags), add, remove), flagged: true})
	return nil
}

// flagsNow is what is known of a message's flags by now.
func (m *Mailbox) flagsNow(uid UID, before []string) []string {
	s := m.snap.Load()
	if s == nil {
		return before
	}
	if r := s.find(uid); r != nil {
		return s.flags[r.flags]
	}
	return before
}

// differing leaves out what is so already, and \Recent, which is the server's own.
func differing(flags, add, remove []string) (toAdd, toRemove []string) {
	for _, f := range add {
		if !has(flags, f) && !has(toAdd, f) && !strings.EqualFold(f, `\Recent`) {
			toAdd = append(toAdd, f)
		}
	}
	for _, f := range remove {
		if has(flags, f) && !has(toRemove, f) && !has(add, f) && !strings.EqualFold(f, `\Recent`) {
			toRemove = append(toRemove, f)
		}
	}
	return toAdd, toRemove
}

// permitted leaves out what the mailbox does not keep.
func (m *Mailbox) permitted(said imapconn.SelectData, flags []string) (kept []string) {
	for _, f := range flags {
		if permits(said, f) {
			kept = append(kept, f)
		} else if !m.saidFlags.Swap(true) {
			m.account.log.Warn("the mailbox does not keep all flags; these are left out", "mailbox", m.full(), "flag", f, "kept", strings.Join(said.PermanentFlags, " "))
		}
	}
	return kept
}

// permits reports whether a mailbox keeps a flag. Who lets keywords be made keeps every
// flag: some name only those there are.
func permits(said imapconn.SelectData, f string) bool {
	return said.Permits(f) || has(said.PermanentFlags, `\*`)
}

// changed is flags with some added and some taken away, sorted.
func changed(flags, add, remove []string) []string {
	var now []string
	for _, f := range flags {
		if !has(remove, f) {
			now = append(now, f)
		}
	}
	for _, f := range add {
		if !has(now, f) {
			now = append(now, f)
		}
	}
	slices.Sort(now)
	return now
}
