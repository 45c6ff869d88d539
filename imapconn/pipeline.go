package imapconn

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// What may be in flight together (RFC 3501 §5.5):
//
//   - what changes the state of the connection goes alone: SELECT, EXAMINE,
//     UNSELECT, LOGIN, AUTHENTICATE, STARTTLS, COMPRESS, IDLE, LOGOUT; what takes a name from
//     under others: DELETE, RENAME; plain EXPUNGE; and PARTIAL, the only command that
//     bears a message number. ENABLE, which comes before the first of them to select,
//     does not;
//   - two commands whose untagged answers could not be told apart wait for each
//     other: two LISTs, two SEARCHes, two STATUSes of one mailbox, two FETCHes of
//     the same part of the same message;
//   - what changes messages waits for what changes the same ones, for a server may
//     execute it first: STORE \Deleted behind the COPY that it relies on would lose
//     mail. Only UID EXPUNGE may follow STORE: the worst is that it does nothing;
//   - everything else is sent at once. It uses no sequence numbers, so an EXPUNGE
//     cannot throw it off.
//
// While a text is being sent nothing else is; what is in flight is answered.
//
// Commands are sent in the order in which they were given; one that must wait
// makes those behind it wait.

// answerer takes untagged answers to a command.
type answerer interface {
	// confusable reports whether answers to a command with the other answerer
	// could be taken for answers to this one.
	confusable(other answerer) bool
}

// sameKind is for answerers that can never share a flight with their like.
func sameKind[T answerer](other answerer) bool {
	_, same := other.(T)
	return same
}

// answering finds the oldest command in flight whose answerer is a T.
func answering[T answerer](c *Client) (a T, cmd *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.flight {
		if a, ok := f.answer.(T); ok {
			return a, f
		}
	}
	return a, nil
}

// writeLoop sends commands as the rules permit until the connection is dead.
func (c *Client) writeLoop() {
	defer c.group.Done()
	c.timer = time.NewTimer(c.timeout)
	defer c.timer.Stop()
	for {
		cmd := c.admit()
		if cmd == nil {
			if err := c.sink.flush(); err != nil {
				c.fail(c.broken(err))
			}
			if !c.pause() {
				return
			}
			continue
		}
		err := c.send(cmd)
		if err != nil {
			c.fail(c.broken(err))
		}
		if cmd.written != nil {
			close(cmd.written)
		}
		if err != nil {
			return
		}
	}
}

// admit takes the first command of the queue if it may be sent now.
func (c *Client) admit() *command {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && len(c.queue) > 0 && c.mayFollow(c.queue[0]) {
		cmd := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		if err := cmd.misplaced(c.box); err != nil {
			cmd.finish(fmt.Errorf("%s: %w", cmd.describe(), err))
			continue
		}
		if len(c.flight) == 0 {
			c.flights++
		}
		c.lastTag++
		cmd.tag = c.lastTag
		c.flight = append(c.flight, cmd)
		if cmd.admitted != nil {
			cmd.admitted()
		}
		c.clock.touch()
		return cmd
	}
	return nil
}

// misplaced says why a command may not be sent with box selected, nil if it may;
// Client.mu is held.
func (cmd *command) misplaced(box *selection) error {
	switch {
	case !cmd.selected && !cmd.changes && !cmd.examined:
		return nil
	case box == nil || !box.answered:
		return ErrNotSelected
	case cmd.changes && box.readOnly:
		return ErrReadOnly
	case cmd.examined && !box.examined:
		return ErrNotOffered
	}
	return nil
}

// mayFollow applies the rules above; c.mu is held.
func (c *Client) mayFollow(cmd *command) bool {
	if cmd.alone {
		return len(c.flight) == 0
	}
	for _, f := range c.flight {
		if f.alone || cmd.answer != nil && f.answer != nil && cmd.answer.confusable(f.answer) {
			return false
		}
	}
	return true
}

// send writes a command. Before a literal that synchronises it waits for the
// server's +; when the command is answered instead, the rest is not sent.
func (c *Client) send(cmd *command) error {
	c.sink.begin(cmd.tag)
	from := 0
	for _, at := range cmd.enc.Waits() {
		c.sink.write(&cmd.enc, from, at)
		if _, ok, err := c.awaitPlus(cmd); err != nil || !ok {
			return err
		}
		from = at
	}
	c.sink.write(&cmd.enc, from, len(cmd.enc.Octets()))
	c.sink.end()
	if cmd.dialogue == nil {
		return nil
	}
	return cmd.dialogue(cmd)
}

