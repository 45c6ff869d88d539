package cache

// Observer is told of what was published. Its methods are called one at a time,
// behind the change, by a goroutine that holds no lock and owes nobody an
// answer; they must not block. What follows quickly is told at once: old is then
// the state that was told last, and new the latest.
type Observer interface {
	// MailboxChanged: new has replaced old, which is nil at the first load.
	MailboxChanged(m *Mailbox, old, new *Snapshot)
	// TreeChanged: mailboxes have appeared or gone.
	TreeChanged(old, new *Tree)
}
