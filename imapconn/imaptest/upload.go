package imaptest

// Moment is one in the sending of a literal.
type Moment int

const (
	// Uploaded: its last octet has been passed on, and nothing behind it.
	Uploaded Moment = iota
	// Answered: the server has spoken behind it, and nothing of that has been passed on.
	Answered
)

// ambush waits for a literal.
type ambush struct {
	moment Moment
	least  int64
	do     func()
}

// AtUpload calls do, which may be nil, at a moment of the next literal of at least so many
// octets that a client sends, and then resets its connection; the server's ends in order. It
// happens once. What crosses a line that is encrypted is not known: there it never happens.
func (p *Proxy) AtUpload(m Moment, least int64, do func()) {
	if do == nil {
		do = func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ambush = &ambush{m, least, do}
}

// upload follows octets to the server. It says how many of them may pass and, where the
// connection is to be reset then, what is to be done before. A literal whose answer is waited
// for makes l.answer that.
func (p *Proxy) upload(l *link, octets []byte) (int, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(octets); {
		n := l.uploads.ended(octets[i:])
		if n < 0 {
			break
		}
		i += n
		a := p.ambush
		if a == nil || l.uploads.size < a.least {
			continue
		}
		p.ambush = nil
		if a.moment == Uploaded {
			return i, a.do
		}
		l.answer.Store(&a.do)
	}
	return len(octets), nil
}

// ended follows octets to the end of a literal, and says how many these are; -1: none ends.
func (l *literals) ended(octets []byte) int {
	for i := 0; i < len(octets); {
		n := int64(1)
		if l.left > 1 { // all but its last octet
			n = min(l.left-1, int64(len(octets)-i))
		}
		last := l.left == 1
		l.pass(octets[i:i+int(n)], -1)
		i += int(n)
		if last {
			return i
		}
	}
	return -1
}
