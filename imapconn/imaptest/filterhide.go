package imaptest

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// needing tells, for each capability that can be hidden, the commands that need
// it, without their tags.
var needing = map[string]*regexp.Regexp{
	"APPENDLIMIT":   regexp.MustCompile(`^(STATUS|LIST) .*\bAPPENDLIMIT\b`),
	"BINARY":        regexp.MustCompile(`^(UID )?FETCH .*\bBINARY|~\{`),
	"CHILDREN":      regexp.MustCompile(`^LIST .* RETURN .*\bCHILDREN`),
	"CONDSTORE":     regexp.MustCompile(`\b(CONDSTORE|CHANGEDSINCE|UNCHANGEDSINCE|HIGHESTMODSEQ|MODSEQ)\b`),
	"ENABLE":        regexp.MustCompile(`^ENABLE `),
	"ESEARCH":       regexp.MustCompile(`^(UID )?SEARCH RETURN `),
	"ID":            regexp.MustCompile(`^ID `),
	"IDLE":          regexp.MustCompile(`^IDLE$`),
	"LIST-EXTENDED": regexp.MustCompile(`^LIST (\(|.* RETURN )|^LIST .* \("`),
	"LIST-STATUS":   regexp.MustCompile(`^LIST .* RETURN .*\bSTATUS`),
	"LITERAL+":      regexp.MustCompile(`\{\d+\+\}$`),
	"LITERAL-":      regexp.MustCompile(`\{\d+\+\}$`),
	"MOVE":          regexp.MustCompile(`^(UID )?MOVE `),
	"NAMESPACE":     regexp.MustCompile(`^NAMESPACE$`),
	"NOTIFY":        regexp.MustCompile(`^NOTIFY `),
	"OBJECTID":      regexp.MustCompile(`\b(EMAILID|THREADID|MAILBOXID)\b`),
	"QRESYNC":       regexp.MustCompile(`\b(QRESYNC|VANISHED)\b`),
	"QUOTA":         regexp.MustCompile(`^(GETQUOTA|GETQUOTAROOT|SETQUOTA) `),
	"REPLACE":       regexp.MustCompile(`^(UID )?REPLACE `),
	"SASL-IR":       regexp.MustCompile(`^AUTHENTICATE \S+ \S+`),
	"SPECIAL-USE":   regexp.MustCompile(`^LIST .*\bSPECIAL-USE`),
	"STATUS=SIZE":   regexp.MustCompile(`^(STATUS|LIST) .*\bSIZE\b`),
	"UIDPLUS":       regexp.MustCompile(`^UID EXPUNGE `),
	"UNSELECT":      regexp.MustCompile(`^UNSELECT$`),
}

// buildingOn tells what goes with a capability.
var buildingOn = map[string][]string{
	"CONDSTORE":     {"QRESYNC"},
	"ENABLE":        {"QRESYNC"},
	"LIST-EXTENDED": {"LIST-STATUS"},
	"LITERAL-":      {"LITERAL+"}, // which permits all that LITERAL- does
}

// uidCodes is what UIDPLUS lets a server say of APPEND, COPY and MOVE (RFC 4315 3).
var uidCodes = regexp.MustCompile(`^(\S+ OK )\[(?i:APPENDUID|COPYUID) [^\]]*\] ?`)

// Hideable is the capabilities that a Filter can hide, sorted.
func Hideable() []string { return slices.Sorted(maps.Keys(needing)) }

// quotedString is what a command says and does not mean.
var quotedString = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// lacking is the tag of a command and the hidden capability that it needs, if
// one does.
func (f *Filter) lacking(line string) (tag, capability string) {
	tag, command, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	if !ok {
		return "", "" // DONE, or an answer to a challenge
	}
	command = quotedString.ReplaceAllString(strings.ToUpper(command), `""`)
	for name, needs := range needing {
		if f.hidden[name] && needs.MatchString(command) {
			return tag, name
		}
	}
	return tag, ""
}
