package imapconn

import (
	"bytes"

	"imapfs/imapconn/imapwire"
)

// maxTextsPerAnswer bounds the texts that are kept of one FETCH answer, in texts.
// Together they are within Part.Limit.
const maxTextsPerAnswer = 4

// fetchAnswer is one FETCH answer (RFC 3501 §7.4.2) as it is being read. Its
// memory is used again for the next.
type fetchAnswer struct {
	meta  Meta
	texts []answeredText
}

// answeredText is a text in a FETCH answer.
type answeredText struct {
	section string
	whole   bool // the answer named no first octet
	Text
}

// fetched reads a FETCH answer and hands it to whom it concerns. Items come in
// any order and case; parentheses may be missing (RFC 1730 §6.4.7).
func (c *Client) fetched(n uint32) {
	d, a := c.dec, &c.answer
	a.meta = Meta{}
	defer a.forgetTexts()
	d.Space()
	closing := d.Accept('(')
	for d.Spaces(); d.Err() == nil; d.Spaces() {
		if closing && d.Accept(')') || !closing && d.AtEOL() {
			break
		}
		c.fetchItem(a)
	}
	if d.EOL(); d.Err() != nil {
		return
	}
	c.deliver(SeqNum(n), a)
}

// kept is how many octets of text the answer holds already.
func (a *fetchAnswer) kept() (octets int64) {
	for i := range a.texts {
		if a.texts[i].Err == nil {
			octets += a.texts[i].Octets
		}
	}
	return octets
}

// forgetTexts lets go of texts that were handed over.
func (a *fetchAnswer) forgetTexts() {
	clear(a.texts)
	a.texts = a.texts[:0]
}

// fetchItem reads one item and its value.
func (c *Client) fetchItem(a *fetchAnswer) {
	d := c.dec
	m := &a.meta
	switch name := upper(d.Name()); string(name) {
	case "UID":
		d.Space()
		m.UID = UID(d.Number32())
	case "FLAGS":
		d.Space()
		m.Flags, m.HasFlags = c.flags.List(d), true
	case "RFC822.SIZE":
		d.Space()
		m.Size, m.HasSize = d.Number(), true
	case "INTERNALDATE":
		d.Space()
		if s, ok := d.AString(); ok {
			if t, err := imapwire.ParseDateTime(s); err == nil {
				m.Date, m.HasDate = t, true
			}
		}
	case "BODY", "BODY.PEEK":
		if !d.Accept('[') {
			d.Space() // BODYSTRUCTURE without extensions
			d.SkipValue()
			return
		}
		section, known := d.Section()
		origin, whole := int64(0), true
		if d.Accept('<') {
			origin, whole = d.Number(), false
			if d.Accept('.') { // hoodiecrow repeats what was asked for
				d.Number()
			}
			d.Expect('>')
		}
		d.Space()
		if !known {
			d.SkipValue()
			return
		}
		c.readText(a, section, origin, whole)
	case "RFC822", "RFC822.PEEK":
		d.Space()
		c.readText(a, "", 0, true)
	case "RFC822.HEADER":
		d.Space()
		c.readText(a, "HEADER", 0, true)
	default:
		if d.Accept('[') { // BINARY[1.2]<0>
			d.Section()
			if d.Accept('<') {
				d.Number()
				d.Expect('>')
			}
		}
		d.Space()
		d.SkipValue()
	}
}

// readText reads a text that somebody in flight wants, or skips it. Where the
// UID comes later the text is kept for whoever may turn out to want it.
func (c *Client) readText(a *fetchAnswer, section string, origin int64, whole bool) {
	d := c.dec
	t := answeredText{section: section, whole: whole, Text: Text{Offset: origin}}
	chunk, limit, wanted := c.wants(a.meta.UID, section, origin, whole)
	wanted = wanted && len(a.texts) < maxTextsPerAnswer
	switch kind, quoted, n := d.String(); kind {
	case imapwire.Nil:
		t.Nil = true
	case imapwire.Quoted:
		t.Octets = int64(len(quoted))
		if len(quoted) > 0 && wanted {
			t.Chunks = [][]byte{bytes.Clone(quoted)}
		}
	case imapwire.Literal:
		t.Octets = n
		switch {
		case !wanted:
			d.SkipLiteral(n)
		case n > limit-a.kept():
			d.SkipLiteral(n)
			t.Err = ErrTooLarge
		default:
			c.stream.begins()
			t.Chunks = readChunks(d, n, chunk)
			c.stream.octets += n
		}
	}
	if wanted {
		a.texts = append(a.texts, t)
	}
}

// readChunks reads a literal of n octets, straight from the connection into
// slices of at most chunk octets. Memory is taken as the octets come.
func readChunks(d *imapwire.Decoder, n int64, chunk int) [][]byte {
	var chunks [][]byte
	for n > 0 && d.Err() == nil {
		p := make([]byte, min(n, int64(chunk)))
		largePages(p)
		d.ReadLiteral(p)
		chunks = append(chunks, p)
		n -= int64(len(p))
	}
	return chunks
}

// wants says whether a command in flight wants a text, and how it is kept. uid
// is 0 while the answer has not named it: then the largest limit holds, and the
// smallest chunk.
func (c *Client) wants(uid UID, section string, origin int64, whole bool) (chunk int, limit int64, wanted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range c.flight {
		if a, ok := cmd.answer.(*partialAnswer); ok && section == "" && whole {
			return a.part.Chunk, a.part.Limit, !cmd.abandoned.Load()
		}
		a, ok := cmd.answer.(*textAnswer)
		if !ok || cmd.abandoned.Load() || !a.offers(section, origin, whole) || uid != 0 && !a.set.Contains(uid) {
			continue
		}
		if !wanted || a.part.Chunk < chunk {
			chunk = a.part.Chunk
		}
		limit = max(limit, a.part.Limit)
		wanted = true
	}
	return chunk, limit, wanted
}
