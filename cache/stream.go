package cache

import "time"

// large is a text of more than one block whose size is settled, and how it is
// being read. It is guarded by texts.mu.
type large struct {
	size   int64
	maxRun int64 // of one run, by the room that there is

	pos    int64 // where a forward reader reads next
	run    int64 // the length of the next run; 0: not reading forward
	ahead  int64 // up to where has been asked for
	mark   int64 // where the run grows
	random int   // reads that were not forward and found nothing
}

const (
	// nearby is how far from its place a forward reader may read: the kernel's
	// requests overtake each other.
	nearby = 2 * blockLen
	// randomReads is after how many of them a text is fetched whole, if there is
	// room and the line brings it within so many times the time for one run:
	// servers scan it from the beginning for each.
	randomReads = 8
	randomWhole = 16
)

// span is the octets from first up to end.
type span struct{ first, end int64 }

func newLarge(size, cacheLimit int64) *large {
	return &large{size: size, maxRun: min(max(floor(cacheLimit/8, blockLen), blockLen), longRun)}
}

// read notes a read of n octets and says what should be asked for now, whether
// or not some of it is there. missing: what is read itself is not. first is how long the
// first run is to be, room how much one text may take, pace how long a run may be lest its
// reader wait too long on a slow line.
func (s *large) read(off, n int64, missing bool, first, room, pace int64) []span {
	end := min(off+n, s.size)
	longest := min(s.maxRun, pace)
	s.run = min(s.run, longest)
	switch {
	case off == 0 && s.pos == 0:
		// Opening has brought the beginning, which is often all that is wanted.
		s.pos = end
	case s.pos > 0 && off >= s.pos-nearby && off <= s.pos+nearby:
		s.pos = max(s.pos, end)
		if s.run == 0 {
			s.run = min(first, longest)
			s.ahead = floor(off, min(runLen, longest))
			s.mark = s.pos + s.run
		}
	default:
		s.pos, s.run = end, 0
	}
	if s.run > 0 {
		return s.forward(off, end, missing, longest)
	}
	if !missing {
		return nil
	}
	if s.random++; s.random > randomReads && s.size <= room && s.size <= randomWhole*longest {
		return spans(0, s.size, longest)
	}
	return []span{s.around(off, end, min(runLen, longest))}
}

// around is the run that a random read asks for: near the end just the tail.
func (s *large) around(off, end, run int64) span {
	if off >= s.size-run {
		return span{floor(off, blockLen), s.size}
	}
	first := floor(off, run)
	return span{first, min(max(first+run, end), s.size)}
}

// forward keeps two runs under way before a reader, longer ones as it goes on.
func (s *large) forward(off, end int64, missing bool, longest int64) []span {
	if s.pos >= s.mark {
		s.run = min(2*s.run, longest)
		s.mark = s.pos + s.run
	}
	var out []span
	if missing && off < s.ahead && s.ahead > floor(off, runLen) {
		out = append(out, span{floor(off, blockLen), min(end, s.size)}) // it was let go of
	}
	for s.ahead < s.size && s.ahead < s.pos+2*s.run {
		to := s.ahead + s.run
		if s.run >= runLen {
			to = floor(to, runLen)
		}
		to = min(to, s.size)
		out = append(out, span{s.ahead, to})
		s.ahead = to
	}
	return out
}

// spans cuts first…end into pieces.
func spans(first, end, length int64) []span {
	var out []span
	for ; first < end; first += length {
		out = append(out, span{first, min(first+length, end)})
	}
	return out
}

// runTime is how long a run may take to come, by what the line has brought
// lately; a tenth of a reader's time where that is less.
const runTime = time.Second

// pace measures what the line brings.
type pace struct {
	rate float64 // octets a second, by the latest loads; 0: not known

	// Of batches: how many are asked for, and what has come of them since begun.
	asked  int
	octets int64
	begun  time.Time
}

// minTook is over how long what comes of batches is counted.
const minTook = 50 * time.Millisecond

// note takes account of a load. Those that are small say more of the way than
// of the line.
func (p *pace) note(octets int64, took time.Duration) {
	if octets < blockLen || took <= 0 {
		return
	}
	rate := float64(octets) / took.Seconds()
	if p.rate == 0 {
		p.rate = rate
	}
	p.rate += (rate - p.rate) / 2
}

// ask notes that a batch is asked for, and end that it is over.
func (p *pace) ask(now time.Time) {
	if p.asked == 0 {
		p.octets, p.begun = 0, now
	}
	p.asked++
}

func (p *pace) end() { p.asked-- }

// came takes account of octets of a batch when they come: that the batch is over is heard of late
// by some, and several together would seem to have come in no time.
func (p *pace) came(octets int64, now time.Time) {
	p.octets += octets
	if took := now.Sub(p.begun); took >= minTook && p.octets >= blockLen {
		p.note(p.octets, took)
		p.octets, p.begun = 0, now
	}
}

// longest is how long a run may be, in octets: whole blocks, at least one.
func (p *pace) longest(timeout time.Duration) int64 {
	if p.rate == 0 {
		return runLen
	}
	octets := p.rate * min(runTime, timeout/10).Seconds()
	return max(floor(int64(min(octets, longRun)), blockLen), blockLen)
}

// ahead is how much may be asked for ahead, in octets: what the line brings within a
// reader's patience, lest others wait behind it.
func (p *pace) ahead(timeout time.Duration) int64 {
	if p.rate == 0 {
		return firstWindow * windowGrows
	}
	return max(int64(min(p.rate*min(runTime, timeout/10).Seconds(), maxWindow)), firstWindow)
}

// floor is the greatest multiple of unit that is not over n.
func floor(n, unit int64) int64 { return n / unit * unit }
