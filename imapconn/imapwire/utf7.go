package imapwire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7 is the base64 of RFC 3501 §5.1.3: a comma for the slash, no padding, and
// no stray bits at the end.
var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// EncodeUTF7 writes a mailbox name in modified UTF-7 (RFC 3501 §5.1.3). What is
// not UTF-8 is written as U+FFFD.
func EncodeUTF7(name string) string {
	var out strings.Builder
	for i := 0; i < len(name); {
		c := name[i]
		switch {
		case c == '&':
			out.WriteString("&-")
			i++
		case isDirect(c):
			out.WriteByte(c)
			i++
		default:
			end := i
			for end < len(name) && !isDirect(name[end]) && name[end] != '&' {
				end++
			}
			units := utf16.Encode([]rune(name[i:end]))
			octets := make([]byte, 0, 2*len(units))
			for _, u := range units {
				octets = append(octets, byte(u>>8), byte(u))
			}
			out.WriteByte('&')
			out.WriteString(utf7.EncodeToString(octets))
			out.WriteByte('-')
			i = end
		}
	}
	return out.String()
}

// isDirect reports whether c stands for itself, & apart.
func isDirect(c byte) bool { return c >= 0x20 && c <= 0x7e && c != '&' }

// DecodeUTF7 reads a mailbox name in modified UTF-7. It reports false where the
// name is none: it does not decode, or it would not be encoded so. Such a name
// is to be shown as it is, for RFC 1730 servers know no encoding.
func DecodeUTF7(name string) (string, bool) {
	var out strings.Builder
	for rest := name; rest != ""; {
		c := rest[0]
		if c != '&' {
			if !isDirect(c) {
				return "", false
			}
			out.WriteByte(c)
			rest = rest[1:]
			continue
		}
		shifted, after, found := strings.Cut(rest[1:], "-")
		if !found {
			return "", false
		}
		rest = after
		if shifted == "" {
			out.WriteByte('&')
			continue
		}
		octets, err := utf7.DecodeString(shifted)
		if err != nil || len(octets)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(octets)/2)
		for i := range units {
			units[i] = uint16(octets[2*i])<<8 | uint16(octets[2*i+1])
		}
		for _, r := range utf16.Decode(units) {
			out.WriteRune(r)
		}
	}
	decoded := out.String()
	if !utf8.ValidString(decoded) || EncodeUTF7(decoded) != name {
		return "", false
	}
	return decoded, true
}
