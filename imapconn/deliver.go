package imapconn

import "imapfs/imapconn/imapwire"

// deliver hands a FETCH answer to the sequence table, to the commands in flight
// that it answers and to the Recorder.
func (c *Client) deliver(n SeqNum, a *fetchAnswer) {
	box, answered := c.selection()
	if box == nil {
		return
	}
	uid := c.placed(box, n, a.meta.UID)
	for i := range a.texts {
		a.texts[i].UID = a.meta.UID
		if !c.deliverPartial(n, &a.texts[i]) {
			c.deliverText(&a.texts[i])
		}
	}
	switch {
	case a.meta.UID != 0:
		c.deliverMeta(a.meta, true)
	case uid != 0 && a.meta.HasFlags: // what another client has done is said without UID
		c.deliverMeta(Meta{UID: uid, Flags: a.meta.Flags, HasFlags: true}, false)
	}
	if a.meta.HasFlags && a.meta.UID != 0 && !answered {
		box.tellSince(func(s *Since) { s.Flags(a.meta.UID, a.meta.Flags) })
	}
	if !a.meta.HasFlags || !answered || box.rec == nil {
		return
	}
	if uid == 0 {
		box.rec.Changed()
	} else {
		box.rec.Flags(uid, a.meta.Flags)
	}
}

// placed records which UID has number n and returns the UID of the answer: its
// own, or by the table where it names none. 0: unknown.
func (c *Client) placed(box *selection, n SeqNum, uid UID) UID {
	if box.table == nil || !box.table.holds(n) {
		return uid
	}
	known := box.table.uid(n)
	switch {
	case uid == 0:
		return known
	case known == 0:
		box.mu.Lock()
		box.table.set(n, uid)
		box.mu.Unlock()
	case known != uid:
		c.lost("another UID at the same number")
	}
	return uid
}

// deliverMeta gives facts to every command in flight that asked for the UID. named:
// the answer bore it; else it is by the table, and tells only those who ask for
// flags.
func (c *Client) deliverMeta(m Meta, named bool) {
	for i := 0; ; i++ {
		var a *metaAnswer
		var cmd *command
		if i, a, cmd = c.metaCommand(i, m, named); cmd == nil {
			return
		}
		if a.given++; a.given > MaxAnswers {
			c.dec.Fail(&imapwire.LimitError{What: "MaxAnswers", Limit: MaxAnswers})
			return
		}
		cmd.mu.Lock()
		if !cmd.abandoned.Load() {
			a.f(m)
		}
		cmd.mu.Unlock()
	}
}

// metaCommand finds the first command in flight, from place i on, that asked
// for any of these facts. Only the reader takes commands out of flight, so
// places hold while it asks.
func (c *Client) metaCommand(i int, m Meta, named bool) (int, *metaAnswer, *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; i < len(c.flight); i++ {
		if a, ok := c.flight[i].answer.(*metaAnswer); ok && a.wants(m) && (named || a.items != 0) {
			return i, a, c.flight[i]
		}
	}
	return i, nil, nil
}

// deliverText gives a text to the command in flight that asked for it: by its
// first octet, else, for a text that named none, to the first that has not had
// its own.
func (c *Client) deliverText(t *answeredText) {
	a, cmd := c.textCommand(t)
	if cmd == nil {
		return
	}
	if len(a.given) == MaxMessages {
		c.dec.Fail(&imapwire.LimitError{What: "MaxMessages", Limit: MaxMessages})
		return
	}
	a.given.Add(t.UID)
	text := t.Text
	if t.Octets > a.part.Limit {
		text.Chunks, text.Err = nil, ErrTooLarge
	}
	text = a.cut(text)
	cmd.mu.Lock()
	defer cmd.mu.Unlock()
	if !cmd.abandoned.Load() {
		a.f(text)
	}
}

func (c *Client) textCommand(t *answeredText) (*textAnswer, *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, exact := range []bool{true, false} {
		for _, cmd := range c.flight {
			a, ok := cmd.answer.(*textAnswer)
			if !ok || !a.offers(t.section, t.Offset, t.whole) || !a.set.Contains(t.UID) || a.given.Contains(t.UID) {
				continue
			}
			if !exact || t.whole == (a.part.Octets == 0) {
				return a, cmd
			}
		}
	}
	return nil, nil
}
