//go:build !unix

package main

// openFileLimit is how many files this process may have open: there is no limit here.
func openFileLimit() uint64 { return 0 }
