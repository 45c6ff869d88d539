package imapwire

import (
	"errors"
	"strconv"
	"time"
)

// ParseDateTime reads an INTERNALDATE (RFC 3501 §9 date-time), the day padded
// with a space or not.
func ParseDateTime[T ~string | ~[]byte](s T) (time.Time, error) {
	for _, layout := range []string{"_2-Jan-2006 15:04:05 -0700", "_2-Jan-06 15:04:05-MST"} {
		if t, err := time.Parse(layout, string(s)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("not a date: " + strconv.Quote(string(s)))
}

// FormatDateTime writes t as an INTERNALDATE.
func FormatDateTime(t time.Time) string { return t.Format("_2-Jan-2006 15:04:05 -0700") }
