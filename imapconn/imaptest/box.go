package imaptest

import (
	"slices"
	"time"

	"imapfs/imapconn/imapwire"
)

// Gone says how a server answers for a message that another session expunged,
// in a session that was not told yet. The names are those of the servers that
// do so.
type Gone int

const (
	// DovecotGone answers SIZE 0 and BODY[] NIL, then EXPUNGE and a tagged
	// OK [EXPUNGEISSUED].
	DovecotGone Gone = iota + 1
	// CourierGone answers an invented text of 129 octets and OK; the EXPUNGE
	// comes at the next NOOP.
	CourierGone
	// MailutilsGone answers SIZE 0 and an empty text, and never an EXPUNGE.
	MailutilsGone
)

// Box is a mailbox of a Scripted server.
type Box struct {
	s        *Scripted
	name     string
	attrs    string
	validity uint32
	id       string // MAILBOXID; empty: none
	next     imapwire.UID
	messages []*scriptedMessage // in UID order
	gone     map[imapwire.UID]Gone
	refused  string // the text of a NO to EXAMINE; empty: none
}

type scriptedMessage struct {
	uid   imapwire.UID
	text  []byte
	flags string
	date  time.Time

	damaged bool

	lie   int64         // added to the size that is told
	body  string        // raw answer in place of the text's literal
	other *imapwire.UID // the UID whose message is sent in its place
}

// Add delivers a message; sessions that idle are told.
func (b *Box) Add(text []byte) imapwire.UID { return b.AddDated(text, "", time.Unix(1_000_000_000, 0)) }

// AddDated is Add with flags as on the wire and an INTERNALDATE.
func (b *Box) AddDated(text []byte, flags string, date time.Time) imapwire.UID {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	return b.add(text, flags, date).uid
}

// add is AddDated with the server's lock held.
func (b *Box) add(text []byte, flags string, date time.Time) *scriptedMessage {
	m := &scriptedMessage{uid: b.next, text: text, flags: flags, date: date}
	b.next++
	b.messages = append(b.messages, m)
	b.tell()
	return m
}

// tell tells the sessions that idle. Called with the server's lock held.
func (b *Box) tell() {
	for se := range b.s.sessions {
		if se.box == b && se.idling {
			se.tell()
		}
	}
}

// Texts are the texts of the messages that there are, in UID order.
func (b *Box) Texts() []string {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	var all []string
	for _, m := range b.messages {
		all = append(all, string(m.text))
	}
	return all
}

// Reuse delivers a message under the UID of an expunged one, as no server may
// (RFC 3501 2.3.1.1). The mailbox is empty.
func (b *Box) Reuse(uid imapwire.UID, text []byte) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	delete(b.gone, uid)
	b.messages = []*scriptedMessage{{uid: uid, text: text, date: time.Unix(1_000_000_000, 0)}}
}

// LieSize makes the server add by to the RFC822.SIZE of uid.
func (b *Box) LieSize(uid imapwire.UID, by int64) {
	b.change(uid, func(m *scriptedMessage) { m.lie = by })
}

// Named are the texts by UID.
func (b *Box) Named() map[imapwire.UID]string {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	all := make(map[imapwire.UID]string)
	for _, m := range b.messages {
		all[m.uid] = string(m.text)
	}
	return all
}

// Damage makes the server have one octet less of a text, once.
func (b *Box) Damage(uid imapwire.UID) {
	b.change(uid, func(m *scriptedMessage) {
		if !m.damaged {
			m.text, m.damaged = m.text[:len(m.text)-1], true
		}
	})
}

// AnswerBody makes the server send answer, as it stands on the wire (`NIL`,
// `""`, "{3}\r\nabc"), in place of any part of the text of uid.
func (b *Box) AnswerBody(uid imapwire.UID, answer string) {
	b.change(uid, func(m *scriptedMessage) { m.body = answer })
}

// AnswerOther makes the server send the message other, under its own UID,
// whenever uid is asked for.
func (b *Box) AnswerOther(uid, other imapwire.UID) {
	b.change(uid, func(m *scriptedMessage) { m.other = &other })
}

// SetFlags changes the flags of a message; sessions that idle are told.
func (b *Box) SetFlags(uid imapwire.UID, flags string) {
	b.change(uid, func(m *scriptedMessage) { m.flags = flags })
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	for se := range b.s.sessions {
		if i := slices.Index(se.view, uid); se.box == b && se.idling && i >= 0 {
			se.printf("* %d FETCH (UID %d FLAGS (%s))", i+1, uid, flags)
			se.flush()
		}
	}
}

func (b *Box) change(uid imapwire.UID, f func(*scriptedMessage)) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if m := b.message(uid); m != nil {
		f(m)
		return
	}
	b.s.tb.Errorf("imaptest: %s has no message %d", b.name, uid)
}

// Expunge removes a message, as another session does. Sessions that have the
// mailbox open answer for it as how says.
func (b *Box) Expunge(uid imapwire.UID, how Gone) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.remove(uid, how)
}

// remove is Expunge with the server's lock held.
func (b *Box) remove(uid imapwire.UID, how Gone) {
	b.messages = slices.DeleteFunc(b.messages, func(m *scriptedMessage) bool { return m.uid == uid })
	if b.gone == nil {
		b.gone = make(map[imapwire.UID]Gone)
	}
	b.gone[uid] = how
	b.tell()
}

// SetValidity changes UIDVALIDITY, from the next EXAMINE on.
func (b *Box) SetValidity(v uint32) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.validity = v
}

// SetID gives the mailbox a MAILBOXID (RFC 8474), from the next EXAMINE on.
func (b *Box) SetID(id string) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.id = id
}

// SetAttributes changes what LIST says of the mailbox: `\Noselect \HasChildren`.
func (b *Box) SetAttributes(attrs string) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.attrs = attrs
}

// Refuse makes EXAMINE and SELECT answer NO with text, which may begin with a
// response code; "" ends that.
func (b *Box) Refuse(text string) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.refused = text
}

// message is the one with uid, or nil. Called with the server's lock held.
func (b *Box) message(uid imapwire.UID) *scriptedMessage {
	i, found := slices.BinarySearchFunc(b.messages, uid, func(m *scriptedMessage, uid imapwire.UID) int {
		return int(int64(m.uid) - int64(uid))
	})
	if !found {
		return nil
	}
	return b.messages[i]
}
