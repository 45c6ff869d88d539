package imapconn

import "time"

// stream is texts that come one upon another: from the first octet of the first to
// the answer that ends their command, so that neither our question nor the server's
// search counts. It says how fast the line is.
type stream struct {
	since  time.Time // zero: none came yet
	octets int64
}

// begins is told that the octets of a text come next.
func (s *stream) begins() {
	if s.since.IsZero() {
		s.since = time.Now()
	}
}

// streamed tells Compression how fast texts came, when a command that asked for some
// has been answered.
func (c *Client) streamed() {
	s := c.stream
	c.stream = stream{}
	if s.octets >= leastMeasured {
		c.gains.measured(c.log, s.octets, time.Since(s.since), c.compressed.Load())
	}
}
