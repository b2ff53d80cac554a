package downloader

import (
	"mimicsync/manifest"
	"mimicsync/store"
)

// takePartial hands the partial of a digest, if there is one, to the transfer that
// continues it.
func (s *Syncer) takePartial(d manifest.Digest) (store.Partial, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.partial[d]
	delete(s.partial, d)
	return p, ok
}

// keepPartial returns a partial for the next transfer of its digest.
func (s *Syncer) keepPartial(p store.Partial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial[p.Digest] = p
}

func (s *Syncer) hasPartials() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.partial) > 0
}

func (s *Syncer) hasPartial(d manifest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.partial[d]
	return ok
}

// partialBytes returns how many bytes of the missing files of a version are already in
// partials.
func (s *Syncer) partialBytes(ref manifest.Ref) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, p := range s.partial {
		if p.Ref == ref {
			n += p.Durable
		}
	}
	return n
}

// dropPartials gives up the partials that choose selects. Files that may be a person's
// are durably in quarantine before their record is removed.
func (s *Syncer) dropPartials(choose func(store.Partial) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, left := range s.partial {
		if !choose(left) {
			continue
		}
		err := s.Tree.GiveUpPartial(left)
		if err == nil {
			err = s.Store.DropPartial(d)
		}
		if err != nil {
			return err
		}
		delete(s.partial, d)
	}
	return nil
}
