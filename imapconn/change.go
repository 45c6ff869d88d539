package imapconn

import (
	"context"

	"imapfs/imapconn/imapwire"
)

// change is what a command does to messages.
type change uint8

const (
	flagging change = iota
	copying
	moving
	expunging
	replacing
)

// changing is a command that changes, removes or copies the messages of a set, and
// takes what the server says of that. What is said is the reader's, with
// command.mu held, until the command is answered or given up.
type changing struct {
	kind change
	set  UIDSet

	done     bool       // a tagged OK came
	copied   CopyData   // what COPYUID said
	codes    int        // how many said it
	appended AppendData // what APPENDUID said
	gone     UIDSet     // what EXPUNGE and VANISHED said of set
}

// confusable holds back what would change, copy or remove messages that another
// command in flight changes, copies or removes: servers may execute the second
// first. UID EXPUNGE may share a flight with the STORE before it. Two REPLACEs may
// not, for nothing in an untagged APPENDUID says whose it is.
func (a *changing) confusable(other answerer) bool {
	o, same := other.(*changing)
	if !same || o.kind == flagging && a.kind == expunging {
		return false
	}
	return o.kind == replacing && a.kind == replacing || overlap(a.set, o.set)
}

// change sends a UID command for a set, in as many lines as are needed, and
// returns what was said of each. When it is given up the server may have done what
// it asked for all the same.
func (c *Client) change(ctx context.Context, op string, kind change, set UIDSet, args func(*imapwire.Encoder)) ([]*changing, error) {
	cmds, answers := c.changes(op, kind, set, args)
	if len(cmds) == 0 {
		return nil, nil
	}
	return answers, c.doAll(ctx, cmds...)
}

// changes makes the commands of change; args writes what stands behind the set.
func (c *Client) changes(op string, kind change, set UIDSet, args func(*imapwire.Encoder)) (cmds []*command, answers []*changing) {
	var behind imapwire.Encoder
	args(&behind)
	room := maxSetOctets - min(len(behind.Octets()), maxSetOctets/2)
	for _, part := range set.Split(room) {
		cmd := c.newCommand(op)
		args(cmd.enc.Raw(" " + setString(part)))
		a := &changing{kind: kind, set: part}
		cmd.answer = a
		cmd.selected = true
		cmd.changes = kind != copying // the copies are made elsewhere
		cmd.resolved = func(ok bool) error {
			if !cmd.abandoned.Load() {
				a.done = ok
				a.copies(cmd.code)
			}
			return nil
		}
		cmds, answers = append(cmds, cmd), append(answers, a)
	}
	return cmds, answers
}

// eachChanging calls f for each command in flight that changes messages and was
// not given up, until f returns false.
func (c *Client) eachChanging(f func(a *changing) bool) {
	for i := 0; ; i++ {
		a, cmd := c.changingFrom(&i)
		if cmd == nil {
			return
		}
		cmd.mu.Lock()
		more := cmd.abandoned.Load() || f(a)
		cmd.mu.Unlock()
		if !more {
			return
		}
	}
}

// changingFrom finds the first one from place i on. Only the reader takes commands
// out of flight, so places hold while it asks.
func (c *Client) changingFrom(i *int) (*changing, *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; *i < len(c.flight); *i++ {
		if a, ok := c.flight[*i].answer.(*changing); ok {
			return a, c.flight[*i]
		}
	}
	return nil, nil
}

// gone tells the commands in flight which messages EXPUNGE or VANISHED has named.
func (c *Client) gone(uids UIDSet) {
	c.eachChanging(func(a *changing) bool {
		for _, r := range uids.And(a.set) {
			a.gone.AddRange(r.First, r.Last)
		}
		return true
	})
}

// uidsGiven records the codes COPYUID and APPENDUID of an untagged OK, where MOVE
// (RFC 6851 §4.3) and REPLACE (RFC 8508 §4.3) have them.
func (c *Client) uidsGiven(code imapwire.Code) {
	switch code.Name {
	case "COPYUID":
		c.eachChanging(func(a *changing) bool { return !a.copies(code) })
	case "APPENDUID":
		c.eachChanging(func(a *changing) bool {
			if a.kind == replacing {
				a.appended.UIDValidity, a.appended.UID, _ = imapwire.ParseAppendUID(code.Args)
			}
			return a.kind != replacing
		})
	}
}
