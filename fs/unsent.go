package fs

import (
	"context"
	"slices"
	"strings"

	"imapfs/cache"
)

// unsent gives the files that no program has open and whose text the spool has, but has not
// been told to send: whoever closed them could not find out what they are to replace, or
// their writing was cut off by a crash.
func (s *Server) unsent() (all []*local) {
	e := s.edits
	if e == nil {
		return nil
	}
	e.mu.Lock()
	for _, l := range e.locals {
		if l.file.closedUnsent() {
			all = append(all, l)
		}
	}
	e.mu.Unlock()
	return slices.DeleteFunc(all, func(l *local) bool {
		d, ok := l.spooled()
		return !ok || !d.Dirty()
	})
}

func (f *file) closedUnsent() bool {
	return f.opens == 0 && f.unsent() && !f.empty && f.at.name != ""
}

// spooled is the text of a file, if it is one of package cache.
func (l *local) spooled() (cacheDraft, bool) {
	l.text.Lock()
	defer l.text.Unlock()
	d, ok := l.draft.(cacheDraft)
	return d, ok
}

// Unsent lists what lies in the spool beside what cache.Account.Pending lists, in no order.
// Discard removes one, and cache.Account.Export gives its text.
func (s *Server) Unsent() (all []cache.Pending) {
	for _, l := range s.unsent() {
		d, ok := l.spooled()
		if !ok {
			continue // it has just been sent
		}
		s.edits.mu.Lock()
		p := cache.Pending{Name: l.file.at.name, Since: l.wrote, State: "writing"}
		s.edits.mu.Unlock()
		p.ID, p.Size = d.ID(), d.Size()
		if box, _ := d.Draft.Place(); box != nil {
			p.Mailbox = strings.Join(box.Path(), "/")
		}
		all = append(all, p)
	}
	return all
}

// Flush has all that Unsent lists sent, and returns when each is with the server or has
// failed, or ctx ends: the causes are in the log. False: there was nothing.
func (s *Server) Flush(ctx context.Context) bool {
	unsent := s.unsent()
	if len(unsent) == 0 {
		return false
	}
	e := s.edits
	var over []chan struct{}
	e.mu.Lock()
	for _, l := range unsent {
		if !l.file.closedUnsent() || e.names.claims[l.file] != nil {
			continue
		}
		if d := s.dirOf(l.file.at.box); d != nil {
			s.look(d)
		}
		c := e.names.commit(l.file)
		if c.step.kind == stepOver {
			continue
		}
		done := make(chan struct{})
		started := s.waits.spawn(func() {
			defer close(done)
			if err := s.carry(c); err != nil {
				s.causes.report("write", err)
			}
		})
		if started {
			over = append(over, done)
		}
	}
	owed := s.owed()
	e.mu.Unlock()
	owed()
	for _, done := range over {
		select {
		case <-done:
		case <-ctx.Done():
			return true
		}
	}
	return true
}
