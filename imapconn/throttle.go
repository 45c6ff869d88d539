package imapconn

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// laterCodes say "not now" (RFC 5530 §3; THROTTLED is Yahoo's and Gmail's), but for
// commands that store something: there LIMIT and OVERQUOTA are about what is to be
// stored, and waiting does not help.
var laterCodes = []string{"LIMIT", "OVERQUOTA", "THROTTLED", "UNAVAILABLE"}

// laterWords are what servers say without a code that mean it. Deciding by words is
// done here and nowhere else: these servers lock accounts out for a day that do not
// slow down, and give nothing better to go by. In small letters.
var laterWords = []string{
	"suggested backoff time:",                       // Exchange: "Request is throttled. Suggested Backoff Time: 299961 milliseconds"
	"request is throttled",                          // Exchange
	"exceeded command or bandwidth limits",          // Gmail
	"maximum number of connections from user+ip",    // Dovecot before 2.4 at login, in a BYE of some proxies
	"too many simultaneous connections",             // Gmail
	"user is authenticated but not connected",       // Exchange, with too many sessions
	"server error - please try again later",         // Yahoo
	"you have reached the maximum number of active", // Zoho
}

// storing are the commands that store something, without UID.
var storing = []string{"APPEND", "COPY", "CREATE", "DELETE", "EXPUNGE", "MOVE", "RENAME", "REPLACE", "STORE", "SUBSCRIBE", "UNSUBSCRIBE"}

// maxSuggested is the longest pause that is taken from a server.
const maxSuggested = time.Hour

// Throttled reports whether an error is a server that wants to be asked later or
// less: by its code, else by one of the few phrases that servers without codes use.
// pause is what it suggests, an hour at most; 0: it names no time.
func Throttled(err error) (pause time.Duration, ok bool) {
	var e *StatusError
	if !errors.As(err, &e) {
		return 0, false
	}
	words := strings.ToLower(e.Text)
	if pause := suggested(words); pause > 0 {
		return pause, true
	}
	if slices.Contains(storing, strings.TrimPrefix(e.Op, "UID ")) {
		return 0, false
	}
	if slices.Contains(laterCodes, e.Code) {
		return 0, true
	}
	return 0, slices.ContainsFunc(laterWords, func(w string) bool { return strings.Contains(words, w) })
}

// suggested reads Exchange's "Suggested Backoff Time: 299961 milliseconds", in small
// letters; 0 where there is none.
func suggested(words string) time.Duration {
	_, after, found := strings.Cut(words, "suggested backoff time:")
	if !found {
		return 0
	}
	after = strings.TrimLeft(after, " ")
	digits := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Millisecond, maxSuggested)
}
