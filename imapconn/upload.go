package imapconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"imapfs/imapconn/imapwire"
)

const (
	// maxAtOnce bounds a text that is sent without waiting for the server's +, in
	// octets; and what is still sent of one that was refused meanwhile, so that the
	// connection stays in step.
	maxAtOnce = 1 << 20
	// uploadPiece is how much of a text is in memory, in octets.
	uploadPiece = 32 << 10
)

var (
	// errEarly is an OK to a text that the server cannot have yet.
	errEarly = errors.New("server says OK before it has the whole message")
	// errMuchLeft is a refusal in mid-literal: the rest would be sent for nothing.
	errMuchLeft = errors.New("server refused a message while it was being sent")
	// errMidLiteral is a caller that left while its text was being sent.
	errMidLiteral = errors.New("a message was given up while it was being sent")
)

// SourceError is a text to be sent that could not be read, or was shorter than it
// was said to be.
type SourceError struct{ Err error }

// Error says that it was not the server.
func (e *SourceError) Error() string { return "the message cannot be read: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// upload is a text on its way to the server.
type upload struct {
	c     *Client
	text  io.Reader
	size  int64
	waits bool         // for the server's +
	begun bool         // the writer has the command; guarded by Client.mu
	owed  atomic.Int64 // octets that the server waits for
	sent  atomic.Bool  // the last octet may have been written: set before that is tried
	data  AppendData   // set before the command is answered
}

// send writes the literal. It runs on the goroutine that writes, when the line
// that announces it is sent.
func (u *upload) send(cmd *command) error {
	if u.waits {
		if _, ok, err := u.c.awaitPlus(cmd); err != nil || !ok {
			return err
		}
	}
	u.owed.Store(u.size)
	piece := make([]byte, min(u.size, uploadPiece))
	for rest := u.size; rest > 0; u.owed.Store(rest) {
		piece = piece[:min(max(rest-1, 1), uploadPiece)] // the last octet goes by itself
		if n, err := io.ReadFull(u.text, piece); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("it ends after %d of %d octets", u.size-rest+int64(n), u.size)
			}
			return &ConnError{Addr: u.c.addr, Err: &SourceError{err}}
		}
		if cmd.finished() && rest > maxAtOnce {
			return &ConnError{Addr: u.c.addr, Err: errMuchLeft}
		}
		rest -= int64(len(piece))
		if rest == 0 {
			u.sent.Store(true)
		}
		if err := u.c.sink.literal(piece); err != nil {
			return err
		}
	}
	u.c.sink.end()
	return nil
}

// answered is told of the tagged answer, by the reader.
func (u *upload) answered(ok bool, cmd *command) error {
	switch {
	case !ok && u.owed.Load() > maxAtOnce:
		u.c.dec.Fail(&ConnError{Addr: u.c.addr, Err: errMuchLeft})
		return nil
	case !ok:
		return nil
	case !u.sent.Load():
		u.c.dec.Fail(errEarly)
		return errEarly
	}
	if cmd.code.Name == "APPENDUID" {
		u.data.UIDValidity, u.data.UID, _ = imapwire.ParseAppendUID(cmd.code.Args)
	}
	return nil
}

// release makes sure that the text is not read any more. Where the writer is in
// the midst of it the connection ends, unless the command was refused and ctx
// leaves time for the rest.
func (u *upload) release(ctx context.Context, cmd *command) {
	u.c.mu.Lock()
	begun := u.begun
	u.c.mu.Unlock()
	if !begun {
		return
	}
	if cmd.finished() {
		select {
		case <-cmd.written:
		case <-ctx.Done():
		}
	}
	select {
	case <-cmd.written:
	default:
		u.c.fail(&ConnError{Addr: u.c.addr, Err: errMidLiteral})
		<-cmd.written
	}
}
