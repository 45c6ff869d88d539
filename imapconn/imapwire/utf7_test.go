package imapwire

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUTF7IsThatOfRFC3501(t *testing.T) {
	for decoded, encoded := range map[string]string{
		"":                     "",
		"INBOX":                "INBOX",
		"a&b":                  "a&-b",
		"&":                    "&-",
		"~peter/mail/台北/日本語":   "~peter/mail/&U,BTFw-/&ZeVnLIqe-", // the RFC's own
		"Архив":                "&BBAEQARFBDgEMg-",
		"Entwürfe":             "Entw&APw-rfe",
		"💌":                    "&2D3cjA-", // a surrogate pair
		"tab\tnl\n":            "tab&AAk-nl&AAo-",
		"ü&ö":                  "&APw-&-&APY-",
		"Sent Messages (2024)": "Sent Messages (2024)",
	} {
		if got := EncodeUTF7(decoded); got != encoded {
			t.Errorf("%q is encoded as %q, want %q", decoded, got, encoded)
		}
		if got, ok := DecodeUTF7(encoded); got != decoded || !ok {
			t.Errorf("%q is decoded as %q (%v), want %q", encoded, got, ok, decoded)
		}
	}
}

// A name that is none in modified UTF-7 is shown as it is, so that two names on
// the wire are never one in the mount.
func TestUTF7RefusesWhatItWouldNotWrite(t *testing.T) {
	for _, name := range []string{
		"&",             // no end
		"a&b",           // no end
		"&U,BTFw",       // no end
		"&AGE-",         // "a" needs no encoding
		"&ACY-",         // "&" has its own form
		"&U,BTFw-&ZeU-", // two runs where one would do
		"&BBA=-",        // padding
		"&BBB-",         // stray bits
		"&2D0-",         // half a surrogate pair
		"&/-",           // not of this alphabet
		"&A-",           // half an octet
		"Entwürfe",      // 8 bits
		"tab\t",         // a control character
		"&AAk",          // no end
	} {
		if got, ok := DecodeUTF7(name); ok {
			t.Errorf("%q is decoded as %q", name, got)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "a&-b", "&U,BTFw-", "Архив/💌", "&2D3cjA-", "&AGE-", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			encoded := EncodeUTF7(s)
			if strings.IndexFunc(encoded, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
				t.Errorf("%q is encoded as %q", s, encoded)
			}
			if back, ok := DecodeUTF7(encoded); back != s || !ok {
				t.Errorf("%q, encoded as %q, is decoded as %q (%v)", s, encoded, back, ok)
			}
		}
		if decoded, ok := DecodeUTF7(s); ok && EncodeUTF7(decoded) != s {
			t.Errorf("%q, decoded as %q, is encoded as %q", s, decoded, EncodeUTF7(decoded))
		}
	})
}
