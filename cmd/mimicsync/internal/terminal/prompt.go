package terminal

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

// StdinIsTerminal reports whether there is someone to ask.
func StdinIsTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// Ask asks a question on the terminal. Ctrl-C ends it, and restores the terminal's echo.
func (u *UI) Ask(ctx context.Context, question string, read func() (string, error)) (string, error) {
	before, err := term.GetState(int(os.Stdin.Fd()))
	if err != nil {
		return "", fmt.Errorf("ask on the terminal: %w", err)
	}
	text, err := UnlessDone(ctx, func() (string, error) {
		_, _ = io.WriteString(u.Log(), question) // there is nowhere else to ask
		return read()
	})
	if ctx.Err() != nil {
		_ = term.Restore(int(os.Stdin.Fd()), before) // it was possible a moment ago
		_, _ = io.WriteString(u.Log(), "\n")
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("ask on the terminal: %w", err)
	}
	return text, err
}

// ReadLine reads a line from a terminal, which delivers one line at a time: it takes
// nothing of the next one.
func ReadLine() (string, error) {
	line := make([]byte, 4096) // a terminal's lines are no longer
	n, err := os.Stdin.Read(line)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(string(line[:n])), nil
}

// ReadSecret reads a line without echo.
func ReadSecret() (string, error) {
	line, err := term.ReadPassword(int(os.Stdin.Fd()))
	_, _ = io.WriteString(os.Stderr, "\n") // it wasn't shown either
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(line), nil
}

// ReadStdin reads standard input to its end, without the line end.
func ReadStdin(ctx context.Context) (string, error) {
	const limit = 64 << 10
	return UnlessDone(ctx, func() (string, error) {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, limit))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return secret.Line(string(b)), nil
	})
}

// UnlessDone waits for a function that can't be canceled, or for the end of ctx. An
// abandoned function ends with the process.
func UnlessDone[T any](ctx context.Context, read func() (T, error)) (T, error) {
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
