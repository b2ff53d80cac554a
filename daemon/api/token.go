package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mimicsync/internal/durable"
	"mimicsync/internal/secret"
	"mimicsync/store"
)

// minToken is how long a token must be that a person made up.
const minToken = 16

// TokenFile is the file of the token that a mirror's daemon makes for itself.
func TokenFile(mirror string) string { return filepath.Join(mirror, store.Dir, "token") }

// Token reads the token from a file, which nobody else may read. The one of
// TokenFile is made if there is none. Errors do not quote it.
func Token(mirror, file string) (string, error) {
	if file != "" {
		return readToken(file)
	}
	file = TokenFile(mirror)
	if err := makePrivate(filepath.Dir(file)); err != nil {
		return "", err
	}
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		if err := makeToken(file); err != nil {
			return "", fmt.Errorf("keep the token of the control API: %w", err)
		}
	}
	return readToken(file)
}

// makeToken makes the file of a token. A process that did so a moment before,
// such as `mimicsync daemon token` beside a daemon that starts, was first: a
// link, unlike a rename, never replaces what is there.
func makeToken(file string) error {
	own := file + "." + rand.Text()
	if err := durable.WriteFile(own, []byte(rand.Text()+"\n")); err != nil {
		return err
	}
	err := os.Link(own, file)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return os.Rename(own, file) // a file system without hard links
	}
	return os.Remove(own)
}

// maxToken bounds what is read of a file that a person names.
const maxToken = 4 << 10

func readToken(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("token of the control API: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	if !secret.IsPrivate(f) {
		return "", fmt.Errorf("token of the control API: others may read %s: chmod 600 it, and change the token", file)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return "", fmt.Errorf("token of the control API: %w", err)
	}
	token := strings.TrimSpace(secret.Line(string(b)))
	if len(token) < minToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token of the control API: %s must hold %d or more letters, digits or signs in one line; make one with: openssl rand -hex 32", file, minToken)
	}
	return token, nil
}
