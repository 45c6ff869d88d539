package spool

import (
	"bytes"
	"io"
)

// Outgoing is a committed text as it is sent, from its first octet. It may be read
// although the entry goes on, is removed, or another is made of it. Close it.
type Outgoing struct {
	Length int64 // what Read gives in all, in octets
	file   file
	raw    io.Reader
	crlf   bool
	last   byte   // the octet before, of raw
	buf    []byte // read and not given yet
	all    []byte // what buf lies in
	left   int64
}

// Read gives the text. io.ErrUnexpectedEOF: the file is shorter than the text that
// was committed; what was given must not count as a message.
func (o *Outgoing) Read(p []byte) (int, error) {
	if o.left == 0 {
		return 0, io.EOF
	}
	if len(o.buf) == 0 {
		if err := o.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, o.buf[:min(int64(len(o.buf)), o.left)])
	o.buf = o.buf[n:]
	o.left -= int64(n)
	return n, nil
}

// fillSize is what is read of the file at once, in octets.
const fillSize = 64 << 10

func (o *Outgoing) fill() error {
	if o.all == nil {
		o.all = make([]byte, 3*fillSize)
	}
	in := o.all[2*fillSize:]
	n, err := o.raw.Read(in)
	if n == 0 {
		if err == io.EOF || err == nil {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if !o.crlf {
		o.buf = in[:n]
		return nil
	}
	out := o.all[:0]
	for rest := in[:n]; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			out = append(out, rest...)
			break
		}
		if i > 0 {
			o.last = rest[i-1]
		}
		if out = append(out, rest[:i]...); o.last != '\r' {
			out = append(out, '\r')
		}
		out = append(out, '\n')
		rest, o.last = rest[i+1:], '\n'
	}
	o.last = in[n-1]
	o.buf = out
	return nil
}

// Close ends the reading.
func (o *Outgoing) Close() error { return o.file.Close() }
