package spool

import (
	"bytes"
	"crypto/sha256"
	"io"
)

// Traits is what a text is like, as Commit found it.
type Traits struct {
	CRLF     bool // LF is sent as CRLF: the text holds no CRLF at all
	Header   bool // the first line is a header field
	EightBit bool // the header holds octets above 127, which some servers change
	NUL      bool // it holds NUL, which needs BINARY (RFC 3516 §4.4)
}

// HeaderField reports whether a line begins a header field: a name, white space
// perhaps, and a colon (RFC 5322 §2.2, §4.5). The "From " of an mbox does not.
func HeaderField(line []byte) bool {
	i := 0
	for i < len(line) && line[i] > ' ' && line[i] < 0x7f && line[i] != ':' {
		i++
	}
	if i == 0 {
		return false
	}
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	return i < len(line) && line[i] == ':'
}

// maxFirstLine is how much of the first line is looked at, in octets: a line may
// have 998 (RFC 5322 §2.1.1).
const maxFirstLine = 1000

// scanned is a text as it is sent.
type scanned struct {
	Traits
	length int64
	sum    [sha256.Size]byte
}

// scan reads the first size octets of a text once, and once more where the first
// CRLF comes after a bare LF, in pieces of at most so many octets.
func scan(r io.ReaderAt, size, piece int64) (scanned, error) {
	s, mixed, err := scanAs(r, size, piece, true)
	if err == nil && mixed {
		s, _, err = scanAs(r, size, piece, false)
	}
	return s, err
}

// scanAs scans a text that is sent with each LF as CRLF, if there is one and convert
// says so; mixed is true, and the rest nothing, if a CRLF comes after a bare LF then.
func scanAs(r io.ReaderAt, size, piece int64, convert bool) (s scanned, mixed bool, err error) {
	h := sha256.New()
	in := io.NewSectionReader(r, 0, size)
	buf := make([]byte, min(size, piece))
	var (
		out    []byte
		first  []byte // the first line, as much of it as is looked at
		line   = true // first is not whole
		header = true // the header has not ended
		last   byte   // the octet before
		before byte   // and the one before that which is no CR: LF LF and LF CR LF end a header
	)
	before = '\n' // an empty first line ends it
	for off := int64(0); off < size; {
		b := buf[:min(size-off, piece)]
		if _, err := io.ReadFull(in, b); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return scanned{}, false, err
		}
		off += int64(len(b))
		if !s.NUL && bytes.IndexByte(b, 0) >= 0 {
			s.NUL = true
		}
		if line {
			rest := b[:min(len(b), maxFirstLine-len(first))]
			if i := bytes.IndexByte(rest, '\n'); i >= 0 {
				rest, line = rest[:i], false
			}
			first = append(first, rest...)
			line = line && len(first) < maxFirstLine
		}
		if header {
			for _, c := range b {
				if c == '\n' && before == '\n' {
					header = false
					break
				}
				if c >= 0x80 {
					s.EightBit = true
				}
				if c != '\r' {
					before = c
				}
			}
		}
		if !convert {
			h.Write(b)
			s.length += int64(len(b))
			last = b[len(b)-1]
			continue
		}
		out = out[:0]
		rest := b
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			if i > 0 {
				last = rest[i-1]
			}
			if last == '\r' {
				if s.CRLF {
					return scanned{}, true, nil
				}
				convert = false // as it is, from the start
				break
			}
			s.CRLF = true
			out = append(append(out, rest[:i]...), '\r', '\n')
			rest, last = rest[i+1:], '\n'
		}
		out = append(out, rest...)
		h.Write(out)
		s.length += int64(len(out))
		last = b[len(b)-1]
	}
	s.Header = HeaderField(first)
	h.Sum(s.sum[:0])
	return s, false, nil
}
