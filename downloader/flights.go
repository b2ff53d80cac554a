package downloader

import "mimicsync/manifest"

// takeOff claims a digest. Where another transfer has it, it returns false and
// what to wait for.
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

// awaited reports whether a transfer waits for the end of a claim.
func (s *Syncer) awaited(d manifest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.flights[d]
	return ok && f.awaited
}

// flight is a claim to a digest.
type flight struct {
	over    chan struct{} // closed by its end
	awaited bool
}

// land ends a claim: the digest is in the mirror, or was given up.
func (s *Syncer) land(d manifest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.flights[d]; ok {
		close(f.over)
		delete(s.flights, d)
	}
}
