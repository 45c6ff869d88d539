// Package cache remembers what the server has said about an account, and asks
// for what it has not said yet.
//
// Its nouns are the [Account], the [Tree] of its [Mailbox] values, the [Snapshot]
// of a mailbox's messages, and the text of a message, which lies in blocks. A
// tree and a snapshot never change; newer ones replace them, and the [Observer]
// is told.
//
// # What it promises
//
//   - A Tree and a Snapshot are whole, or they are not there. A LIST, EXAMINE or
//     FETCH that was cut, refused or came short publishes nothing.
//   - A text is under its own UID and UIDVALIDITY, and as long as the size that is
//     recorded when it is served. It is believed when it has the recorded length,
//     or when a session that began later lists the message and gives the same other
//     length again, which is recorded then (believe.go). A size that merely arrives
//     replaces none.
//   - UIDVALIDITY is looked at in each EXAMINE, whatever it is for. From that
//     moment the old texts are Stale. A server that changes UIDs under one UIDVALIDITY
//     is given another number for it (epoch.go), and so is a mailbox that has taken the
//     name of another one.
//     A text that is asked for while a sample of the messages is compared, in one flight
//     with it, is nobody's until the sample agrees, and thrown away where it does not.
//   - A mailbox that is renamed elsewhere stays the same value, with its texts, where the
//     server gives evidence that it is the same (moved.go): MAILBOXID, or UIDVALIDITY
//     with UIDNEXT, sizes and dates. In doubt it is a new one.
//   - Whoever waits does so until his context ends and no longer. The work goes on;
//     it is done once, whoever asks, and on another connection where one dies.
//   - Nothing is changed on the server by reading: EXAMINE and BODY.PEEK[].
//   - A text that is to be sent is in the spool until the server has it, octet by octet, as
//     far as that can be told. It is sent once: where the answer was lost it is looked for
//     before it is sent again.
//   - A change is done once, and is in the Tree and the Snapshots when it is acknowledged.
//     One whose answer is lost is looked for before it is sent again. What a listing, an
//     EXPUNGE or EXISTS says of it later is no news (ours.go).
//   - Nothing is expunged that was not deleted here: UID EXPUNGE and UID MOVE only, else the
//     message is marked and hidden (hide.go). A mailbox is deleted only after it was found
//     empty under a name that nothing is delivered to (remove.go).
//
// # How it is done
//
// The pool (pool.go) lends out a few connections. A connection has one mailbox
// selected and any number of users, whose commands are pipelined. Whoever waits for
// another mailbox is served in order; with one connection everything works, in
// turn. A server that refuses one more connection is used with those there are.
//
// A server that cannot be reached (outage.go) is asked for again every 0.8 to 2.4 s
// while somebody has looked during the last ten minutes, and every few minutes
// else. Whoever waits does so until Config.Timeout after it was lost; from then on
// the answer is Timeout at once, but for the 2 s in which a new attempt may succeed. What
// is cached is served meanwhile. Connections end when the machine has slept, when
// their address is gone, and when nothing came on them while another one fell
// silent; a changed network has the others asked (wake.go).
//
// The index of a mailbox follows one selection on one connection: what is heard
// there (hear.go), and only that, changes the index. What other connections hear
// are hints, on which the followed one is asked (NOOP). When the selection ends, the
// next look is a new EXAMINE. With QRESYNC it tells what has changed since the
// mod-sequence up to which the index has everything; with CONDSTORE alone new
// messages and flags are asked for, and the list of UIDs where that leaves another
// number of messages than there are (resync.go). Where there is neither, or what comes
// of it has not as many messages as EXISTS says, or STATUS contradicts it, UIDs and
// flags are listed; of messages that are known sizes and dates are not asked for again
// (relist.go). One goroutine looks at
// a time (load.go); it works on a snapshot that nobody sees until it has as many
// messages as EXISTS and EXPUNGE say.
//
// News come in three ways. The watch (watch.go) idles on the mailboxes looked into last,
// each on the connection that its index follows, on as many as leave one connection to
// readers; on that one the mailbox looked into last is kept ready. NOTIFY (notify.go)
// tells, on one connection more, of all mailboxes: one that somebody has looked into
// during the last ten minutes is looked at, any other by whoever looks next; where names
// have changed the tree is listed. Both are hints. So the poll (poll.go) asks every
// Config.Poll about whatever was looked into during the last ten minutes, all in one
// command or one flight; less often about mailboxes that NOTIFY tells of, but for the names
// of all every time until two minutes after a look ([Account.Look]): Dovecot keeps back what
// NOTIFY is to tell of a RENAME until a client lists them. A server that is found not
// to tell what the poll finds is asked by the poll alone (mute.go). The poll stays under
// 1 KB a second: with some hundred mailboxes and more it asks for the tree, and about each
// mailbox, less often.
//
// Changes (write.go, and a file for each) go over connections of their own, selected by
// SELECT, one or two of the pool and never all of it (writers.go). One of a message costs a round
// trip: UID STORE, UID EXPUNGE and the question what is left share a flight; a UID
// MOVE names the new UID, and the rest of the record is known. Who renames or removes a
// mailbox has the pool leave it and those below, and nobody lists the tree meanwhile. What
// must not be forgotten by a crash is in the journal of package spool.
//
// [Account.Status] says what all of this is doing, from memory; [Account.Refresh] has
// everything looked at anew, where a hint is not enough.
//
// Texts (text.go) are kept in an LRU bounded in octets. A small one is one block. A
// large one lies in blocks of 128 KiB; opening it fetches the first block and the
// end, with some octets beyond, in one flight, which settles its size. Reading
// forward asks ahead in runs that grow from 512 KiB to 4 MiB (stream.go).
//
// Who opens one message after another is a scan (scan.go): up or down, in the order of
// numbers or of names, with gaps, in several threads. What it will open next is fetched in
// batches of up to 4 MiB, one UID FETCH each, several in flight on one connection
// (ahead.go). At first 256 KiB are asked for ahead; while the reader has to wait for what
// comes next, that grows, up to 32 MiB, what the line brings in a second, and the scan's part
// of a quarter of the cache. A large text is fetched in a batch, too, where the scan has read
// one beyond its beginning and it is not larger than that. What nobody has read is not let go
// to make room; what was read to its end goes first, for the kernel has it. One connection is
// enough: on a line that is not shaped, raw streams of 10,000 messages, 228 MB, from Dovecot
// took one connection 0.69, 0.69 and 0.73 s at 0, 20 and 50 ms, and four 0.87, 0.75 and 0.89
// s. Others are served by connections on which nothing is fetched ahead, as long as there are
// such.
//
// A server that says "later" is left alone for as long as it says, or longer each
// time, and used over one connection less (throttle.go); who cannot wait so long is
// Busy at once. The octets of the last 24 hours are counted in a Ledger, which may
// bound them (ledger.go): then texts that are not cached are Quota.
//
// A [Draft] (draft.go) is a file that is being written. Send commits it and has it sent
// (send.go, append.go) by the draft's own goroutine (retry.go), which goes on when nobody
// waits any more. UIDVALIDITY and UIDNEXT are in the spool before; a text whose APPEND was
// cut off behind its last octet is looked for among the messages that are its size
// (settle.go). What has arrived is in the snapshot at once and is checked behind, many at
// a time (check.go): a server may say OK and have other octets. What the text replaces
// is deleted when it is checked; where the server offers REPLACE, and the check can find
// nothing but another size, it goes with the same command (replace.go). The next daemon
// goes on where this one ended (recover.go).
//
// What is read is given as it lies in its blocks, without a copy ([Mailbox.TryView]): a block
// is never written to again, and the collector has it when the last who reads it has gone.
// A lookup takes 1.6 µs (text_test.go); at 10,000 messages the order of the LRU does not show.
//
// # Limits
//
// A server cannot make an account grow beyond these, and imapconn's:
//
//	Config.CacheBytes     texts, in octets
//	maxIndexed            64 Mi messages in all mailboxes looked into, 20 octets each: TooBig
//	maxFlagSets           65,536 different sets of flags in a mailbox: TooBig
//	maxFlagOctets         16 MiB of flags in them, and of those heard and not taken up
//	maxHeard, maxGone     1 Mi messages that went, or ranges, not taken up; ranges of those remembered
//	maxChanges            64 Ki words at an EXAMINE, and two for each message that is known: listed
//	maxNotices            10,000 mailboxes told of by NOTIFY and not looked at, 1 MiB of names: all are looked at
//	maxNodes, maxLevels   400,000 mailboxes with those above them; 64 levels of a name
//	maxWindow, maxQueue   32 MiB and 8,192 messages fetched ahead of a scan; maxScans 32 of these
//	maxText               128 Ti octets of a text; one without an end is measured while somebody waits
//	lieLimit, wholeLimit  8 MiB of a text said to be small; 256 MiB where there are no parts
//	relistPace            1 s between listings of a mailbox, or of the tree, for which nobody waits
//	relistRate            32 KiB a second for listing the tree because of NOTIFY
//	maxMailboxStatus      1000 mailboxes in a Status
//	maxLedger             16 KiB of a ledger's file; 25 hours are counted
//	maxRest               5 min for which a server is left alone that names no time; an hour if it does
//	oursKept              1 to 2 min for which a message that we have removed is listed by nobody
//	oursOldest            10 s for which hints about a mailbox are put off at most while we change it
//	maxSending            4 texts on their way to the server at once
//	maxLingering          256 texts that have arrived, kept for a minute for another date
//	maxAsked, maxExamined 64 new names asked about, 16 examined, when a mailbox vanishes
//
// # Caveats
//
// Without CONDSTORE a changed flag is noticed in a mailbox that no connection has
// open, and of which NOTIFY does not tell, only when that is entered again: STATUS, which the poll uses there, says then
// how many messages are unseen and nothing more of flags. With it a server is
// believed that says which flags have changed; only a number of messages, or of
// unseen ones, that does not fit has the mailbox listed.
//
// While we change a mailbox what another client does in it may be seen 10 s late, where
// the index follows no connection that has it selected. A COPY whose answer is lost is
// looked for before it is sent again (lostcopy.go); where the server does not say where, or
// gives wrong sizes, it is an error, and there may be a copy.
//
// A text that another client has put into the mailbox since, and that is the same octet by
// octet, is taken for ours where the answer to ours was lost. Of a text with NUL only the
// size is compared: BODY[] cannot have it (Dovecot gives 0x80).
//
// # Locks
//
// None is held over the network, over a callback of the Observer, or while
// waiting for anything but another lock. In this order; what stands on one line is
// never held together:
//
//	Draft.mu (over the spool's disk)
//	vigil.mu
//	trees.mu
//	index.mu
//	texts.mu, pool.mu
//	hearing.mu
//	looks.mu
//	drafts.mu, crier.mu, job.mu, quota.mu, notices.mu, recents.mu, Ledger.mu (over its file, which is local and small)
//	ours.mu, the locks of package spool that are not held over its disk
//	Account.mu
//
// [Account.Tree], [Mailbox.Snapshot] and all that a Snapshot answers take no lock;
// [Mailbox.TryOpen] and [Mailbox.TryView] take texts.mu for a lookup, and where a
// message is opened to note that.
// Methods of hearing run on the goroutine that reads a connection; they take
// hearing.mu, looks.mu and what lies below them.
package cache
