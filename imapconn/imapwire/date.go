package imapwire

import (
	"errors"
	"strconv"
	"time"
)

// ParseDateTime reads an INTERNALDATE without its quotes: RFC 3501 §9 date-time,
// ` 1-Jan-2020 10:00:00 +0100`, the day padded with a space, a zero or nothing;
// and RFC 1730's old form, `17-Jul-94 02:44:25-PDT`. It takes no memory but for
// a time zone not met lately.
func ParseDateTime[T ~string | ~[]byte](s T) (time.Time, error) {
	if t, ok := parseDateTime([]byte(s)); ok {
		return t, nil
	}
	return time.Time{}, errors.New("not a date: " + strconv.Quote(string(s)))
}

// FormatDateTime writes t as an INTERNALDATE without its quotes.
func FormatDateTime(t time.Time) string { return t.Format("_2-Jan-2006 15:04:05 -0700") }

func parseDateTime(s []byte) (t time.Time, ok bool) {
	p := dateParser{s: s, ok: true}
	p.skip(' ')
	day := p.number(1, 2)
	p.expect('-')
	month := p.month()
	p.expect('-')
	start := len(p.s)
	year := p.number(2, 4)
	if start-len(p.s) == 2 { // 1951 to 2050: older mail was not, newer has four digits
		if year += 1900; year <= 1950 {
			year += 100
		}
	}
	p.expect(' ')
	hour := p.number(2, 2)
	p.expect(':')
	minute := p.number(2, 2)
	p.expect(':')
	second := p.number(2, 2)
	zone := p.zone()
	if !p.ok || len(p.s) > 0 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	if year < 1 || day < 1 || time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Day() != day {
		return time.Time{}, false
	}
	t = time.Date(year, month, day, hour, minute, second, 0, zone)
	return t, t.Year() <= 9999 // a leap second may go beyond
}

// dateParser reads s from its front; ok is false from the first mismatch on.
type dateParser struct {
	s  []byte
	ok bool
}

func (p *dateParser) skip(b byte) {
	for len(p.s) > 0 && p.s[0] == b {
		p.s = p.s[1:]
	}
}

func (p *dateParser) expect(b byte) {
	if len(p.s) == 0 || p.s[0] != b {
		p.ok = false
		return
	}
	p.s = p.s[1:]
}

// number reads a number of min to max digits.
func (p *dateParser) number(min, max int) int {
	n, digits := 0, 0
	for digits < max && len(p.s) > 0 && '0' <= p.s[0] && p.s[0] <= '9' {
		n = n*10 + int(p.s[0]-'0')
		p.s = p.s[1:]
		digits++
	}
	p.ok = p.ok && digits >= min
	return n
}

const monthNames = "janfebmaraprmayjunjulaugsepoctnovdec"

// month reads a month's name, in any case.
func (p *dateParser) month() time.Month {
	if len(p.s) >= 3 {
		a, b, c := p.s[0]|0x20, p.s[1]|0x20, p.s[2]|0x20
		for m := range 12 {
			if monthNames[3*m] == a && monthNames[3*m+1] == b && monthNames[3*m+2] == c {
				p.s = p.s[3:]
				return time.Month(m + 1)
			}
		}
	}
	p.ok = false
	return 0
}

// zone reads ` +0100` or `-PDT`.
func (p *dateParser) zone() *time.Location {
	old := len(p.s) > 1 && p.s[0] == '-'
	if !old {
		p.expect(' ')
	}
	if len(p.s) == 0 {
		p.ok = false
		return time.UTC
	}
	sign := p.s[0]
	p.s = p.s[1:]
	if old {
		return p.oldZone()
	}
	hhmm := p.number(4, 4)
	minutes := hhmm/100*60 + hhmm%100
	p.ok = p.ok && (sign == '+' || sign == '-') && hhmm%100 < 60 && minutes < 24*60
	if sign == '-' {
		minutes = -minutes
	}
	if !p.ok {
		return time.UTC
	}
	return fixedZone(minutes)
}

// fixedZones are the time zones of the wire, in quarters of an hour from 15
// hours west: a mailbox has a handful, and time.FixedZone takes memory.
var fixedZones = func() (zones [121]*time.Location) {
	for i := range zones {
		zones[i] = time.FixedZone("", (i-60)*15*60)
	}
	zones[60] = time.UTC
	return zones
}()

// fixedZone is the time zone so many minutes east.
func fixedZone(minutes int) *time.Location {
	if i := minutes/15 + 60; minutes%15 == 0 && i >= 0 && i < len(fixedZones) {
		return fixedZones[i]
	}
	return time.FixedZone("", minutes*60)
}

// oldZones are the names of RFC 1730 §9 zone_old, in hours east.
var oldZones = map[string]int{
	"UT": 0, "GMT": 0, "Z": 0, "AST": -4, "EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7,
	"PST": -8, "YDT": -8, "YST": -9, "HDT": -9, "HST": -10, "BDT": -10, "BST": -11,
	"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "F": 6, "G": 7, "H": 8, "I": 9, "K": 10, "L": 11, "M": 12,
	"N": -1, "O": -2, "P": -3, "Q": -4, "R": -5, "S": -6, "T": -7, "U": -8, "V": -9, "W": -10, "X": -11, "Y": -12,
}

// oldZone reads the name of a time zone, to the end.
func (p *dateParser) oldZone() *time.Location {
	hours, ok := oldZones[string(p.s)]
	p.s = nil
	p.ok = p.ok && ok
	return fixedZone(hours * 60)
}
