// Package secret looks after files that have passwords and tokens.
package secret

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"mimicsync/internal/durable"
)

// Line returns a secret as it was meant that was read from a file or from the
// environment: without the end of its line, which editors and `echo` add, and without
// the byte order mark that some of them begin with.
func Line(text string) string { return strings.TrimRight(strings.TrimPrefix(text, "\ufeff"), "\r\n") }

// IsPrivate reports whether the permissions of an open file keep everybody out
// but its user.
//
// A credential that systemd hands to a service has an ACL for the service's user.
// Its mask stands where the rights of a group do, and the group has none, see
// https://github.com/systemd/systemd/issues/29435.
func IsPrivate(f *os.File) bool {
	if runtime.GOOS == "windows" { // which has no such bits
		return true
	}
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	others := fi.Mode().Perm() & 0o077
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(f.Name()) == filepath.Clean(dir) {
		others &^= 0o040
	}
	return others == 0
}

// IsOurs reports whether an open file belongs to the user of this process, or to root:
// of another's, he knows what is in it, and may change it. Root may read whose files it
// likes, as in a container that has a folder of its user's.
func IsOurs(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	uid, us := durable.Owner(fi), os.Geteuid()
	return uid <= 0 || uid == us || us == 0
}
