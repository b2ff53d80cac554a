package downloader

// SetReached lets a test act at the named points of a transfer and a commit.
func (s *Syncer) SetReached(f func(point string)) { s.reached = f }
