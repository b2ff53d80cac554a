package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"mimicsync/internal/secret"
)

func stdinIsTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// ask asks a question on the terminal. Ctrl-C ends it, and leaves the terminal
// as it was: with echo.
func (u *ui) ask(ctx context.Context, question string, read func() (string, error)) (string, error) {
	before, err := term.GetState(int(os.Stdin.Fd()))
	if err != nil {
		return "", fmt.Errorf("ask on the terminal: %w", err)
	}
	text, err := unlessDone(ctx, func() (string, error) {
		_, _ = io.WriteString(u.log(), question) // there is nowhere else to ask
		return read()
	})
	if ctx.Err() != nil {
		_ = term.Restore(int(os.Stdin.Fd()), before) // it was possible a moment ago
		_, _ = io.WriteString(u.log(), "\n")
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("ask on the terminal: %w", err)
	}
	return text, err
}

// readLine reads a line from a terminal, which hands over one line at a time:
// nothing of the next one is taken.
func readLine() (string, error) {
	line := make([]byte, 4096) // a terminal's lines are no longer
	n, err := os.Stdin.Read(line)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(string(line[:n])), nil
}

// readSecret reads a line that the terminal does not show.
func readSecret() (string, error) {
	line, err := term.ReadPassword(int(os.Stdin.Fd()))
	_, _ = io.WriteString(os.Stderr, "\n") // which was not shown either
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(line), nil
}

// readStdin reads standard input to its end, without the end of the line.
func readStdin(ctx context.Context) (string, error) {
	const limit = 64 << 10
	return unlessDone(ctx, func() (string, error) {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, limit))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return secret.Line(string(b)), nil
	})
}

// unlessDone waits for what cannot be cancelled, or for the end of ctx. What was
// not waited for ends with the process.
func unlessDone[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := read()
		answers <- answer{value, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	case got := <-answers:
		return got.value, got.err
	}
}
