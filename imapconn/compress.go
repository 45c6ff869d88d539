package imapconn

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
)

// compressedOctets is the size of each buffer of compressed octets: package flate
// takes them one by one, and gives them in pieces of 240.
const compressedOctets = 16 << 10

// compressible is the capability (RFC 4978 §3).
const compressible = "COMPRESS=DEFLATE"

// compress has the connection compressed if Compression wants that. It is the first
// command after the login, so that nothing else can be in flight. What a server
// refuses goes on in plain octets; only a connection that has broken is an error.
func (d *Dialer) compress(ctx context.Context, c *Client) error {
	if !d.Compression.wanted() {
		return nil
	}
	if !c.Caps().Has(compressible) {
		d.Compression.lacking(c.log, errors.New("the server does not offer "+compressible))
		return nil
	}
	cmd := c.newCommand("COMPRESS")
	cmd.enc.Raw(" DEFLATE")
	cmd.alone = true
	cmd.admitted = func() { c.trace.upTo(fmt.Sprintf("a%d OK", cmd.tag)) }
	cmd.resolved = func(ok bool) error {
		c.trace.resume()
		if ok {
			c.deflate()
		}
		return nil
	}
	err := c.do(ctx, cmd)
	var refused *StatusError
	switch {
	case !errors.As(err, &refused) || refused.Type == "BYE":
		return err
	case refused.Code == "COMPRESSIONACTIVE": // by another layer: once is enough
		c.log.Debug("the connection is compressed already", "err", err)
	default:
		d.Compression.lacking(c.log, err)
	}
	return nil
}

// compressionError says what to do about a server that is silent from its OK on: it may
// hold back what we would need to inflate the rest.
func (d *Dialer) compressionError(c *Client, err error) error {
	var e *ConnError
	if c.compressed.Load() && errors.As(err, &e) && e.Timeout() {
		e.Hint = "since it compresses: try --compress off"
		d.Compression.lacking(c.log, err)
	}
	return err
}

// deflate has all octets compressed from here on: those that the server sends behind
// its OK, what is buffered of them first, and those of our next command. The reader
// calls it, while nothing else is in flight.
func (c *Client) deflate() {
	behind := bytes.NewReader(bytes.Clone(c.dec.Buffered()))
	in := bufio.NewReaderSize(io.MultiReader(behind, c.conn), compressedOctets)
	c.dec.Reset(c.traced(&inflater{flate.NewReader(in)}))
	c.sink.compress(c.conn)
	c.compressed.Store(true)
}

// inflater gives the octets that were compressed. It asks for no more of them than it
// takes to give what its writer has flushed (Z_SYNC_FLUSH, which ends with an empty
// stored block). What it holds does not depend on what comes: 32 KiB, and the tables
// of one block.
type inflater struct{ r io.Reader }

// Read gives what package flate understands; that it does not is told apart from a
// connection that was cut.
func (f *inflater) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &corrupt):
		err = fmt.Errorf("unreadable answer: no DEFLATE at compressed octet %d (--compress off does without)", int64(corrupt))
	case err == io.EOF: // else it is io.ErrUnexpectedEOF: no server's words end with a last block
		err = errCompressionEnded
	}
	return n, err
}

// errCompressionEnded is a last block of DEFLATE, behind which nothing can come.
var errCompressionEnded = errors.New("server ended its compressed octets")

// deflater compresses what is written. Nothing has to have left before flush.
type deflater struct {
	z     *flate.Writer
	out   *bufio.Writer
	dirty bool // something was written since the last flush
}

// newDeflater writes compressed octets to w; it takes 1.2 MB of memory. They are
// compressed in the fastest way: commands are short and alike, and texts of mail become
// 31 % of their size, where the slowest makes 26 of them in three times as long.
func newDeflater(w io.Writer) *deflater {
	out := bufio.NewWriterSize(w, compressedOctets)
	z, _ := flate.NewWriter(out, flate.BestSpeed) // its one error is about the level
	return &deflater{z: z, out: out}
}

// Write compresses p.
func (d *deflater) Write(p []byte) (int, error) {
	d.dirty = true
	return d.z.Write(p)
}

// flush sends all that was written, so that the other side can read it to its end.
func (d *deflater) flush() error {
	if !d.dirty {
		return nil
	}
	d.dirty = false
	if err := d.z.Flush(); err != nil {
		return err
	}
	return d.out.Flush()
}
