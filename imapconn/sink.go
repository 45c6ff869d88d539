package imapconn

import (
	"bufio"
	"io"
	"strconv"
	"sync"

	"imapfs/imapconn/imapwire"
)

// sink is what the writing goroutine writes to: buffered, traced.
type sink struct {
	w     *bufio.Writer
	z     *deflater // below w; nil: what is written goes as it is
	trace *tracer
	mu    sync.Mutex // orders reset and compress after the flush that they answer
}

func newSink(w io.Writer, t *tracer) *sink {
	return &sink{w: bufio.NewWriterSize(w, 16<<10), trace: t}
}

// begin writes a command's tag. Errors wait for flush.
func (s *sink) begin(tag uint64) {
	s.plain("a" + strconv.FormatUint(tag, 10) + " ")
}

// write writes the octets of a command from, to; a trace sees its secrets
// blanked.
func (s *sink) write(e *imapwire.Encoder, from, to int) {
	octets := e.Octets()
	s.w.Write(octets[from:to])
	if s.trace == nil {
		return
	}
	for _, span := range e.Secrets() {
		first, end := max(span.First, from), min(span.End, to)
		if first >= end {
			continue
		}
		s.trace.sent(octets[from:first])
		s.trace.sent([]byte(blank))
		from = end
	}
	s.trace.sent(octets[from:to])
}

// literal writes a piece of a text.
func (s *sink) literal(piece []byte) error {
	_, err := s.w.Write(piece)
	if s.trace != nil {
		s.trace.sent(piece)
	}
	return err
}

// end ends the command's line.
func (s *sink) end() { s.plain("\r\n") }

// plain writes words that are nobody's secret.
func (s *sink) plain(text string) {
	s.w.WriteString(text)
	if s.trace != nil {
		s.trace.sent([]byte(text))
	}
}

// secret writes a line that a trace must not show.
func (s *sink) secret(line string) {
	s.w.WriteString(line)
	if s.trace != nil {
		s.trace.sent([]byte(blank))
	}
	s.end()
}

// flush sends what was written.
func (s *sink) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.w.Flush(); err != nil || s.z == nil {
		return err
	}
	return s.z.flush()
}

// reset goes on with another writer; nothing is buffered then. The reading
// goroutine calls it when the answer to STARTTLS is there, which may be before
// the flush that sent the command has returned.
func (s *sink) reset(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w.Reset(w)
}

// compress goes on with compressed octets, as reset does.
func (s *sink) compress(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.z = newDeflater(w)
	s.w.Reset(s.z)
}
