package main

import (
	"slices"
	"strings"

	"imapfs/imapconn"
	"imapfs/imapconn/imapwire"
)

// A capability is what a server may offer and what the mount makes of it.
type capability struct {
	names string // any of them will do, one that ends in = with any value; the first is what it is called
	rev2  bool   // IMAP4rev2 has it (RFC 9051, appendix E)
	gives string // to who mounts the account
	lacks string // what is slow, or not to be had, without it; empty: nothing to speak of
}

// capabilities are all that the mount uses, what matters most first.
var capabilities = []capability{
	{"UIDPLUS", true, "rm removes just its message, and the number of one that is written is known at once",
		"a message that is written has to be looked for, and none can be expunged alone"},
	{"MOVE", true, "mv is one step on the server", "mv copies, then deletes"},
	{"CONDSTORE QRESYNC", false, "a look at a mailbox fetches what has changed since the last one",
		"each look at a mailbox that has changed fetches the flags of all its messages"},
	{"QRESYNC", false, "what was expunged is told with what has changed",
		"where messages were expunged, each look fetches the list of those that are left"},
	{"NOTIFY", false, "news of all mailboxes within a second", ""},
	{"IDLE", true, "news of the mailboxes in use within a second", ""},
	{"LITERAL+", false, "a text is sent without asking first", ""},
	{"LITERAL- LITERAL+", true, "a text of 4 KiB at most is sent without asking first", ""},
	{"BINARY", false, "a text with NUL octets can be written", "a text with NUL octets is refused"},
	{"LIST-STATUS", true, "many mailboxes are looked at in one question (with LIST-EXTENDED)",
		"each mailbox that is looked at by --poll takes a question of its own"},
	{"LIST-EXTENDED", true, "see LIST-STATUS", ""},
	{"STATUS=SIZE", true, "imapfs check knows how much mail there is", ""},
	{"SPECIAL-USE", true, "the trash, and what holds messages of other mailboxes, is known by what it is for", ""},
	{"COMPRESS=DEFLATE", false, "--compress, for slow lines", ""},
	{"REPLACE", false, "an edit takes the place of the old message in one step", ""},
	{"OBJECTID", false, "a mailbox that is renamed elsewhere takes its open files along", ""},
	{"QUOTA", false, "df says how much room there is", ""},
	{"APPENDLIMIT APPENDLIMIT=", false, "a text that is too large is refused before it is sent", ""},
	{"UNSELECT", true, "a mailbox can be left without ado", ""},
	{"ESEARCH", true, "lists of messages are short", ""},
	{"ENABLE", true, "see CONDSTORE and QRESYNC", ""},
	{"NAMESPACE", true, "mailboxes of others are told from one's own (--shared)", ""},
	{"ID", false, "the server's log says that it is imapfs", ""},
	{"X-GM-EXT-1", false, "it is Gmail: what is deleted goes to the trash, where alone it can be removed", ""},
}

// name is what it is called.
func (c *capability) name() string {
	name, _, _ := strings.Cut(c.names, " ")
	return name
}

// offered reports whether a server has it.
func (c *capability) offered(by imapconn.Caps) bool {
	if c.rev2 && by.Has("IMAP4rev2") {
		return true
	}
	for name := range strings.FieldsSeq(c.names) {
		if by.Has(name) || strings.HasSuffix(name, "=") && slices.ContainsFunc(by.Names(), func(n string) bool { return strings.HasPrefix(n, name) }) {
			return true
		}
	}
	return false
}

// isKnown reports whether what a server offers is in the table, is a revision of IMAP, or
// is about the login.
func isKnown(name string) bool {
	for _, known := range []string{"IMAP4", "AUTH=", "SASL-IR", "LOGINDISABLED", "STARTTLS"} {
		if strings.HasPrefix(name, known) {
			return true
		}
	}
	return slices.ContainsFunc(capabilities, func(c capability) bool { return c.offered(imapwire.NewCaps(name)) })
}

// offered reports whether a server has a capability of the table.
func offered(caps imapconn.Caps, name string) bool {
	for i := range capabilities {
		if capabilities[i].name() == name {
			return capabilities[i].offered(caps)
		}
	}
	return caps.Has(name)
}

// slowness says what will be slow, or not to be had, for want of capabilities.
func slowness(caps imapconn.Caps, o *options) (why []string) {
	every := o.Poll.String()
	switch {
	case offered(caps, "NOTIFY") && o.Connections >= minNotify:
	case offered(caps, "NOTIFY"):
		why = append(why, "NOTIFY takes a connection of its own, from --connections 3 on: news of mailboxes that are not in use comes by --poll, every "+every)
	case offered(caps, "IDLE"):
		why = append(why, "no NOTIFY: news of mailboxes that are not in use comes by --poll, every "+every)
	default:
		why = append(why, "no IDLE and no NOTIFY: all news comes by --poll, every "+every)
	}
	switch caps.Literals() {
	case imapwire.NonSyncSmall:
		why = append(why, "no LITERAL+: each write of more than 4 KiB takes one more round trip")
	case imapwire.Synchronizing:
		why = append(why, "no LITERAL+: each write takes one more round trip")
	}
	for i := range capabilities {
		c := &capabilities[i]
		switch {
		case c.lacks == "" || c.offered(caps):
		case c.name() == "QRESYNC" && !offered(caps, "CONDSTORE"): // which says more
		default:
			why = append(why, "no "+c.name()+": "+c.lacks)
		}
	}
	if isRFC1730(caps) {
		why = append(why, "RFC 1730: each mailbox is asked about by EXAMINE, on a connection that does nothing else meanwhile")
	}
	return why
}

// minNotify is from how many connections on one is for NOTIFY (cache.Config.Connections).
const minNotify = 3

// isRFC1730 reports whether a server is one without STATUS.
func isRFC1730(caps imapconn.Caps) bool { return !caps.Rev1() && caps.Has("IMAP4") }