// awaitPlus flushes what was written and waits until the server asks for more
// (ok) or answers the command.
func (c *Client) awaitPlus(cmd *command) (text []byte, ok bool, err error) {
	c.mu.Lock()
	c.waiting, c.hasPlus = cmd, false
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.waiting = nil
		c.mu.Unlock()
	}()
	if err := c.sink.flush(); err != nil {
		return nil, false, err
	}
	for {
		c.mu.Lock()
		text, ok := c.plus, c.hasPlus
		c.hasPlus = false
		c.mu.Unlock()
		if ok || cmd.finished() {
			return text, ok, nil
		}
		if !c.pause() {
			return nil, false, c.Err()
		}
	}
}

// continued hands the words of a + to the command that waits for it. One that
// nobody waits for is dropped.
func (c *Client) continued(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting != nil && !c.hasPlus {
		c.plus, c.hasPlus = text, true
		c.signal()
	}
}

// byTag finds the command in flight with this tag.
func (c *Client) byTag(tag uint64) *command {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range c.flight {
		if cmd.tag == tag {
			return cmd
		}
	}
	return nil
}

// land ends a command's flight and answers it.
func (c *Client) land(cmd *command, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, f := range c.flight {
		if f == cmd {
			copy(c.flight[i:], c.flight[i+1:])
			c.flight[len(c.flight)-1] = nil
			c.flight = c.flight[:len(c.flight)-1]
			break
		}
	}
	cmd.finish(err)
	c.signal()
}

// errSilent is a server that owes an answer and sends nothing.
type errSilent struct{ after time.Duration }

func (e errSilent) Error() string {
	return fmt.Sprintf("no answer for %s (is the network up?)", e.after)
}

// Timeout marks it for ConnError.Timeout.
func (errSilent) Timeout() bool { return true }

// probeAfter is how long an answer is awaited before the kernel is to ask the other
// end whether it still knows the connection.
const probeAfter = 3 * time.Second

// pause waits until something may have happened that concerns the writer. When
// an answer is owed and no octet moves for the time limit, the connection is
// ended; those move too that the kernel still held and gets rid of. It reports
// false when the connection is dead.
func (c *Client) pause() bool {
	var expired <-chan time.Time
	quiet, owed := c.clock.since(), c.owed()
	if late := owed && quiet >= probeAfter; late != c.probing {
		c.probe(late)
	}
	if owed {
		left := c.timeout - quiet
		if left <= 0 && c.drains() {
			return true
		}
		if left <= 0 {
			c.fail(c.broken(errSilent{c.timeout}))
			return false
		}
		if !c.probing {
			left = min(left, probeAfter-quiet)
		}
		c.timer.Reset(left)
		defer c.timer.Stop()
		expired = c.timer.C
	}
	select {
	case <-c.wake:
	case <-expired:
	case <-c.done:
		return false
	}
	return true
}

// probe has the kernel ask for a sign of life every two seconds, or as seldom as
// else. A server that was started anew, or has given the connection up where we
// could not hear of it, refuses the next question; without one nobody would say
// anything until the time limit.
func (c *Client) probe(on bool) {
	c.probing = on
	tcp, ok := c.raw.(*net.TCPConn)
	if !ok {
		return
	}
	config := keepAlive
	if on {
		config = probes
	}
	if err := tcp.SetKeepAliveConfig(config); err != nil {
		c.log.Debug("the kernel does not look after a connection", "err", err)
	}
}

// owed reports whether the server has something to say: to every command except
// an IDLE that it has accepted and we have not ended.
func (c *Client) owed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range c.flight {
		if i, ok := cmd.answer.(*idling); !ok || !i.accepted {
			return true
		}
	}
	return false
}

// broken makes the cause of a connection's end into its error.
func (c *Client) broken(err error) error {
	var e *ConnError
	if errors.As(err, &e) || errors.Is(err, ErrClosed) {
		return err
	}
	return &ConnError{Addr: c.addr, Err: plainly(err)}
}
