package fs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"imapfs/cache"
)

// compare says what a text is to a message.
func (s *Server) compare(st step) (verdict, error) {
	other, err := s.openMessage(st.other)
	switch cache.KindOf(err) {
	case cache.NotExist, cache.Stale:
		return textGone, nil
	}
	if err != nil {
		return 0, err
	}
	var mine side
	if st.file != nil {
		mine, err = s.openText(st.file)
	} else {
		mine, err = s.openMessage(st.message)
	}
	if err != nil {
		return 0, err
	}
	if st.file == nil && st.message == st.other {
		return textEqual, nil
	}
	a, err := mine.header(s.ctx)
	if err != nil {
		return 0, err
	}
	b, err := other.header(s.ctx)
	if err != nil {
		return 0, err
	}
	if !sameMessage(a, b) {
		return textOther, nil
	}
	if !mine.date.IsZero() && mine.date.Unix() != other.date.Unix() {
		return textSame, nil
	}
	equal, err := equalTexts(mine.text(s.ctx), other.text(s.ctx))
	if err != nil {
		return 0, err
	}
	if equal {
		return textEqual, nil
	}
	return textSame, nil
}

// A side is one of two texts that are compared.
type side struct {
	header func(context.Context) ([]byte, error)
	text   func(context.Context) io.Reader
	date   time.Time // zero: it has none of its own
}

// sameMessage reports whether two headers are of one message: by Message-ID, or where
// neither has one, by Date and From.
func sameMessage(a, b []byte) bool {
	field := func(h []byte, name string) string {
		v, _ := HeaderField(h, name)
		return string(v)
	}
	x, y := field(a, "Message-Id"), field(b, "Message-Id")
	if x != "" || y != "" {
		return x == y
	}
	date, from := field(a, "Date"), field(a, "From")
	return (date != "" || from != "") && date == field(b, "Date") && from == field(b, "From")
}

func equalTexts(a, b io.Reader) (bool, error) {
	x, y := bufio.NewReaderSize(a, maxRead), bufio.NewReaderSize(b, maxRead)
	p, q := make([]byte, maxRead), make([]byte, maxRead)
	for {
		n, err := io.ReadFull(x, p)
		m, err2 := io.ReadFull(y, q)
		if n != m || !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		end := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
		switch {
		case err != nil && !end(err):
			return false, err
		case err2 != nil && !end(err2):
			return false, err2
		case err != nil || err2 != nil:
			return true, nil
		}
	}
}

func (s *Server) openMessage(m ref) (side, error) {
	d := s.dirOf(m.box)
	if d == nil {
		return side{}, errStale
	}
	if _, err := d.box.Open(s.ctx, m.validity, m.uid); err != nil {
		return side{}, err
	}
	var date time.Time
	if x, ok := find(d.box.Snapshot(), m.uid); ok {
		date = time.Unix(x.Date, 0)
	}
	return side{
		header: func(ctx context.Context) ([]byte, error) { return d.box.Header(ctx, m.validity, m.uid) },
		text:   func(ctx context.Context) io.Reader { return &messageReader{ctx: ctx, box: d.box, m: m} },
		date:   date,
	}, nil
}

// A messageReader reads the text of a message.
type messageReader struct {
	ctx context.Context
	box mailbox
	m   ref
	off int64
}

func (r *messageReader) Read(p []byte) (int, error) {
	n, err := r.box.ReadAt(r.ctx, r.m.validity, r.m.uid, p, r.off)
	r.off += int64(n)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// maxHeader bounds what is read of a text to find its header, in octets.
const maxHeader = 256 << 10

func (s *Server) openText(f *file) (side, error) {
	e := s.edits
	e.mu.Lock()
	l, date := e.list(f), f.date
	e.mu.Unlock()
	l.text.Lock()
	text := l.draft
	l.text.Unlock()
	if text == nil {
		return side{}, errTextGone
	}
	var crlf bool
	var err error
	if !l.copied {
		crlf, err = holdsCRLF(text)
	}
	return side{
		header: func(context.Context) ([]byte, error) {
			p := make([]byte, min(text.Size(), maxHeader))
			n, err := text.ReadAt(p, 0)
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return p[:n], nil
		},
		text: func(context.Context) io.Reader {
			r := io.NewSectionReader(text, 0, text.Size())
			if crlf {
				return r
			}
			return &lineReader{r: bufio.NewReaderSize(r, maxRead)}
		},
		date: date,
	}, err
}

// holdsCRLF reports whether a text is sent as it stands.
func holdsCRLF(text draft) (bool, error) {
	r := bufio.NewReaderSize(io.NewSectionReader(text, 0, text.Size()), maxRead)
	for {
		line, err := r.ReadSlice('\n')
		if bytes.HasSuffix(line, []byte("\r\n")) {
			return true, nil
		}
		// A CR at the end of a slice that is full: its LF comes next.
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) > 0 && line[len(line)-1] == '\r':
			if next, _ := r.Peek(1); len(next) == 1 && next[0] == '\n' {
				return true, nil
			}
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return false, err
		}
	}
}

// A lineReader gives each LF that stands alone as CRLF.
type lineReader struct {
	r       *bufio.Reader
	last    byte
	pending bool // an LF is due
}

func (l *lineReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if l.pending {
			p[n], l.pending, l.last = '\n', false, '\n'
			n++
			continue
		}
		c, err := l.r.ReadByte()
		if err != nil {
			if n > 0 && errors.Is(err, io.EOF) {
				return n, nil
			}
			return n, err
		}
		if c == '\n' && l.last != '\r' {
			p[n], l.pending = '\r', true
			n++
			continue
		}
		p[n], l.last = c, c
		n++
	}
	return n, nil
}
