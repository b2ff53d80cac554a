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

	"mimicsync/internal/secret"
	"mimicsync/store"
)

// minToken is the least length of a token that a person chooses.
const minToken = 16

// tokenName is the name of the file of TokenFile.
const tokenName = "token"

// TokenFile is the file of the token that a mirror's daemon creates.
func TokenFile(mirror string) string { return filepath.Join(mirror, store.Dir, tokenName) }

// Token reads the token from a file that nobody else can read. It creates TokenFile if that
// doesn't exist. Errors don't quote the token.
func Token(mirror, file string) (string, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("token of the control API: %w", err)
		}
		return readToken(f, file)
	}
	own, err := store.OpenFolder(mirror)
	if err != nil {
		return "", err
	}
	defer func() { _ = own.Close() }() // what was written in it is synced
	if err := makePrivate(own); err != nil {
		return "", err
	}
	f, err := own.Open(tokenName)
	if errors.Is(err, fs.ErrNotExist) {
		// Another process was faster, like `mimicsync daemon token` beside a daemon that
		// starts.
		if err := own.CreateFile(tokenName, []byte(rand.Text()+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("save the token of the control API: %w", err)
		}
		f, err = own.Open(tokenName)
	}
	if err != nil {
		return "", fmt.Errorf("token of the control API: %w", err)
	}
	return readToken(f, TokenFile(mirror))
}

// maxToken limits how much of a file is read.
const maxToken = 4 << 10

// readToken reads an open file, and closes it.
func readToken(f *os.File, file string) (string, error) {
	defer func() { _ = f.Close() }() // opened for reading only
	if !secret.IsOurs(f) {
		return "", fmt.Errorf("token of the control API: %s belongs to another user, who knows the token: make a token file of your own", file)
	}
	if !secret.IsPrivate(f) {
		return "", fmt.Errorf("token of the control API: others can read %s: run chmod 600 on it, and change the token", file)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return "", fmt.Errorf("token of the control API: %w", err)
	}
	token := strings.TrimSpace(secret.Line(string(b)))
	if len(token) < minToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token of the control API: %s must contain one line of at least %d letters, digits or punctuation; make one with: openssl rand -hex 32", file, minToken)
	}
	return token, nil
}
