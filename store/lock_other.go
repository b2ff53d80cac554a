//go:build !unix || aix || solaris

package store

import "os"

// lock trusts that a file that another process has open can't be renamed.
func lock(*os.File) bool { return true }

// unlock does nothing where closing a file unlocks it.
func unlock(*os.File) {}
