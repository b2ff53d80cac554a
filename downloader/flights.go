package downloader

import "mimicsync/manifest"

// takeOff claims a digest. If another transfer holds it, takeOff returns false and a
// channel that is closed when that claim ends.
func (s *Syncer) takeOff(d manifest.Digest) (<-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.flights[d]; ok {
		f.awaited = true
		return f.over, false
	}
	s.flights[d] = &flight{over: make(chan struct{})}
	return nil, true
}

// awaited reports whether another transfer is waiting for a claim to end.
func (s *Syncer) awaited(d manifest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.flights[d]
	return ok && f.awaited
}

// flight is a claim to a digest: while it lasts, no other transfer fetches it.
type flight struct {
	over    chan struct{} // closed when the claim ends
	awaited bool
}

// land ends a claim: the file is in the mirror, or its transfer was given up.
func (s *Syncer) land(d manifest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.flights[d]; ok {
		close(f.over)
		delete(s.flights, d)
	}
}
