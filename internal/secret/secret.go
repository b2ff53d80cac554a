// Package secret reads files that contain passwords and tokens.
package secret

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"mimicsync/internal/durable"
)

// Line returns a secret from a file or the environment as it was meant: without the line
// end that editors and `echo` add, and without the byte order mark that some of them begin
// with.
func Line(text string) string { return strings.TrimRight(strings.TrimPrefix(text, "\ufeff"), "\r\n") }

// IsPrivate reports whether only the owner has permissions for an open file.
//
// A credential that systemd gives to a service has an ACL for the service's user. Its mask
// takes the place of the group's permissions, and the group has none, see
// https://github.com/systemd/systemd/issues/29435.
func IsPrivate(f *os.File) bool {
	if runtime.GOOS == "windows" { // Windows has no such bits
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
// other owners know its content and can change it. Root may read anybody's files, as in a
// container with a folder of its user.
func IsOurs(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	uid, us := durable.Owner(fi), os.Geteuid()
	return uid <= 0 || uid == us || us == 0
}
