package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"mimicsync/internal/durable"
	"mimicsync/store"
)

const (
	socketName  = "control.sock"
	addressName = "control.addr"
	folderStart = "mimicsync-" // of a folder for a socket that cannot be in the mirror
	// maxSocketPath is what fits into sun_path of macOS with a zero byte at the
	// end; Linux has four more.
	maxSocketPath = 103
)

// socket is the listener in the mirror. Where its path would be too long, or the
// mirror is on a file server, on which a socket may be impossible and is dead to
// all other machines, it lies in a private folder of this machine, and a file in
// the mirror has its address.
type socket struct {
	net.Listener
	address string // the file with the address, empty where the socket is in the mirror
}

func listenSocket(ctx context.Context, mirror string) (*socket, error) {
	own, err := filepath.Abs(filepath.Join(mirror, store.Dir))
	if err != nil {
		return nil, err
	}
	if err := makePrivate(own); err != nil {
		return nil, err
	}
	forgetSocket(own)
	_, network := durable.NetworkFS(own)
	if path := filepath.Join(own, socketName); len(path) <= maxSocketPath && !network {
		l, err := listenPrivately(ctx, path)
		if err != nil {
			return nil, err
		}
		return &socket{Listener: l}, nil
	}
	path, err := shortPath()
	if err != nil {
		return nil, err
	}
	l, err := listenPrivately(ctx, path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(filepath.Dir(path)))
	}
	s := &socket{Listener: l, address: filepath.Join(own, addressName)}
	if err := durable.WriteFile(s.address, []byte(path+"\n")); err != nil {
		return nil, errors.Join(fmt.Errorf("name the control socket: %w", err), s.remove())
	}
	return s, nil
}

// shortPath makes a private folder for a socket.
func shortPath() (string, error) {
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if !filepath.IsAbs(base) || len(base)+len("/"+folderStart+"1234567890/"+socketName) > maxSocketPath {
			continue
		}
		if dir, err := os.MkdirTemp(base, folderStart); err == nil {
			return filepath.Join(dir, socketName), nil
		}
	}
	return "", errors.New("there is no folder for the control socket: set XDG_RUNTIME_DIR to a writable folder with a short path")
}

func listenPrivately(ctx context.Context, path string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // its folder is closed to others, so nobody came before
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// socketPath is where the owner of a mirror listens, if there is one. own is the
// mirror's .mimicsync.
func socketPath(own string) string {
	if b, err := os.ReadFile(filepath.Join(own, addressName)); err == nil {
		return strings.TrimSpace(string(b))
	}
	return filepath.Join(own, socketName)
}

// makePrivate closes .mimicsync to others, also where somebody opened it, as
// `chmod -R g+rwX` on a mirror does that a group shares: what lies in it is as
// private as it is, and whoever may write there could put a socket and a token of
// their own.
func makePrivate(own string) error {
	fi, err := os.Stat(own)
	if err != nil {
		return err
	}
	if closed(fi) {
		return nil
	}
	if err := os.Chmod(own, 0o700); err != nil { //nolint:gosec // a folder
		return fmt.Errorf("close the folder of the control socket to others: %w", err)
	}
	return nil
}

// closed reports whether others are kept out of a folder.
func closed(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" } // which has no such bits

// private reports whether a folder for the socket of the mirror with the folder
// own is closed to others, and of nobody else than own or who asks. Where many
// share a folder for temporary files, somebody else can make the folder of a daemon
// that died anew.
func private(dir, own string) bool {
	fi, err := os.Lstat(dir)
	if err != nil || !fi.IsDir() || !closed(fi) {
		return false
	}
	mirror, err := os.Stat(own)
	return err == nil && (durable.Owner(fi) == durable.Owner(mirror) || durable.Owner(fi) == os.Geteuid())
}

// forgetSocket removes what a crash left. The lock of the state file has proved
// that nobody else owns the mirror; whatever cannot be removed makes the next
// step fail, with a better error. Of another program's files none is removed,
// whatever the file with the address says.
func forgetSocket(own string) {
	path := socketPath(own)
	dir := filepath.Dir(path)
	if filepath.Base(path) == socketName && strings.HasPrefix(filepath.Base(dir), folderStart) {
		if fi, err := os.Lstat(path); err == nil && fi.Mode()&fs.ModeSocket != 0 {
			_ = os.Remove(path)
		}
		_ = os.Remove(dir) // if it is empty
	}
	_ = os.Remove(filepath.Join(own, addressName))
	_ = os.Remove(filepath.Join(own, socketName))
}

// remove ends listening, and takes away what listenSocket made.
func (s *socket) remove() error {
	path := s.Addr().String()
	_ = s.Close() // an error means that it is closed; closing removes the socket
	if s.address == "" {
		return nil
	}
	err := os.Remove(filepath.Dir(path))
	if b, rerr := os.ReadFile(s.address); rerr == nil && strings.TrimSpace(string(b)) != path {
		return err // it is of the daemon of another machine, which has taken the mirror
	}
	if rerr := os.Remove(s.address); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
