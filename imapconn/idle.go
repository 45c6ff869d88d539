package imapconn

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idleRenewal is how long one IDLE lasts: servers may log a client out after
// half an hour of silence (RFC 2177 §3).
const idleRenewal = 29 * time.Minute

// idling is the state of an IDLE. accepted is guarded by Client.mu.
type idling struct {
	accepted bool          // the server said +: it owes nothing until DONE
	over     chan struct{} // closed: say DONE
}

func (*idling) confusable(answerer) bool { return true }

// finish makes the writer say DONE; Client.mu is held.
func (i *idling) finish() {
	select {
	case <-i.over:
	default:
		close(i.over)
	}
}

// Idle lets the server tell the Recorder what happens as it happens (RFC 2177),
// until ctx ends; then it says DONE and returns nil when that is answered. It
// renews itself every 29 minutes. When another command is given it steps aside
// and goes on after it. ErrNotOffered where the server has no IDLE. A server
// that ends it by itself makes an error. IDLE is a hint: some servers accept it
// and say nothing.
func (c *Client) Idle(ctx context.Context) error {
	if have := c.Caps(); !have.Has("IDLE") && !have.Has("IMAP4rev2") {
		return fmt.Errorf("idle: %w", ErrNotOffered)
	}
	if !c.setIdle(true) {
		return errors.New("idle: another caller idles on this connection")
	}
	defer c.setIdle(false)
	for ctx.Err() == nil {
		if err := c.idleOnce(ctx); err != nil {
			return err
		}
	}
	return nil
}

// errIdleEnded is an OK to IDLE before DONE.
var errIdleEnded = errors.New("idle: server ended it by itself")

// idleOnce is one IDLE, until ctx ends, it is time to renew, or another command
// is given.
func (c *Client) idleOnce(ctx context.Context) error {
	i := &idling{over: make(chan struct{})}
	cmd := &command{op: "IDLE", alone: true, answer: i, dialogue: c.idleDialogue}
	if err := c.enqueue([]*command{cmd}); err != nil {
		return err
	}
	renew := time.NewTimer(idleRenewal)
	defer renew.Stop()
	select {
	case <-cmd.done:
	case <-i.over:
	case <-renew.C:
		c.endIdle(i)
	case <-ctx.Done():
		if !c.withdrawUnsent(cmd) {
			c.endIdle(i)
			<-cmd.done // DONE is answered, or the time limit ends the connection
			return cmd.err
		}
		return nil
	}
	<-cmd.done
	select {
	case <-i.over:
		return cmd.err
	default:
	}
	if cmd.err != nil {
		return cmd.err
	}
	return errIdleEnded
}

// idleDialogue waits for the +, then until the IDLE is over, and says DONE.
func (c *Client) idleDialogue(cmd *command) error {
	i := cmd.answer.(*idling)
	if _, ok, err := c.awaitPlus(cmd); err != nil || !ok {
		return err
	}
	c.setAccepted(i, true)
	for {
		select {
		case <-i.over:
			c.setAccepted(i, false)
			c.sink.plain("DONE\r\n")
			return nil
		case <-cmd.done:
			return nil
		default:
		}
		if !c.pause() {
			return c.Err()
		}
	}
}

// setAccepted says whether the server owes an answer to the IDLE.
func (c *Client) setAccepted(i *idling, yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i.accepted = yes
	c.clock.touch()
}

// endIdle makes the writer say DONE.
func (c *Client) endIdle(i *idling) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i.finish()
	c.signal()
}

// withdrawUnsent takes a command back if it was not sent.
func (c *Client) withdrawUnsent(cmd *command) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.queue)
	c.withdraw(cmd)
	return len(c.queue) < before
}

// setIdle notes whether a caller is in Idle; it reports false if that is so
// already.
func (c *Client) setIdle(yes bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == yes {
		return false
	}
	c.idle = yes
	return true
}

// stepAside makes room for new commands: an IDLE in flight ends, one that is
// queued goes behind them. c.mu is held.
func (c *Client) stepAside(cmds []*command) {
	for _, cmd := range c.flight {
		if i, ok := cmd.answer.(*idling); ok {
			i.finish()
		}
	}
	if n := len(c.queue); n > 0 {
		if _, ok := c.queue[n-1].answer.(*idling); ok {
			last := c.queue[n-1]
			c.queue = append(append(c.queue[:n-1], cmds...), last)
			return
		}
	}
	c.queue = append(c.queue, cmds...)
}
