// Package imapconn talks to one IMAP server over one connection: RFC 3501 and
// what of RFC 9051 and the extensions a mount needs, down to the servers of
// RFC 1730.
//
// # Nouns
//
// A [Dialer] holds what it takes to reach an account; Dial returns a [Client],
// one connection, logged in. A Client has one method for each command. What the
// server says of the selected mailbox, asked for or not, goes to a [Recorder].
// Mailbox names are wire names throughout: neither decoded nor rebuilt here.
// Package imapwire, below, turns octets into values and back; package imaptest,
// beside it, has servers for tests.
//
// # Guarantees
//
// Reading changes nothing: texts are asked for by BODY.PEEK, and nothing here
// can send STORE, EXPUNGE or CLOSE.
//
// A result is whole or an error. A List whose connection was cut returns no
// mailboxes.
//
// An answer is bound to its question by tag, and a FETCH by the UID that it
// bears, never by the one that was asked for; two commands whose answers could
// be mistaken for each other are never in flight together (pipeline.go has the
// rules). Message numbers are sent in PARTIAL only, which goes alone and is
// believed only while they stand still. Numbers that the server sends are turned
// into UIDs by a table that EXISTS and EXPUNGE keep, 4 octets a message; where it
// can no longer be right the Recorder is told Lost.
//
// The goroutine that reads the connection waits for nothing but the connection.
// Callbacks run on it, in the order of the server's words: they return at once,
// take no lock that is held across the network and do not call the Client.
// Everything is accepted at any time; what nobody knows is skipped with its
// literals. Texts go straight from the connection into slices of their own.
//
// Every method returns when its context ends. A command that was not sent yet
// is then never sent; the answer to one that was is drained, and its callback
// is not called any more. Where an answer is owed and no octet moves for
// Dialer.Timeout, or the server's words cannot be understood, the connection is
// closed and each command returns a *[ConnError]; there is no redialling here.
// Close waits for both goroutines of a Client.
//
// TLS is the default and there is no falling back from it. STARTTLS discards
// what the server said before it. A refused password is not tried again by
// another mechanism. Credentials reach neither error, log nor trace.
//
// IDLE renews itself every 29 minutes, and steps aside while other commands are
// given.
//
// # Limits
//
// A server that goes over one of these is cut off with an error that names it:
//
//   - here: [MaxMessages] of a mailbox, [MaxAnswers] to a FETCH, [MaxMailboxes]
//     and [MaxListOctets] of a LIST, [MaxNamespaces];
//   - in imapwire: MaxLine, MaxToken, MaxNesting, MaxLiteral, MaxString,
//     MaxFlags, MaxCaps.
//
// A text over Part.Limit is read and dropped, and the connection goes on:
// [ErrTooLarge]. Of words for people MaxText octets are kept, of a response
// code MaxCodeText. Command lines stay under 8,000 octets; longer sets go in
// several lines.
//
// # Caveats
//
// A command is for the mailbox that is selected when it is sent: who shares a
// Client decides together what that is. A tagged OK without data means that a
// message is gone; so does a Text that is Nil. Some servers answer a message
// that is gone with an invented text of another length: a text is to be
// believed by its length. FETCH answers may repeat facts, and give some of
// them. IDLE is a hint: some servers offer it and say nothing. A NO without a
// code says little. A server of RFC 1730 gives parts of texts by PARTIAL, one at a
// time and by message number (partial.go).
//
// # Why not an existing client
//
// The client of emersion/go-imap v2, whose in-memory server our tests use,
// takes no contexts; a consumer that is slow with one FETCH stalls the reading
// of all answers; and its MOVE falls back to COPY, STORE and a bare EXPUNGE,
// which removes what others have marked.
package imapconn
