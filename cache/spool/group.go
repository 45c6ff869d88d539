package spool

import "sync"

// group joins calls of one function that costs much: whoever comes while it runs
// shares the next run with all others who do.
type group struct {
	run  func() error
	busy sync.Mutex // held while run runs; before mu

	mu   sync.Mutex
	next *round
}

// round is one run and what it gave.
type round struct {
	done chan struct{}
	err  error
}

// do returns when a run that began after the call has ended.
func (g *group) do() error {
	g.mu.Lock()
	if r := g.next; r != nil {
		g.mu.Unlock()
		<-r.done
		return r.err
	}
	r := &round{done: make(chan struct{})}
	g.next = r
	g.mu.Unlock()

	g.busy.Lock()
	g.mu.Lock()
	g.next = nil
	g.mu.Unlock()
	r.err = g.run()
	g.busy.Unlock()
	close(r.done)
	return r.err
}
