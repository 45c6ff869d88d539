package imapconn

import (
	"strings"

	"imapfs/imapconn/imapwire"
)

// Response codes that say why a change was refused, as StatusError.Code has them.
const (
	CodeAlreadyExists = "ALREADYEXISTS" // RFC 5530: the name is taken
	CodeCannot        = "CANNOT"        // RFC 5530: never, whatever the rights: a name that is not permitted
	CodeExpungeIssued = "EXPUNGEISSUED" // RFC 5530: with OK: some of the messages are gone
	CodeHasChildren   = "HASCHILDREN"   // RFC 9051: DELETE of a mailbox with others below
	CodeInUse         = "INUSE"         // RFC 5530: another session is in the way: try again
	CodeLimit         = "LIMIT"         // RFC 5530: too many of something
	CodeNonExistent   = "NONEXISTENT"   // RFC 5530: there is no such mailbox
	CodeNoPerm        = "NOPERM"        // RFC 5530: the rights are missing
	CodeOverQuota     = "OVERQUOTA"     // RFC 5530: no room
	CodeTooBig        = "TOOBIG"        // RFC 4469: the message is larger than is taken
	CodeTryCreate     = "TRYCREATE"     // RFC 3501: the target does not exist and may be made
	CodeUIDNotSaved   = "UIDNOTSAVED"   // RFC 5182: the result of a SEARCH was not kept
	CodeUnknownCTE    = "UNKNOWN-CTE"   // RFC 3516: the mailbox takes no NUL
)

// codeOf is the code of a tagged answer. GNU mailutils puts TRYCREATE behind a
// word of its own: `NO APPEND [TRYCREATE] failed`.
func codeOf(code imapwire.Code, text string) string {
	if code.Name == "" && strings.Contains(text, "["+CodeTryCreate+"]") {
		return CodeTryCreate
	}
	return code.Name
}
