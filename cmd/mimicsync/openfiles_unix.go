//go:build unix

package main

import "golang.org/x/sys/unix"

// openFileLimit is how many files this process may have open, 0 if that is unknown.
// The limit is raised as far as the system allows: Go does so at its start, unless
// it was not asked to.
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
