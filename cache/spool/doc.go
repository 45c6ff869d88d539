// Package spool holds what the server does not have yet: every text from its first
// octet until the server has it, and the journal of changes in flight. It knows the
// disk, and neither IMAP nor FUSE.
//
// Its nouns are the [Spool], which one daemon has of one account, and the [Entry], a
// text with what is to become of it. What is known of an entry is its [Info], which
// is read without a lock.
//
// # What it promises
//
//   - What a method has acknowledged is there after the end of the process. What the
//     table below calls durable is there after the end of the machine.
//   - A text that is not whole is never sent: after a failed write until those octets
//     are written or cut off, after a crash while it was being written, and where the
//     octets on the disk are not those that were committed. It is kept and listed.
//   - A committed text does not change. Length and SHA-256 are those of what is sent.
//   - Send is on the disk before anything is sent. After a crash a text that was being
//     sent is Unknown: it is looked for on the server before it is sent again.
//   - Nothing that cannot be read is removed, or stops Open. A text without an entry is
//     listed under a made-up name, recovered-ID.
//
// # States
//
//	          Edit, Create                Scratch
//	               │                         │
//	┌──────────► writing ◄────ToMail─── local, aside
//	│              │ Commit                  ▲
//	│              ▼                         │ ToScratch, also from writing and refused
//	│   ┌────────► ready ────────────────────┘
//	│   │ Unsent   │ Send      ▲ Absent    │ Refuse    ▲ Retry
//	│   └──────── sending ─────┼─────────► refused ────┘
//	│              │ Uncertain │  Refuse
//	│  Edit: the   ▼           │
//	│  next      unknown ──────┘
//	│  generation  │ Done, also from sending
//	└───────────  done ──Differ──► changed
//	               │ Remove
//
// Discard leads out of every state but sending. Any other step is ErrState.
//
// What a program writes to a committed text is another entry, its next generation
// (Edit). It shares nothing with the first: its octets are copied, by sharing blocks
// where the file system can. An earlier generation that was not sent is removed when
// the next is committed; one that is on its way is settled first (ErrEarlier), and
// then replaced on the server, with all that it was to replace and is not known to have
// (Attrs.Replaces). So one name needs one APPEND at a time, and none knows of the others.
//
// # How an APPEND goes
//
//	e.Commit()                          at close (CommitLines of an edit): ErrEmpty, ErrTorn
//	e.Send(validity, uidnext)           then the APPEND, from e.Outgoing()
//	   OK                    e.Done(validity, uid); the size is asked; e.Remove or e.Differ
//	   cut before the end    e.Unsent(failure), and again later
//	   cut behind it         e.Uncertain(failure); look for Info.Sum among the messages from
//	                         Info.UIDNext on that no Info.UID of another entry names; then
//	                         e.Done or e.Absent
//	   NO, BAD               e.Refuse(failure); e.Retry when it is time
//	   interrupted           e.Keep(), and the rest goes on without the program
//
// # On the disk
//
//	BASE/0123456789abcdef/     a daemon's; all in it of mode 0600
//	    lock                   flock, as long as the daemon lives
//	    journal                a line for each change: CRC-32C, words
//	    ID.text                a text as it was written
//	    ID.entry               its entry: lines of a key and values, a SHA-256 of them
//	    ID.UIDVALIDITY.UID.done   the entry, renamed when the server had the text
//	    ID.torn                an entry that could not be read
//	    *.tmp                  not whole; removed by Open
//
// An entry is written beside the old one and renamed over it. Open takes the
// directories of all daemons that are gone and leaves their entries where they are, so
// that there is nothing a crash could tear; new ones go to the first. The journals
// are written together. Close removes a directory that holds nothing. Orphans looks at what
// no daemon has, and takes nothing.
//
// # What is synced
//
// A text that the server takes needs no sync: close waits for the server. So a message
// costs two, both before it is sent: its entry, and the names in the directory, which
// all who send at once share.
//
//	Send                      entry and name
//	Unsent, Uncertain, Refuse, Differ, Keep    text, entry and name: then a program is
//	                          told that the server has it not, and it must outlive anything
//	Commit                    only where an earlier generation was durable
//	Done, Remove              nothing: a crash of the machine has it looked for once more. A
//	                          message that was moved or deleted within those seconds would
//	                          be appended again: Flush when that matters
//	Discard                   the entry, if it was durable
//	Hide, BeginMove, BeginParking, RenameMailbox    the journal
//	End, Show, Forget         nothing: to do one again is safe
//	all else                  nothing, but no durable entry is replaced by one that may tear
//
// # Limits
//
//	maxEntries           100,000 texts made by a daemon: ErrFull
//	maxText              4 GiB − 1 of a text as written and as sent: EFBIG, ErrTooLong
//	maxName, maxMailbox  255 octets of a name in the mount, 4,096 of a mailbox: ErrTooLong
//	maxLevels, maxFlags, maxFlag    64 levels of a mailbox; 256 flags of 255 octets
//	maxEntry, maxLine    64 KiB of an entry's file, 16 KiB of a line of the journal
//	maxWords             1,000 octets of an error are kept
//	maxFollows           64 generations that a crash may bring back
//	maxReplaces          32 messages that a text takes the place of: ErrTooLong
//	maxHidden            1 Mi ranges of hidden UIDs: ErrFull
//	maxChanges           10,000 moves, parkings and renames in flight: ErrFull
//
// A text takes no memory but one piece of 1 MiB while it is committed, and 192 KiB for
// each Outgoing.
//
// # Caveats
//
// A disk that says once that a sync failed and forgets what it did not write, as Linux
// does, is believed by the next process. A disk that forgets the removal of a file but
// not that of a later one may bring a removed text back as recovered-ID.
//
// # Locks
//
// Held while the disk works, never longer, and in this order:
//
//	Spool.renaming
//	Entry.mu, of a later generation before the one it follows
//	journal.mu
//	Spool.mu, journal.see, group.busy
//	group.mu
//
// [Entry.Info] and [Entry.Size] take none.
package spool
