package advice

import (
	"fmt"

	"mimicsync/manifest"
)

// UsageError is a mistake in the command line.
type UsageError struct {
	Err  error
	Hint string // empty: see the help of the command
}

func (e *UsageError) Error() string { return e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// Usagef returns a *UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...)}
}

// ConfigError is a mistake in the configuration: the file, the environment, netrc.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }

func (e *ConfigError) Unwrap() error { return e.Err }

// NoMirrorError means that a command that only reads found no mirror.
type NoMirrorError struct{ Path string }

func (e *NoMirrorError) Error() string { return "there is no mirror in " + e.Path }

// UnknownHereError means that the mirror has no files of a dataset.
type UnknownHereError struct{ Ref manifest.Ref }

func (e *UnknownHereError) Error() string { return "the mirror has nothing of " + e.Ref.String() }

// PassError is why a pass of the daemon ended early, in its words.
type PassError struct {
	Text, Cure string
	Code       int
	Cause      error // what distinguishes such errors here, nil if nothing does
}

func (e *PassError) Error() string { return e.Text }

func (e *PassError) Unwrap() error { return e.Cause }

// Advice implements Advised.
func (e *PassError) Advice(Adviser) Advice { return Advice{e.Code, e.Cure} }
