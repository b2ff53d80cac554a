//go:build !race

package downloader_test

const raced = false
