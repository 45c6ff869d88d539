package cache

import (
	"strings"

	"imapfs/cache/spool"
)

// recoverDrafts takes up what a daemon that is gone has left in the spool: what is to be
// sent is sent, what may have arrived is looked for, what has arrived is checked.
func (a *Account) recoverDrafts() {
	if a.spool == nil {
		return
	}
	entries := a.spool.Entries()
	later := make(map[*spool.Entry]bool)
	for _, e := range entries {
		if n := e.Next(); n != nil {
			later[n] = true
		}
	}
	for _, e := range entries {
		if later[e] {
			continue
		}
		var gens []*spool.Entry
		for ; e != nil; e = e.Next() {
			gens = append(gens, e)
		}
		d := a.newDraft(nil, gens...)
		d.held = a.cfg.HoldDrafts
		a.drafts.add(d)
		d.takeUp()
	}
	a.spawn(a.checkDrafts)
}

// takeUp goes on with a draft that was found in the spool.
func (d *Draft) takeUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.mailbox()
	for _, g := range d.gens {
		in := g.Info()
		switch {
		case in.State != spool.Done:
		case m == nil:
			g.checked = true // it went with its mailbox
			g.Replaced()
		default:
			g.arrived = in.Tried
			d.a.drafts.own(m, in.Validity, in.UID)
			d.a.queueCheck(check{d: d, box: m, g: g})
		}
	}
	d.release()
	d.start()
}

// Resume has a draft of an earlier daemon sent, if it is to be (Config.HoldDrafts).
func (d *Draft) Resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = false
	d.start()
}

// pathOf is the name of a mailbox for people.
func pathOf(m spool.Mailbox) string { return strings.Join(m.Path, "/") }
