package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"mimicsync/internal/durable"
	"mimicsync/store"
)

// minToken is how long a token must be that a person made up.
const minToken = 16

// TokenFile is the file of the token that a mirror's daemon makes for itself.
func TokenFile(mirror string) string { return filepath.Join(mirror, store.Dir, "token") }

// Token reads the token from a file, which nobody else may read. The one of
// TokenFile is made if there is none. Errors do not quote it.
func Token(mirror, file string) (string, error) {
	if file == "" {
		file = TokenFile(mirror)
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			token := rand.Text()
			if err := durable.WriteFile(file, []byte(token+"\n")); err != nil {
				return "", fmt.Errorf("keep the token of the control API: %w", err)
			}
			return token, nil
		}
	}
	return readToken(file)
}

func readToken(file string) (string, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("token of the control API: %w", err)
	}
	if fi.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" { // which has no such bits
		return "", fmt.Errorf("token of the control API: others may read %s: chmod 600 it, and change the token", file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("token of the control API: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < minToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token of the control API: %s must hold %d or more letters, digits or signs in one line; make one with: openssl rand -hex 32", file, minToken)
	}
	return token, nil
}
