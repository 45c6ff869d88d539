package imapconn

// exists records EXISTS (RFC 3501 §7.3.1).
func (c *Client) exists(n uint32) {
	box, answered := c.selection()
	if box != nil && box.byUID && c.dec.Err() == nil {
		c.existsByUID(box, n)
		return
	}
	if box == nil || box.table == nil || c.dec.Err() != nil {
		return
	}
	if !answered && !(box.table.n == n && box.table.blank()) {
		// The last one counts: one before may have been the mailbox we leave.
		box.renumber(&seqTable{})
	}
	box.counted = box.counted || !answered
	switch known := box.table.n; {
	case n < known:
		c.lost("fewer EXISTS without EXPUNGE")
	case n > known:
		box.mu.Lock()
		err := box.table.grow(n)
		box.mu.Unlock()
		if err != nil {
			c.dec.Fail(err)
			return
		}
		if answered && box.rec != nil {
			box.rec.Exists(n)
		}
	}
}

// expunge records EXPUNGE (RFC 3501 §7.4.1).
func (c *Client) expunge(n uint32) {
	box, answered := c.selection()
	if box != nil && box.byUID {
		c.lost("EXPUNGE in the place of VANISHED")
		return
	}
	if box == nil || box.table == nil || c.dec.Err() != nil || !answered && !box.counted {
		return
	}
	if !box.table.holds(SeqNum(n)) {
		c.lost("EXPUNGE of a number that is no message's")
		return
	}
	box.mu.Lock()
	uid := box.table.expunge(SeqNum(n))
	box.moved++
	box.mu.Unlock()
	c.gone(UIDSet{{First: uid, Last: uid}})
	if answered && box.rec != nil {
		box.rec.Expunged(uid)
	}
}

// lost gives the table of numbers up: they no longer hold.
func (c *Client) lost(reason string) {
	box, answered := c.selection()
	if box == nil || box.table == nil && !box.byUID || c.dec.Err() != nil || !answered {
		return
	}
	box.byUID = false
	box.renumber(nil)
	c.log.Debug("message numbers lost", "server", c.host, "reason", reason)
	if box.rec != nil {
		box.rec.Lost(reason)
	}
}
