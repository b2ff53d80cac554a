package store

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrDamaged means that the state file isn't an intact database. It is left as it is;
	// `verify --rebuild` makes a new one from the tree.
	ErrDamaged = errors.New("the state file is damaged")

	// ErrNewerSchema means that a newer mimicsync wrote the state file. It is left as it
	// is.
	ErrNewerSchema = errors.New("the state file was written by a newer mimicsync")

	// ErrLocked means that another process owns the mirror. The error is a *LockedError,
	// which names the owner if it is known.
	ErrLocked = errors.New("the mirror is in use by another process")

	// ErrNoMemory means that the process has too little address space to map the state
	// file.
	ErrNoMemory = errors.New("the process may not have the address space that the state file takes")

	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("the state file is closed")
)

// Error is a failure of the state file in use: the disk is full or broken. Everything
// recorded before remains.
type Error struct {
	Path string // the state file
	Err  error
}

// Error names the state file.
func (e *Error) Error() string { return fmt.Sprintf("state file %s: %v", e.Path, e.Err) }

// Unwrap returns the error of the file system.
func (e *Error) Unwrap() error { return e.Err }

// LockedError says who owns the mirror.
type LockedError struct {
	Path  string // the state file
	Owner Owner  // zero if the owner left no name
}

// Error names the owner's process, host and command.
func (e *LockedError) Error() string {
	if e.Owner.PID == 0 {
		return fmt.Sprintf("%v: %s is locked", ErrLocked, e.Path)
	}
	return fmt.Sprintf("%v: pid %d on %s (%s), since %s", ErrLocked, e.Owner.PID, e.Owner.Host, e.Owner.Command,
		e.Owner.Started.Local().Format(time.DateTime))
}

// Unwrap makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Unwrap() error { return ErrLocked }

// ForeignError means that a file or folder with a name of mimicsync's own isn't
// mimicsync's. In a mirror that others can write to, somebody else may have put it there.
type ForeignError struct {
	What  string // as in "it is a symlink"
	Owner string // its owner; empty if something else is wrong
}

// Error returns What.
func (e *ForeignError) Error() string { return e.What }
