//go:build unix

package main

import "golang.org/x/sys/unix"

// openFileLimit is how many files this process may have open, 0 if unknown. The limit is as
// high as the system allows: Go raises it at its start, unless told not to.
func openFileLimit() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	if raised := limit; limit.Cur < limit.Max {
		raised.Cur = limit.Max
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	return uint64(limit.Cur) //nolint:unconvert // FreeBSD's is signed
}
