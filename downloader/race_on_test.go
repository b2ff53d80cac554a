//go:build race

package downloader_test

// raced says that the race detector watches, under which a pass takes ten times as long.
const raced = true
