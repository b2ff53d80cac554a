package secret

import (
	"errors"
	"os"
	"time"
)

// openLimit is how long to wait for the writer of a FIFO.
const openLimit = 10 * time.Second

// Open opens a file that a person names for reading. It may be a FIFO, like a shell's
// <(command), but Open doesn't wait for one that nobody writes to: a command would hang,
// and a daemon.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	if err := f.SetReadDeadline(time.Now().Add(openLimit)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
