package spool

import (
	"bytes"
	"crypto/sha256"
	"io"
)

// Traits is what a text is like, as Commit found it.
type Traits struct {
	CRLF     bool // LF is sent as CRLF: the text holds no CRLF at all, or Mixed
	Mixed    bool // each LF that stands alone is, beside the CRLF that there are
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
// CRLF comes after a bare LF, in pieces of at most so many octets. lines: such a text
// is sent with each bare LF as CRLF.
func scan(r io.ReaderAt, size, piece int64, lines bool) (scanned, error) {
	if lines {
		s, _, err := scanAs(r, size, piece, everyLine)
		return s, err
	}
	s, mixed, err := scanAs(r, size, piece, everyLF)
	if err == nil && mixed {
		s, _, err = scanAs(r, size, piece, asItIs)
	}
	return s, err
}

// conversion is what becomes of LF.
type conversion int

const (
	asItIs    conversion = iota
	everyLF              // CRLF, if there is no CRLF
	everyLine            // CRLF, where it stands alone
)

// scanAs scans a text that is sent with LF as how says; mixed is true, and the rest
// nothing, if a CRLF comes after a bare LF where every LF was to become one.
func scanAs(r io.ReaderAt, size, piece int64, how conversion) (s scanned, mixed bool, err error) {
	h := sha256.New()
	in := io.NewSectionReader(r, 0, size)
	buf := make([]byte, min(size, piece))
	var (
		out    []byte
		first  []byte // the first line, as much of it as is looked at
		line   = true // first is not whole
		header = true // the header has not ended
		both   bool   // there is a CRLF
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
		if how == asItIs {
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
			if last == '\r' && how == everyLine {
				both = true
				out = append(out, rest[:i+1]...)
				rest, last = rest[i+1:], '\n'
				continue
			}
			if last == '\r' {
				if s.CRLF {
					return scanned{}, true, nil
				}
				how = asItIs // from the start
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
	s.Header, s.Mixed = HeaderField(first), both && s.CRLF
	h.Sum(s.sum[:0])
	return s, false, nil
}
