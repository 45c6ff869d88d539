package imapconn

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"imapfs/imapconn/imapwire"
)

// command is one command on its way: queued, in flight, answered.
type command struct {
	op        string // in capitals, for errors
	mailbox   string // for errors
	mechanism string // of a login
	enc       imapwire.Encoder
	tag       uint64
	code      imapwire.Code // of the tagged answer; set before resolved is called

	// How it may share the connection (pipeline.go).
	alone    bool                 // nothing before it unanswered, nothing behind it
	selected bool                 // needs a mailbox
	changes  bool                 // needs one that was selected for writing
	examined bool                 // needs one that was examined
	answer   answerer             // what takes untagged answers; two of a kind wait for each other unless they can be told apart
	admitted func()               // called with Client.mu held as it is about to be sent
	dialogue func(*command) error // called by the writer when its line is sent
	written  chan struct{}        // closed when the writer is done with it; nil: nobody asks
	resolved func(ok bool) error  // called by the reader, with mu held, before anybody learns of the tagged answer; ok: it was OK

	done chan struct{} // closed when err is set
	once sync.Once
	err  error

	mu        sync.Mutex  // held while a callback of the caller runs; before Client.mu
	abandoned atomic.Bool // set with mu held: the caller has gone: no callback, the answer is drained
}

// finish answers the command. The first answer counts.
func (cmd *command) finish(err error) {
	cmd.once.Do(func() {
		cmd.err = err
		close(cmd.done)
	})
}

// finished reports whether the command was answered.
func (cmd *command) finished() bool {
	select {
	case <-cmd.done:
		return true
	default:
		return false
	}
}

// newCommand begins a command whose octets the caller adds.
func (c *Client) newCommand(op string) *command {
	cmd := &command{op: op}
	cmd.enc.Mode = c.Caps().Literals()
	cmd.enc.Raw(op)
	return cmd
}

// do sends a command and waits for its tagged answer.
func (c *Client) do(ctx context.Context, cmd *command) error {
	return c.doAll(ctx, cmd)
}

// doAll sends commands in one flight and waits for all. The first error is
// returned; when ctx ends, commands not sent are withdrawn and the answers of
// the others are drained by the reader.
func (c *Client) doAll(ctx context.Context, cmds ...*command) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", cmds[0].describe(), err)
	}
	for _, cmd := range cmds {
		if err := cmd.enc.Err(); err != nil {
			return fmt.Errorf("%s: %w", cmd.describe(), err)
		}
	}
	if err := c.enqueue(cmds); err != nil {
		return err
	}
	var first error
	for i, cmd := range cmds {
		select {
		case <-cmd.done:
		case <-ctx.Done():
			if c.abandon(cmds[i:]) {
				return fmt.Errorf("%s: %w", cmd.describe(), ctx.Err())
			}
		}
		if first == nil {
			first = cmd.err
		}
	}
	return first
}

func (cmd *command) describe() string {
	if cmd.mailbox == "" {
		return strings.ToLower(cmd.op)
	}
	return fmt.Sprintf("%s %q", strings.ToLower(cmd.op), cmd.mailbox)
}

// enqueue puts commands behind all others.
func (c *Client) enqueue(cmds []*command) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	for _, cmd := range cmds {
		cmd.done = make(chan struct{})
		if len(cmd.enc.Octets()) == 0 {
			cmd.enc.Raw(cmd.op)
		}
	}
	c.stepAside(cmds)
	c.signal()
	return nil
}

// abandon gives commands up. It reports false when all were answered after all.
func (c *Client) abandon(cmds []*command) bool {
	gone := false
	for _, cmd := range cmds {
		// Not under Client.mu: a callback may be running.
		cmd.mu.Lock()
		c.mu.Lock()
		if !cmd.finished() {
			cmd.abandoned.Store(true)
			gone = true
			c.withdraw(cmd)
		}
		c.mu.Unlock()
		cmd.mu.Unlock()
	}
	if gone {
		c.signal()
	}
	return gone
}

// withdraw takes an unsent command out of the queue; c.mu is held.
func (c *Client) withdraw(cmd *command) {
	for i, q := range c.queue {
		if q == cmd {
			c.queue = slices.Delete(c.queue, i, i+1)
			return
		}
	}
}

// signal makes the writer look again.
func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
