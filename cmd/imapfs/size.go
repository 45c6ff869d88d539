package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// octets is a number of octets as rclone writes it: digits, perhaps with a
// fraction, then B, K, M, G or T, each also as Ki or KiB; powers of 1024.
// A bare number is in KiB, as rclone has it. It is a pflag.Value.
type octets int64

var octetUnits = []struct {
	letter string
	factor float64
}{{"B", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}}

func (o *octets) Set(s string) error {
	factor := float64(1 << 10)
	digits := s
	for _, u := range octetUnits {
		for _, end := range []string{u.letter + "iB", u.letter + "i", u.letter} {
			// "B" alone is the unit of 1; "BiB" is nothing.
			if u.letter == "B" && end != "B" {
				continue
			}
			if n := len(s) - len(end); n > 0 && strings.EqualFold(s[n:], end) && isDigit(s[n-1]) {
				factor, digits = u.factor, s[:n]
			}
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || strings.Trim(digits, "0123456789.") != "" || n*factor >= math.MaxInt64 {
		return errors.New("not a size (write 256M or 1.5G)")
	}
	*o = octets(n * factor)
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' || c == '.' }

// String writes the largest unit that divides it.
func (o *octets) String() string {
	n, i := int64(*o), 0
	if n == 0 {
		return ""
	}
	for n%1024 == 0 && i < len(octetUnits)-1 {
		n /= 1024
		i++
	}
	return strconv.FormatInt(n, 10) + octetUnits[i].letter
}

func (o *octets) Type() string { return "SIZE" }
