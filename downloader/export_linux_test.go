package downloader

import "testing"

// WithoutOpenat2 makes a test see a kernel that lacks openat2(2). No other test may
// run meanwhile.
func WithoutOpenat2(t *testing.T) {
	t.Helper()
	noOpenat2.Store(true)
	t.Cleanup(func() { noOpenat2.Store(false) })
}
