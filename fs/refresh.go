package fs

// Refresh forgets what failed: no READ is answered from memory with the errno of
// one before it, and each cause goes to the log again. What the kernel keeps it
// is told about by the news that Account.Refresh of package cache brings.
func (s *Server) Refresh() {
	s.causes.forget()
	s.refreshGiven()
	for _, sl := range *s.slots.Load() {
		sl.forgetFailures()
	}
}

// forgetFailures drops the errnos that wait for the kernel's repeat of a READ.
func (sl *slot) forgetFailures() {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	clear(sl.failed)
	sl.failures.Store(0)
}

// refreshGiven has messages called by their numbers again.
func (s *Server) refreshGiven() {
	e := s.edits
	if e == nil {
		return
	}
	e.mu.Lock()
	for id := range e.names.boxes {
		e.names.refresh(id)
	}
	owed := s.owed()
	e.mu.Unlock()
	owed()
}
