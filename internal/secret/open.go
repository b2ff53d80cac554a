package secret

import (
	"errors"
	"os"
	"time"
)

// openLimit is how long a FIFO's writer may keep us waiting for what it has.
const openLimit = 10 * time.Second

// Open opens a file that a person names for reading. It may be a FIFO, as of a shell's
// <(command), but is not waited for where nobody writes into it: a command would hang,
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
