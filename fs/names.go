package fs

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"imapfs/cache"
)

// maxName is NAME_MAX: the octets that the kernel takes for one component.
const maxName = 255

// maxSuffix bounds --suffix, in octets: it is part of every message's name.
const maxSuffix = 32

// naming turns mailboxes and messages into file names and back. It knows
// nothing of what exists: it is a pure function of the names themselves.
type naming struct {
	suffix string // appended to the name of a message; "" for none
}

// check refuses a suffix with which a message's name could not be told from its
// number, or could leave its directory.
func (n naming) check() error {
	s := n.suffix
	if s == "" {
		return nil
	}
	bad := len(s) > maxSuffix || !utf8.ValidString(s) || s[0] >= '0' && s[0] <= '9' ||
		strings.ContainsFunc(s, func(r rune) bool { return r == '/' || unicode.IsControl(r) })
	if bad {
		return errors.New("suffix " + strconv.Quote(s) + " cannot be part of a file name (use one like .eml)")
	}
	return nil
}

// messageName is the UID in decimal, and the suffix.
func (n naming) messageName(uid cache.UID) string {
	return string(n.appendMessageName(nil, uid))
}

func (n naming) appendMessageName(b []byte, uid cache.UID) []byte {
	b = strconv.AppendUint(b, uint64(uid), 10)
	return append(b, n.suffix...)
}

// parseMessage is the inverse of messageName. One message has one spelling: no
// sign, no leading zero, and with a suffix never without it.
func (n naming) parseMessage(name string) (cache.UID, bool) {
	digits, ok := strings.CutSuffix(name, n.suffix)
	if !ok || !allDigits(digits) || digits[0] == '0' {
		return 0, false
	}
	uid, err := strconv.ParseUint(digits, 10, 32)
	return cache.UID(uid), err == nil
}

// looksLikeMessage says that a name has the form of a message's, whether or
// not a UID can be that number: a mailbox so named is listed escaped.
func (n naming) looksLikeMessage(name string) bool {
	digits, ok := strings.CutSuffix(name, n.suffix)
	return ok && allDigits(digits)
}

// A component is one level of a mailbox's path, with the name on the wire to
// tell apart two that decode to the same.
type component struct {
	name string
	wire string
}

// assign gives each of the mailboxes of one directory its own name. top says
// that the directory is the root: no message can be there, and INBOX is there.
// The answer depends on the set, not on its order.
func (n naming) assign(cs []component, top bool) []string {
	names := make([]string, len(cs))
	count := make(map[string]int, len(cs))
	for i, c := range cs {
		names[i] = n.mailboxName(c.name, top)
		count[names[i]]++
	}
	// The one that is INBOX to the letter keeps the name that everybody expects.
	keeper := -1
	for i, c := range cs {
		if top && c.name == inbox && (keeper < 0 || c.wire < cs[keeper].wire) {
			keeper = i
		}
	}
	for i, c := range cs {
		if count[names[i]] > 1 && i != keeper {
			names[i] = cut(names[i], c.name+"\x00"+c.wire)
		}
	}
	return names
}

const inbox = "INBOX"

// mailboxName is the file name of one component of a mailbox's path. It is
// reversible as long as it holds no "%~", which marks a name that was cut.
func (n naming) mailboxName(c string, top bool) string {
	if top && strings.EqualFold(c, inbox) {
		return inbox
	}
	if c == "" {
		return cut("", c)
	}
	var b strings.Builder
	i := 0
	if c[0] == '.' || !top && n.looksLikeMessage(c) {
		escapeByte(&b, c[0])
		i = 1
	}
	for i < len(c) {
		r, size := utf8.DecodeRuneInString(c[i:])
		switch {
		case r == utf8.RuneError && size == 1, r == '/', unicode.IsControl(r), r == '%' && readsAsEscape(c[i+1:]):
			for j := range size {
				escapeByte(&b, c[i+j])
			}
		default:
			b.WriteString(c[i : i+size])
		}
		i += size
	}
	if b.Len() > maxName {
		return cut(b.String(), c)
	}
	return b.String()
}

// alias gives the listed name that an unescaped number may also mean, below
// another mailbox: 2023 for %32023.
func (n naming) alias(name string, top bool) (string, bool) {
	if top || !n.looksLikeMessage(name) {
		return "", false
	}
	return n.mailboxName(name, top), true
}

// unalias is the inverse of alias, for a listed name.
func (n naming) unalias(listed string, top bool) (string, bool) {
	if top || len(listed) < 3 || listed[0] != '%' || listed[1] != '3' {
		return "", false
	}
	plain := listed[2:]
	return plain, n.looksLikeMessage(plain)
}

// cut shortens a listed name and marks it with a hash of what tells it from
// others. It never splits a character or an escape.
func cut(name, identity string) string {
	sum := sha256.Sum256([]byte(identity))
	mark := "%~" + hashText.EncodeToString(sum[:hashOctets])
	k := min(len(name), maxName-len(mark))
	for k > 0 && k < len(name) && !utf8.RuneStart(name[k]) {
		k--
	}
	switch {
	case k >= 1 && name[k-1] == '%':
		k--
	case k >= 2 && name[k-2] == '%' && k < len(name):
		k -= 2
	}
	return name[:k] + mark
}

// hashOctets of SHA-256 in a name: nobody finds two mailboxes that share them.
const hashOctets = 16

var hashText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// readsAsEscape says that a % before s would be taken for one of ours.
func readsAsEscape(s string) bool {
	return strings.HasPrefix(s, "~") || len(s) >= 2 && isHex(s[0]) && isHex(s[1])
}

func escapeByte(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
