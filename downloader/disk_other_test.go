//go:build !linux

package downloader_test

import "testing"

func smallDisk(t *testing.T, _ string) string {
	t.Helper()
	t.Skip("needs Linux to mount a small disk")
	return ""
}
