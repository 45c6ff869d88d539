package cache

import (
	"fmt"

	"imapfs/cache/spool"
)

// openSpool opens the directory in which changes in flight are noted, and says what a
// daemon that is gone has left.
func (a *Account) openSpool() error {
	if a.cfg.State == "" {
		return nil
	}
	s, err := spool.Open(a.cfg.State)
	if err != nil {
		return &Error{Op: "spool", Kind: IO, Err: fmt.Errorf("%w (see the rights of and the room in %s)", err, a.cfg.State)}
	}
	a.spool = s
	for _, p := range s.Problems() {
		a.log.Warn("the spool is not whole", "problem", p)
	}
	for id, m := range s.Moves() {
		// What was copied and what was deleted is to be seen in the mailboxes.
		a.log.Warn("a move was cut off; the messages may be in both mailboxes (look, and delete one)", "from", m.From, "to", m.To, "uids", m.UIDs.String())
		if err := s.End(id); err != nil {
			return failure("spool", nil, 0, err)
		}
	}
	return nil
}
