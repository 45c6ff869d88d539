package imapconn

import "time"

// When compression is expected to pay, in octets of text a second over one connection.
// Servers compress some 10 MB a second (Dovecot 2.3; it takes a CPU for that), and mail
// becomes 41 % smaller: on a faster line they would be the bottleneck. Between the two
// limits what was decided stays, so that a line that is near one of them does not have
// it both ways in turn.
const (
	slowLine = 4e6 // under this compression is tried
	fastLine = 8e6 // over this it is not needed any more
)

const (
	// leastMeasured is how many octets of text must have come together for their pace
	// to say something of the line: what the Decoder had before is little then.
	leastMeasured = 256 << 10
	// believed is how many octets must have come in all before a pace counts; the older
	// half of what came is forgotten at twice that.
	believed = 1 << 20
)

// gain compares the pace of texts over plain connections with that over compressed
// ones. It has neither clock nor lock.
type gain struct {
	plain, packed pace
	slow          bool // the line is
	over          bool // it was tried, and does not pay; or cannot be
}

// expected reports whether a new connection is to be compressed.
func (g *gain) expected() bool { return g.slow && !g.over }

// measured takes note of octets of text that came in a time. Compression that
// brings less than no compression is given up for good.
func (g *gain) measured(octets int64, took time.Duration, compressed bool) {
	if octets < leastMeasured || took <= 0 {
		return
	}
	if compressed {
		g.packed.add(octets, took)
		if g.packed.known() && g.plain.known() && g.packed.perSecond() < g.plain.perSecond() {
			g.over = true
		}
		return
	}
	g.plain.add(octets, took)
	switch {
	case !g.plain.known():
	case g.plain.perSecond() < slowLine:
		g.slow = true
	case g.plain.perSecond() > fastLine:
		g.slow, g.packed = false, pace{} // another line: what was compared does not hold
	}
}

// pace is how fast octets came lately.
type pace struct {
	octets int64
	took   time.Duration
}

func (p *pace) add(octets int64, took time.Duration) {
	p.octets += octets
	p.took += took
	if p.octets >= 2*believed {
		p.octets /= 2
		p.took /= 2
	}
}

func (p *pace) known() bool { return p.octets >= believed }

// perSecond is 0 where nothing came.
func (p *pace) perSecond() float64 {
	if p.took <= 0 {
		return 0
	}
	return float64(p.octets) / p.took.Seconds()
}
