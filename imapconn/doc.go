// Package imapconn talks to one IMAP server over one connection: RFC 3501 and
// what of RFC 9051 and the extensions a mount needs, down to the servers of
// RFC 1730.
//
// # Nouns
//
// A [Dialer] holds what it takes to reach an account; Dial returns a [Client],
// one connection, logged in. A Client has one method for each command. What the
// server says of the selected mailbox, asked for or not, goes to a [Recorder]; what
// it says unasked of others (NOTIFY), to a [Watcher].
// Mailbox names are wire names throughout: neither decoded nor rebuilt here.
// Package imapwire, below, turns octets into values and back; package imaptest,
// beside it, has servers for tests.
//
// # Guarantees
//
// Reading changes nothing: texts are asked for by BODY.PEEK, and what would change
// the messages of a mailbox that was examined is [ErrReadOnly] before anything is
// sent. CLOSE is sent only after EXAMINE, where it expunges nothing, and to servers
// of RFC 1730 only. Flags are set and taken away one by one, never replaced; what
// is expunged was named by UID, but for ExpungeAll, which a person asks for.
//
// A message that is stored streams, and its error says whether the server may have
// it ([AppendError]). What changes messages is not sent while something that
// changes the same ones is unanswered (pipeline.go).
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
// can no longer be right the Recorder is told Lost. With QRESYNC, which is enabled at
// login where it is offered, a mailbox with mod-sequences needs no table: what goes is
// named by its UID (qresync.go). Else CONDSTORE is used where it is offered
// (condstore.go).
//
// The goroutine that reads the connection waits for nothing but the connection.
// Callbacks run on it, in the order of the server's words: they return at once,
// take no lock that is held across the network and do not call the Client.
// Everything is accepted at any time; what nobody knows is skipped with its
// literals. Texts go straight from the connection into slices of their own, in memory that
// the kernel is asked to give by the 2 MB (largepages_linux.go).
//
// Every method returns when its context ends. A command that was not sent yet
// is then never sent; the answer to one that was is drained, and its callback
// is not called any more. Where an answer is owed and no octet moves for
// Dialer.Timeout, or the server's words cannot be understood, the connection is
// closed and each command returns a *[ConnError]; there is no redialling here. From
// the third second of silence on the kernel asks the other end whether it still knows
// the connection. A connect without an answer is tried again every two seconds.
// Close waits for both goroutines of a Client.
//
// TLS is the default, 1.2 at least, and there is no falling back from it. STARTTLS
// discards what the server said before it. The mechanism is the first of mechanism.go
// that the server offers and the credentials serve for. A refused password is not tried
// again by another. A server that logs us in by SCRAM and does not prove that it knows
// the password is refused. Credentials reach neither error, log nor trace, nor does
// what SCRAM says in the trace: with it a password could be guessed at.
//
// Compression (RFC 4978) is asked for right after the login, by who wants it
// (Dialer.Compression). What is counted and timed is then what moves on the wire, in
// compressed octets (Traffic, Bandwidth, Stats, Timeout); what is bounded and shown is
// the protocol, inflated (the limits below, a trace). Octets that cannot be inflated
// end the connection, and no text is delivered that did not come whole. TLS as it is
// here has no compression of its own. What a server compresses has to end with a sync
// flush, as all do that are known, else the server seems silent.
//
// IDLE renews itself every 29 minutes, and steps aside while other commands are
// given.
//
// # Limits
//
// Memory is taken for what has come, never for what is announced, and nothing that
// nobody asked for is kept. A server that goes over one of these is cut off with an
// error that names it (imapwire.LimitError):
//
//	imapwire.MaxLine      32 MiB        a response without its literals
//	imapwire.MaxToken     64 KiB        an atom, a quoted string, a list of flags, all capabilities
//	imapwire.MaxString    64 KiB        a literal in the place of a short string: a name, a date
//	imapwire.MaxLiteral   4 GiB - 1     any literal, those that are skipped too
//	imapwire.MaxNesting   100 levels    lists in lists
//	imapwire.MaxFlags     4096 flags    of a message, a mailbox, a name in LIST
//	imapwire.MaxCaps      1024          capabilities, and what ENABLED says
//	[MaxMessages]         16,777,216    messages of a mailbox (64 MiB), ranges of a SEARCH
//	[MaxAnswers]          33,554,432    FETCH answers to one command
//	[MaxMailboxes]        200,000       answers to one LIST, LIST-STATUS too
//	[MaxListOctets]       64 MiB        names and attributes in them
//	[MaxNamespaces]       1000          namespaces
//	[MaxPrefix]           4 KiB         the prefix of one
//
// These cost the server only what was too much: the rest is read and dropped.
//
//	Part.Limit            1 GiB         the text of a message, several in one answer together: [ErrTooLarge]
//	imapwire.MaxText      1 KiB         words for people; control characters become spaces
//	imapwire.MaxCodeText  16 KiB        arguments of a response code; its name 64 octets
//	COPYUID codes         256           for one command; what more would name is CopyData.Unnamed
//	a challenge           64 KiB        of AUTHENTICATE, and 16 of them; the words of a +
//	SCRAM iterations      1,000,000     and 4,096 at least: the login fails
//	flag lists            1 MiB, 4096   that are shared among messages
//	texts                 4             in one FETCH answer
//	alerts                10            in the log, of one connection
//	a trace               64 KiB        a line, before it is broken
//
// Of untagged responses nothing is queued: each is recorded or dropped when it has
// been read. Dialer.Timeout (30 s) is how long no octet may move while an answer is
// owed, twice that at most while a text is on its way out; each step of Dial (connect, TLS, greeting, capabilities, login) ends within
// it, whatever moves. PARTIAL is sent 10 times at most while message numbers shift.
// Command lines stay under 8,000 octets; longer sets go in several lines. A text of
// up to 1 MiB is sent at once where the server takes that, and 32 KiB of any are in
// memory. A compressed connection takes 1.3 MB more, whatever comes. What package
// cache keeps of all this has limits of its own, named in its files.
//
// # Caveats
//
// A command is for the mailbox that is selected when it is sent: who shares a
// Client decides together what that is. A tagged OK without data means that a
// message is gone; so does a Text that is Nil. Some servers answer a message
// that is gone with an invented text of another length: a text is to be
// believed by its length. FETCH answers may repeat facts, and give some of
// them. IDLE and NOTIFY are hints: some servers offer them and say nothing. A NO without a
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
