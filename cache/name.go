package cache

import (
	"slices"
	"strings"

	"imapfs/imapconn"
	"imapfs/imapconn/imapwire"
)

const (
	// maxLevels is how deep a name goes, in levels; what lies deeper is one
	// component, with the delimiters in it.
	maxLevels = 64
	// maxNodes bounds the mailboxes of a tree with the parents that had to be
	// made: twice what one LIST may name.
	maxNodes = 2 * imapconn.MaxMailboxes
)

// inbox is the one name that is blind to case (RFC 3501 §5.1).
const inbox = "INBOX"

// listed is one mailbox as LIST gave it, with what its name means.
type listed struct {
	wire       string // as LIST gave it
	key        string // the identity: wire without a delimiter behind it; INBOX in capitals
	name       string // the last level, decoded
	parent     string // the key of the one above; "" is the root
	attrs      []string
	selectable bool
	made       bool // nobody has listed it: it has mailboxes below it
	delimiter  rune
	path       []string // shared, not modified
}

// equal reports whether two say the same.
func (l *listed) equal(o *listed) bool {
	return l.wire == o.wire && l.key == o.key && l.name == o.name && l.parent == o.parent && l.selectable == o.selectable &&
		l.made == o.made && l.delimiter == o.delimiter && slices.Equal(l.attrs, o.attrs) && slices.Equal(l.path, o.path)
}

// levels parts a wire name at its delimiter; 0 is none. A delimiter behind the
// name says nothing (`a/` is a). The parts share the name's memory.
func levels(wire string, delimiter rune) []string {
	if delimiter == 0 {
		return []string{wire}
	}
	d := string(delimiter)
	if cut := strings.TrimSuffix(wire, d); cut != "" {
		wire = cut
	}
	return strings.SplitN(wire, d, maxLevels)
}

// readName gives a mailbox of LIST and all that lie above it, the topmost first.
func readName(l imapconn.ListData) []listed {
	parts := levels(l.Name, l.Delimiter)
	d := len(string(l.Delimiter))
	path := make([]listed, len(parts))
	end := 0 // of the part, in the name
	parent := ""
	for i, part := range parts {
		if i > 0 {
			end += d
		}
		end += len(part)
		n := listed{wire: l.Name[:end], key: l.Name[:end], parent: parent, made: true, delimiter: l.Delimiter}
		if i == 0 && strings.EqualFold(part, inbox) {
			n.key, n.name = inbox, inbox
		} else {
			n.name = decodeName(part)
		}
		parent = n.key
		path[i] = n
	}
	last := &path[len(path)-1]
	last.wire, last.attrs, last.made = l.Name, l.Attrs, false
	last.selectable = !has(l.Attrs, `\Noselect`) && !has(l.Attrs, `\NonExistent`)
	return path
}

// decodeName reads modified UTF-7. What is none, or would not encode back to
// itself, is shown as it is.
func decodeName(part string) string {
	if name, ok := imapwire.DecodeUTF7(part); ok {
		return name
	}
	return part
}

// has reports whether a list of attributes has one, in any case.
func has(attrs []string, name string) bool {
	for _, a := range attrs {
		if strings.EqualFold(a, name) {
			return true
		}
	}
	return false
}
