// Package fs shows an account to the kernel as a file system.
//
// A [Server] is one mount. Its nouns are the directory (a mailbox that the
// kernel has heard of), the slot (one life of a mailbox under one UIDVALIDITY), the
// node (slot<<32 | UID; no table), the waiting (a request that the server must
// answer) and the queue (what the kernel is still to be told about a directory).
// It knows no IMAP: package cache says what there is, and this package how it
// looks. What follows is the contract with the user.
//
// # Names
//
// A message is a file named by its UID in decimal, with the suffix if one was
// asked for, and by no other spelling: no sign, no leading zero, and never without
// the suffix. A mailbox is a directory; each level of its path is one component:
//
//   - "/", control characters and octets that are no UTF-8 are shown as % and two
//     capital hex digits, each octet by itself; so is a % that two hex digits or
//     a ~ follow, and a leading dot.
//   - A mailbox inside another whose name could be a message's is listed with its
//     first digit so written: 2023 is %32023. A lookup of 2023 finds it too, while
//     no message has that UID. At the root this is not done: no message is there.
//   - INBOX is INBOX, in capitals only.
//   - A name of more than 255 octets, one that is empty, and two that would be
//     the same, are cut and marked with %~ and a hash. The attribute
//     user.imap.mailbox has the server's own name for each.
//
// A mailbox that can hold messages answers to .mh_sequences, too, which is never
// listed: a file that says in MH's format which messages are unseen, flagged and
// replied to (mh.go). There is none with a suffix: messages are then no numbers.
//
// So names are reversible, no mailbox hides another or a message, and no name
// leads out of the mount.
//
// # Listings
//
// A listing is complete or it is an error. opendir is where a mailbox is loaded
// and refreshed, and where it fails if that cannot be done; after it, everything
// comes from memory. A listing in progress stays correct while messages come and
// go: each that is there throughout is listed once. telldir and seekdir are exact.
//
// # Attributes
//
// Messages have mode 0666 and mailboxes 0777, less the umask: 0600 and 0700
// with the command's default of 077. There is one owner. size is the length of the text: what the
// server says until the text, or its first block, has been fetched, and the truth
// from the first open on. blocks are of 512 octets. mtime, ctime and atime are the
// INTERNALDATE, brought into 1970 to 2106. The link count is 1. The inode number is
// a hash of path, UIDVALIDITY and UID: the same at the next mount. A mailbox that is
// renamed keeps the numbers of its first path until then. Flags touch none of these.
//
// A mailbox has size 0, link count 1, and as its mtime the moment when its set of
// names last changed; it never goes back. Before a mailbox is first entered only
// its place in the tree is known, and its mtime says when that last changed.
//
// .mh_sequences has mode 0444 less the umask, and as its mtime the moment when it
// was first seen to be as it is; it never goes back. Who reads it sees one state to
// the end; open refreshes the mailbox as opendir does, and fails as that does.
//
// Extended attributes of a message: user.imap.flags (sorted, separated by one
// space, without \Recent; there even when empty), which is the only one listed; and by
// name user.imap.uid, .uidvalidity, .internaldate (RFC 3339, UTC), and the header
// fields .subject, .from, .to, .date and .message-id, unfolded and decoded, where
// the message has them. Of a mailbox: user.imap.mailbox, .special-use, .uidnext and
// .uidvalidity; none is listed. What is not there is ENODATA.
//
// statfs shows the quota, where the server has one, in blocks of 1024 octets.
//
// # Freshness
//
// The kernel keeps names, misses, attributes, listings and texts until it is
// told otherwise, and it is told as soon as package cache has learnt of a change. The
// attributes of directories it keeps for a minute ([cache.LookInterval]). With
// default_permissions it needs them at each step of a path, and so asks for them again
// though it has all names: by that package cache knows that the mount is in use, and asks
// for news. A program that only uses names that the kernel has sees mailboxes come, move and
// go within Config.Poll; after a rest, within that of its first look. One that only reads
// from open files what the kernel has is not seen.
// Reading again what was read costs no request but the open, and on a read-only mount
// not even that, once the server's sizes have been found right on 256 texts: OPEN is then
// answered ENOSYS, after which the kernel opens by itself. The name .mh_sequences
// is asked for at each use; that is one request for a mailbox, not for a message.
//
// A mailbox that another client renames keeps its node: who is inside or has files open
// goes on under the new name. Where the server does not show that it is the same one
// (Courier gives it another UIDVALIDITY), and where one was deleted and made again, it is
// another directory, and what is open in the old one is ESTALE.
//
// # Changes
//
// With Options.Writable programs change the account. What each system call means for names
// and texts is the table in given.go; what it means on the server, package cache. Here:
//
//   - Each name in the mount is one message, or one file that is no message yet. A file
//     has a text in the spool and a node of slot 0; one that stands for a message that is
//     open for writing keeps that message's node.
//   - close and fsync return 0 when the server has the text. After an error it is in the
//     spool, listed under its name, and tried again; after a crash the next mount lists it.
//   - UNLINK, RENAME, MKDIR, RMDIR, LINK and what sends a text answer an INTERRUPT at
//     once; what was begun is done to its end. News of their directories is held back until
//     they are answered.
//   - A mailbox whose name would begin with a dot, or is scratch in another way, is not made:
//     EPERM (so git init, rsync --delay-updates and --partial-dir do not work in a mount).
//   - chmod and chown are remembered and shown until the mount ends.
//   - setxattr and removexattr of user.imap.flags change the flags of a message, or those
//     that a text is to have. No other attribute can be set.
//
// # Errors
//
// On a read-only mount whatever would change it is EROFS. Each failure has
// the errno of its kind (errno.go); each cause is logged once a minute at most.
//
//	ENOENT     no such mailbox or message
//	ESTALE     the message was expunged and its text is not cached, or the mailbox
//	           has a new UIDVALIDITY or is gone: the name must be looked up again
//	EACCES     the server refuses access
//	ETIMEDOUT  no answer within [Options].Timeout; felt once: then at once, while the
//	           server is known to be out of reach
//	EINTR      a signal came; at once, of what changes something a second later (changeGrace)
//	EBUSY      the server wants to be left alone for longer than that, or the mailbox is in
//	           use; a change of the same file is under way
//	EPERM      not what can be done with a mailbox, or the server does not offer it
//	EROFS      the server gives the mailbox read-only
//	EEXIST, ENOTEMPTY of mailboxes
//	EINVAL     the text is no mail, or the name can be no mailbox's
//	EFBIG      the server takes no text so large
//	EDQUOT     there is no room on the server; or the daily limit is spent, and what is wanted is not cached
//	EIO        the connection is lost, or the server's answer cannot be used
//	EAGAIN     more than 256 requests wait for the server, and none was
//	           answered for a second
//
// # Limits
//
// One read is of at most 128 KiB. nosuid and nodev are set by fusermount3;
// noexec is not, as bazil.org/fuse has no way to ask for it, but no file has an x bit.
//
// # How requests are answered
//
// One goroutine reads requests from the connection and answers from memory
// whatever memory can answer, taking no lock that is ever held across the network.
// Only what must wait for the server gets a goroutine of its own (wait.go); it is
// registered first, so that no INTERRUPT is lost. LOOKUP and READDIR, during which
// the kernel holds the directory, never wait once a mailbox is loaded.
//
// What the kernel is told (invalidate.go) it is told behind the change, by one
// goroutine for each directory with news, which holds no lock and owes no reply:
// the kernel waits in these calls for requests that are under way.
//
// Locks, none of which is held while the kernel is called: directory.naming, then
// Server.mu or queue.mu, then notifiers.mu; slot.mu, generated.mu and waits.mu alone. In a
// writable mount local.text, which is held over the local disk, and then edits.mu come before
// all of these.
//
// # What it costs
//
// A cached READ, a LOOKUP and a page of READDIR take no allocation of ours, 0.1, 0.12 and
// 7 µs (bench_test.go; the READ is 1.6 µs and two allocations of package cache's more, which
// keep its order). What is dear is around them: of a first grep, half of the daemon's CPU
// was copies of the texts for the kernel and memory for these (device.go) and the faults of
// the cache's memory (imapconn/largepages_linux.go). Of what is left most is system calls,
// page clearing, and the Go scheduler's watch over the read that waits for the kernel.
package fs
