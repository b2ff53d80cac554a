//go:build unix

package api

import (
	"io/fs"
	"syscall"
)

// owner is the user that a file belongs to, -1 if that is not known.
func owner(fi fs.FileInfo) int {
	if s, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}
