package copies

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"syscall"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

// CannotLink reports whether a copy may succeed after a link failed: too many links, a file
// system without links, or a file of another user. Some file systems in user space return
// EINVAL.
func CannotLink(err error) bool {
	for _, e := range []error{syscall.EMLINK, syscall.EPERM, syscall.EXDEV, errors.ErrUnsupported, syscall.EACCES, syscall.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Copy fills dst with src, as a reflink if possible, and returns its digest.
func Copy(dst, src *os.File) (got manifest.Digest, err error) {
	to := io.Writer(dst)
	if durable.Clone(dst, src) == nil {
		to = io.Discard // the blocks are already shared
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(to, sum), src)
	sum.Sum(got[:0])
	return got, err
}
