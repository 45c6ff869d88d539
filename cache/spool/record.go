package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// firstLine begins a file that describes a text; another number is another format.
const firstLine = "imapfs text 1\n"

// errRecord: the file is torn, or nobody has written it.
var errRecord = errors.New("not a whole record")

// writer writes lines of a key and values.
type writer struct{ b []byte }

func (w *writer) line(key string, values ...any) {
	w.b = append(w.b, key...)
	for _, v := range values {
		w.b = append(w.b, ' ')
		switch v := v.(type) {
		case string: // any octets at all
			w.b = strconv.AppendQuoteToASCII(w.b, v)
		case time.Time:
			w.b = v.AppendFormat(w.b, time.RFC3339Nano)
		default: // a number
			w.b = fmt.Append(w.b, v)
		}
	}
	w.b = append(w.b, '\n')
}

// format writes an Info. What is zero has no line. ErrTooLong: it is over maxEntry.
func format(in *Info) ([]byte, error) {
	w := writer{[]byte(firstLine)}
	w.line("id", in.ID)
	w.line("state", in.State.String())
	if in.Mailbox.Wire != "" {
		w.line("mailbox", in.Mailbox.Wire)
	}
	if len(in.Mailbox.Path) > 0 {
		w.line("path", anys(in.Mailbox.Path)...)
	}
	w.line("name", in.Name)
	if !in.Date.IsZero() {
		w.line("date", in.Date)
	}
	if len(in.Flags) > 0 {
		w.line("flags", anys(in.Flags)...)
	}
	for _, m := range in.Replaces {
		w.line("replaces", m.Mailbox, m.Validity, m.UID)
	}
	if len(in.follows) > 0 {
		w.line("follows", anys(in.follows)...)
	}
	if !in.Since.IsZero() {
		w.line("since", in.Since)
	}
	w.line("size", in.Size)
	if in.Damage != Whole {
		w.line("damage", string(in.Damage))
	}
	for _, t := range in.traits() {
		if *t.is {
			w.line(t.key)
		}
	}
	if in.Sum != ([sha256.Size]byte{}) {
		w.line("sent", in.Length, hex.EncodeToString(in.Sum[:]))
	}
	if in.Tries != 0 {
		w.line("tried", in.Tries, in.Tried, in.Validity, in.UIDNext)
	}
	if in.UID != 0 {
		w.line("uid", in.UID)
	}
	if in.Failure != (Failure{}) {
		w.line("failure", in.Failure.Kind, in.Failure.Words, in.Failure.When)
	}
	w.line("sum", hash(w.b))
	if len(w.b) > maxEntry {
		return nil, ErrTooLong
	}
	return w.b, nil
}

// traits are the keys of what is only there or not.
func (in *Info) traits() []trait {
	return []trait{{"rest", &in.rest}, {"crlf", &in.CRLF}, {"mixed", &in.Mixed}, {"header", &in.Header}, {"8bit", &in.EightBit}, {"nul", &in.NUL}}
}

type trait struct {
	key string
	is  *bool
}

func anys(s []string) []any {
	a := make([]any, len(s))
	for i, s := range s {
		a[i] = s
	}
	return a
}

// hash is the SHA-256 of b in hexadecimal.
func hash(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// parse reads what format writes, and nothing else: an Info that is written again
// gives the same octets.
func parse(b []byte) (*Info, error) {
	if len(b) > maxEntry || !bytes.HasPrefix(b, []byte(firstLine)) {
		return nil, errRecord
	}
	in := &Info{}
	for rest := string(b[len(firstLine):]); rest != ""; {
		line, after, whole := strings.Cut(rest, "\n")
		if !whole {
			return nil, errRecord
		}
		rest = after
		r := reader{rest: line}
		key := r.word()
		if key == "sum" {
			break // compared below
		}
		in.set(key, &r)
		if r.failed || r.rest != "" {
			return nil, errRecord
		}
	}
	again, err := format(in)
	if err != nil || !bytes.Equal(b, again) || in.check() != nil || !goodID(in.ID) || in.Size < 0 || in.Length < 0 {
		return nil, errRecord
	}
	return in, nil
}

// set takes one line.
func (in *Info) set(key string, r *reader) {
	switch key {
	case "id":
		in.ID = r.text()
	case "state":
		name := r.text()
		for s := Writing; s <= discarded; s++ {
			if s.String() == name {
				in.State = s
			}
		}
	case "mailbox":
		in.Mailbox.Wire = r.text()
	case "path":
		in.Mailbox.Path = r.texts(maxLevels)
	case "name":
		in.Name = r.text()
	case "date":
		in.Date = r.time()
	case "flags":
		in.Flags = r.texts(maxFlags)
	case "replaces":
		m := Message{r.text(), UIDValidity(r.number(32)), UID(r.number(32))}
		in.Replaces = append(in.Replaces, m)
		r.failed = r.failed || m == Message{} || len(in.Replaces) > maxReplaces
	case "follows":
		in.follows = r.texts(maxFollows)
	case "since":
		in.Since = r.time()
	case "size":
		in.Size = int64(r.number(63))
	case "damage":
		in.Damage = Damage(r.text())
	case "sent":
		in.Length = int64(r.number(63))
		if sum, err := hex.DecodeString(r.text()); err != nil || copy(in.Sum[:], sum) != len(in.Sum) {
			r.failed = true
		}
	case "tried":
		in.Tries, in.Tried = int(r.number(31)), r.time()
		in.Validity, in.UIDNext = UIDValidity(r.number(32)), UID(r.number(32))
	case "uid":
		in.UID = UID(r.number(32))
	case "failure":
		in.Failure = Failure{r.text(), r.text(), r.time()}
	default:
		for _, t := range in.traits() {
			if t.key == key {
				*t.is = true
				return
			}
		}
		r.failed = true
	}
}

// reader reads the values of a line. After a value that is not what was asked for,
// failed is true and the rest is nothing.
type reader struct {
	rest   string
	failed bool
}

func (r *reader) word() string {
	word, rest, _ := strings.Cut(r.rest, " ")
	r.rest = rest
	return word
}

func (r *reader) text() string {
	quoted, err := strconv.QuotedPrefix(r.rest)
	if err != nil {
		r.failed, r.rest = true, ""
		return ""
	}
	r.rest = strings.TrimPrefix(r.rest[len(quoted):], " ")
	text, err := strconv.Unquote(quoted)
	r.failed = r.failed || err != nil
	return text
}

func (r *reader) texts(most int) []string {
	var all []string
	for r.rest != "" && len(all) < most {
		all = append(all, r.text())
	}
	return all
}

func (r *reader) number(bits int) uint64 {
	n, err := strconv.ParseUint(r.word(), 10, bits)
	r.failed = r.failed || err != nil
	return n
}

func (r *reader) time() time.Time {
	t, err := time.Parse(time.RFC3339Nano, r.word())
	r.failed = r.failed || err != nil
	return t
}

// goodID reports whether id is one of ours: a part of file names.
func goodID(id string) bool {
	if len(id) != 16 {
		return false
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
