package cache

import (
	"context"
	"errors"
	"sync/atomic"

	"imapfs/imapconn"
	"imapfs/imapconn/imapwire"
)

// doubt is a text that is not there, or whose length is not the recorded size.
// After another session has expunged a message, servers answer with an invented
// text, an empty one or none; and there are servers whose sizes are wrong. So the
// text is not believed: NOOP tells whether the message is gone; if not, a session
// that begins now must list it and give the same length again.
type doubt struct {
	missing  bool // no text came
	recorded int64
	said     int64 // the length by the first answer; -1: it cannot be told
	whole    bool  // the first answer was the whole text
	run      bool  // part of a text whose size was settled came in another length
}

func (d *doubt) Error() string { return "the text is not as long as the message is said to be" }

// ask lets the server say on the same connection that the message is gone.
func (l *load) ask(c *lease) error {
	if err := c.client.Noop(l.box.account.ctx); err != nil {
		return err
	}
	if c.hear.hasExpunged(l.key.uid) {
		l.box.learnGone(c.epoch, l.key.uid)
		return errExpunged
	}
	return nil
}

// settle finds the truth in a session that begins now.
func (l *load) settle(d *doubt) error {
	m := l.box
	c, err := m.account.pool.acquire(l.ctx, want{box: m, fresh: true})
	if err != nil {
		return err
	}
	defer c.release()
	if err := l.listed(c); err != nil {
		return err
	}
	if d.missing {
		// The first session may not have known the message yet.
		err := l.attempt(c)
		if !errors.As(err, &d) {
			return err
		}
	}
	switch {
	case d.missing:
		err = errExpunged
	case d.run:
		return l.runAgain(c, d)
	case d.whole:
		err = l.wholeAgain(c, d)
	default:
		err = l.measure(c, d)
	}
	if errors.As(err, &d) && d.missing { // it went while we were at it
		m.stir(true)
		return errExpunged
	}
	if err != nil {
		return err
	}
	if l.size != d.recorded {
		m.account.sizes.lied.Store(true)
		m.learnSize(c.epoch, l.key.uid, l.size)
		m.account.saidLies.Do(func() {
			m.account.log.Warn("the server gives wrong sizes; the true ones are shown from the first open on",
				"mailbox", m.full(), "uid", l.key.uid, "said", d.recorded, "true", l.size)
		})
	}
	return nil
}

// listed makes sure that a session lists the message under the UIDVALIDITY that
// is meant. One that it does not list is gone.
func (l *load) listed(c *lease) error {
	if c.epoch.validity != l.key.validity {
		return errValidity
	}
	found := false
	err := c.client.FetchMeta(l.box.account.ctx, imapwire.SetOf(l.key.uid), 0, func(f imapconn.Meta) {
		found = found || f.UID == l.key.uid
	})
	if err == nil && !found {
		l.box.learnGone(c.epoch, l.key.uid)
		err = errExpunged
	}
	return err
}

// wholeAgain fetches the whole text once more.
func (l *load) wholeAgain(c *lease, d *doubt) error {
	t, err := l.part(c, 0, 0, smallText, max(lieLimit, d.said))
	switch {
	case err != nil:
		return err
	case t.Err != nil:
		return errLengths
	case d.said == 0 && d.recorded == 0 && t.Octets > 0:
		return l.wholeAgain(c, &doubt{recorded: 0, said: t.Octets, whole: true})
	case t.Octets != d.said && (t.Octets != d.recorded || d.recorded == 0):
		return errLengths
	}
	l.take(t.Chunks, t.Octets)
	return nil
}

// runAgain fetches a part once more. If it is still not what the settled size
// says, the text is another than the one that was opened.
func (l *load) runAgain(c *lease, d *doubt) error {
	err := l.fetchRun(c, d.recorded)
	if _, still := err.(*doubt); still {
		return errLengths
	}
	return err
}

// measureKept is how much of a text that is measured is kept, in octets.
const measureKept = 16 << 20

// measure reads a large text once from beginning to end to learn its length,
// keeping no more of it than there is room for. The end is then asked for once
// more.
func (l *load) measure(c *lease, d *doubt) error {
	keep := min(measureKept, max(l.box.account.texts.room(), smallText))
	var size int64
	var kept [][]byte
	for {
		if l.over() { // a text may have no end
			return context.Cause(l.ctx)
		}
		t, err := l.part(c, size, longRun, blockLen, partLimit)
		if err != nil {
			return err
		}
		if t.Err != nil {
			return t.Err
		}
		if size < keep {
			kept = append(kept, t.Chunks...)
		}
		if size += t.Octets; size > maxText {
			return imapconn.ErrTooLarge
		}
		if t.Octets < longRun {
			break
		}
	}
	if d.said >= 0 && d.said != size {
		return errLengths
	}
	before := max(size-1, 0)
	t, err := l.part(c, before, beyond, blockLen, partLimit)
	if err != nil {
		return err
	}
	if before+t.Octets != size {
		return errLengths
	}
	l.take(kept, size)
	return nil
}

// sizeSample is what was seen of the sizes that a server gives.
type sizeSample struct {
	lied atomic.Bool
	held atomic.Int32 // how many texts were as long as the server had said
}

// sizesSample is how many texts must have been as long as the server had said before the
// next ones are thought to be.
const sizesSample = 256

// SizesRight reports whether the sizes of the server can be relied on, as far as has been
// seen: none was wrong, and a sample of 256 texts was right. It may change.
func (a *Account) SizesRight() bool {
	return !a.sizes.lied.Load() && a.sizes.held.Load() >= sizesSample
}

// hold counts a text that is as long as it was said to be.
func (s *sizeSample) hold() {
	if s.held.Load() < sizesSample {
		s.held.Add(1)
	}
}
