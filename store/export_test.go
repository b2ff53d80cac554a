package store

import "time"

// Sleep makes a test see a process that has not shown for some time that it lives.
func (s *Store) Sleep(d time.Duration) {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	s.owner.seen = s.owner.seen.Add(-d)
}
