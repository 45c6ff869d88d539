package fs

import (
	"syscall"

	"imapfs/cache"
)

// A step is one thing that a change needs done outside of names.
type step struct {
	kind     stepKind
	on       *change
	box      boxID
	file     *file
	message  ref
	other    ref
	replaces []ref
	like     ref
	wrote    uint64 // stepSend: what file.wrote must still be when it begins
}

type stepKind uint8

const (
	// stepOver: nothing; the change is over, with change.err.
	stepOver stepKind = iota

	// stepWait: until the change on is over. An error ends this one.
	stepWait

	// stepLoad: the mailbox box is to be loaded, and names told by see.
	stepLoad

	// stepFetch: the text of message is to be the file's, whole, in the spool.
	stepFetch

	// stepFind: the UID of what was sent from file, which the server did not say.
	stepFind

	// stepCompare: what the file (if there is none, message) says against other. The
	// verdict is textEqual only if the texts are, and the date is, where the file has
	// one of its own; textSame if the Message-IDs are equal, or where neither has one,
	// Date and From.
	stepCompare

	// stepSend: APPEND of the file's text as it is now to box, with the flags and the
	// date of like (file.date, where there is one, goes before that). Once the server has
	// it, replaces are deleted; or REPLACE does both. The journal has all of that first,
	// so that a crash sends once, and deletes only behind it. ENOENT for like is no error.
	// A text that is no mail is EINVAL, before anything is sent. If the file was written to
	// since the step was given, or replaces are of an earlier UIDVALIDITY, nothing is sent,
	// and the result says so; what is written while it is being sent does not change
	// what is sent.
	stepSend

	// stepDelete: message. That it is gone already is no error.
	stepDelete

	// stepMove and stepCopy: message to box.
	stepMove
	stepCopy
)

// A result is what came of a step. Whatever the server did is in the views
// (names.see) before it is told.
type result struct {
	err      error             // with nil, it was done
	validity cache.UIDValidity // of what arrived
	uid      cache.UID         // of what arrived; 0: not known yet
	changed  bool              // stepSend: nothing was sent, as things are not as they were
	left     bool              // stepSend: it arrived, and not all of replaces is deleted
	verdict  verdict           // stepCompare
}

// A verdict says what two texts are to each other.
type verdict uint8

const (
	textOther verdict = iota // not the same message
	textSame                 // the same message
	textEqual                // nothing would change
	textGone                 // there is no other any more
)

// A change is one system call under way. While step is not stepOver, it is to be
// done and names.done told; others may begin meanwhile. It holds claims on the
// files, messages and places that it is about: what wants one of them waits.
type change struct {
	step step
	err  error

	next    func(result)
	restart func(*change) // from its beginning, as names now are
	held    []any
	commit  bool // of one file, by flush
	tries   int
}

// maxTries bounds how often a change begins again because its file was written
// to meanwhile; then it is EBUSY.
const maxTries = 3

func (n *names) start(op func(*change)) *change {
	c := &change{restart: op}
	op(c)
	return c
}

// finished is a change that needs nothing done.
func finished(err error) *change { return &change{err: err} }

// done tells what came of the step of a change and brings the next.
func (n *names) done(c *change, r result) {
	next := c.next
	c.next, c.step = nil, step{}
	next(r)
}

func (c *change) do(s step, next func(result)) { c.step, c.next = s, next }

func (n *names) over(c *change, err error) {
	n.release(c)
	c.step, c.err = step{}, err
}

func (n *names) release(c *change) {
	held := c.held
	c.held = nil
	for _, k := range held {
		delete(n.claims, k)
	}
	for _, k := range held {
		f, ok := k.(*file)
		switch {
		case !ok:
		case f.opens == 0 && f.unsent() && !f.empty && !f.owed && f.at.name != "":
			f.owed = true // written and closed while a rename made it mail
			n.note(f)
		case f.at.name != "":
			n.settle(f)
		case n.recent[f.base] != f:
			n.spend(f)
		}
	}
}

// claim takes all of the keys or none. With false the change waits for another,
// and begins again.
func (n *names) claim(c *change, keys ...any) bool {
	for _, k := range keys {
		if other := n.claims[k]; other != nil && other != c {
			n.wait(c, other)
			return false
		}
	}
	for _, k := range keys {
		switch v := k.(type) {
		case *file:
			if v == nil {
				continue
			}
		case ref:
			if v.uid == 0 {
				continue
			}
		}
		if n.claims[k] == nil {
			n.claims[k] = c
			c.held = append(c.held, k)
		}
	}
	return true
}

func (n *names) wait(c, on *change) { n.again(c, step{kind: stepWait, on: on}) }

// again begins a change anew behind a step.
func (n *names) again(c *change, s step) {
	c.do(s, func(r result) {
		n.release(c)
		if r.err != nil {
			n.over(c, r.err)
			return
		}
		c.restart(c)
	})
}

// retry begins a change anew, its file having changed.
func (n *names) retry(c *change) {
	n.release(c)
	if c.tries++; c.tries > maxTries {
		n.over(c, syscall.EBUSY)
		return
	}
	c.restart(c)
}
