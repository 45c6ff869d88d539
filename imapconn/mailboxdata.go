package imapconn

import (
	"slices"
	"strings"
)

// ListData is one answer to LIST (RFC 3501 §7.2.2).
type ListData struct {
	Name      string // as on the wire: never decoded, never rebuilt
	Delimiter rune   // 0: NIL, the name has no levels
	Attrs     []string
	OldName   string // what it was called before it was renamed, as on the wire (RFC 5465 §5.4); empty: nothing said
}

// StatusData is the answer to STATUS (RFC 3501 §7.2.4). A value counts only
// where its Has field is set: servers leave items out.
type StatusData struct {
	Mailbox       string
	Messages      uint32
	UIDNext       UID
	UIDValidity   UIDValidity
	Unseen        uint32
	Size          int64 // octets, RFC 8438
	HighestModSeq ModSeq
	AppendLimit   int64 // octets of a message, RFC 7889; NoAppendLimit: none

	HasMessages, HasUIDNext, HasUIDValidity, HasUnseen, HasSize, HasHighestModSeq, HasAppendLimit bool
}

// SelectData is what SELECT or EXAMINE said of the mailbox (RFC 3501 §6.3.1).
type SelectData struct {
	Exists         uint32
	UIDValidity    UIDValidity
	HasUIDValidity bool
	UIDNext        UID      // 0: not said
	Flags          []string // sorted, without \Recent
	PermanentFlags []string // `\*` among them: keywords may be made; nil: not said, all of Flags stay
	ReadOnly       bool     // nothing can be changed in it: it was examined, or the server says so
	UIDNotSticky   bool     // UIDs do not outlive the session (RFC 4315 §3)
	HighestModSeq  ModSeq   // 0: not said
	NoModSeq       bool     // the mailbox keeps no mod-sequences (RFC 7162 §3.1.2.2)
	Resynced       bool     // by ExamineSince: all that has changed was told
	MailboxID      string   // stays with the mailbox whatever its name (RFC 8474 §4.1); empty: not said
}

// Permits reports whether a flag can be set for good (RFC 3501 §7.1,
// PERMANENTFLAGS). Case does not matter.
func (d SelectData) Permits(flag string) bool {
	permanent := d.PermanentFlags
	if permanent == nil {
		permanent = d.Flags
	}
	return slices.ContainsFunc(permanent, func(p string) bool {
		return strings.EqualFold(p, flag) || p == `\*` && !strings.HasPrefix(flag, `\`)
	})
}

// QuotaData is the STORAGE quota that holds for a mailbox (RFC 9208).
type QuotaData struct {
	Usage, Limit int64 // octets
	HasStorage   bool  // false: no quota on storage is set
}
