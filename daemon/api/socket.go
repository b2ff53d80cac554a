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
	folderStart = "mimicsync-" // of a folder for a socket that can't be in the mirror
	// maxSocketPath is the room in sun_path of macOS, with a zero byte at the end; Linux
	// has four bytes more.
	maxSocketPath = 103
)

// socket is the listener in the mirror. If its path would be too long, or the mirror is on
// a file server, where a socket may be impossible and is useless to other machines, it is
// in a private folder of this machine, and a file in the mirror has its address.
type socket struct {
	net.Listener

	own    *store.Folder // the mirror's, with the socket or the file with its address
	inside bool          // the socket is in the mirror
}

func listenSocket(ctx context.Context, mirror string) (s *socket, err error) {
	mirror, err = filepath.Abs(mirror)
	if err != nil {
		return nil, err
	}
	own, err := store.OpenFolder(mirror)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = own.Close() // everything made in it is gone
		}
	}()
	if err := makePrivate(own); err != nil {
		return nil, err
	}
	if err := forgetSocket(own); err != nil {
		return nil, err
	}
	_, network := durable.NetworkFS(own.Path())
	if path := filepath.Join(own.Path(), socketName); len(path) <= maxSocketPath && !network {
		l, err := listenAt(ctx, path)
		if err != nil {
			return nil, err
		}
		s := &socket{l, own, true}
		if err := own.Root().Chmod(socketName, 0o600); err != nil { // its folder is private, so nobody was faster
			return nil, errors.Join(err, s.remove())
		}
		return s, nil
	}
	path, err := shortPath()
	if err != nil {
		return nil, err
	}
	l, err := listenAt(ctx, path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(filepath.Dir(path)))
	}
	s = &socket{l, own, false}
	err = os.Chmod(path, 0o600) // likewise
	if err == nil {
		err = own.WriteFile(addressName, []byte(path+"\n"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("name the control socket: %w", err), s.remove())
	}
	return s, nil
}

// shortPath creates a private folder for a socket.
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

// listenAt opens a socket. Closing it doesn't remove it, because by then its path may lead
// to another one.
func listenAt(ctx context.Context, path string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if unix, ok := l.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	return l, nil
}

// address is the path of the socket of a mirror's owner if it isn't in the mirror; empty if
// it is.
func address(own *store.Folder) (string, error) {
	b, err := own.ReadFile(addressName, 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// makePrivate removes others' permissions from .mimicsync, also after `chmod -R g+rwX` on a
// shared mirror: its content is only as private as the folder, and anyone who can write to
// it could put a socket and a token of their own there.
func makePrivate(own *store.Folder) error {
	fi, err := own.Root().Stat(".")
	if err != nil {
		return err
	}
	if closed(fi) {
		return nil
	}
	if err := own.Root().Chmod(".", 0o700); err != nil {
		return fmt.Errorf("take others' write permission from %s, the folder of the control socket: %w", own.Path(), err)
	}
	return nil
}

// closed reports whether others have no access to a folder.
func closed(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" } // which has no such bits

// private reports whether a folder for the socket of a mirror is closed to others and
// belongs to a trusted user. In a shared folder for temporary files, anyone can create the
// folder of a dead daemon again.
func private(dir string, own *store.Folder) bool {
	fi, err := os.Lstat(dir)
	return err == nil && closed(fi) && ours(dir, own)
}

// ours reports whether the folder belongs to such a user.
func ours(dir string, own *store.Folder) bool {
	fi, err := os.Lstat(dir)
	return err == nil && fi.IsDir() && own.Believes(durable.Owner(fi))
}

// forgetSocket removes what a crash left. The lock of the state file has proved that nobody
// else owns the mirror. It removes no file of another program, whatever the file with the
// address says; it removes a link, but not its target. The error says what stands in the
// place of the socket or of the file.
func forgetSocket(own *store.Folder) error {
	path, _ := address(own) // a file that isn't mimicsync's isn't trusted
	dir := filepath.Dir(path)
	if filepath.Base(path) == socketName && strings.HasPrefix(filepath.Base(dir), folderStart) && ours(dir, own) {
		if fi, err := os.Lstat(path); err == nil && fi.Mode()&fs.ModeSocket != 0 {
			_ = os.Remove(path)
		}
		_ = os.Remove(dir) // if it is empty
	}
	for name, want := range map[string]fs.FileMode{addressName: 0, socketName: fs.ModeSocket} {
		if err := own.Root().Remove(name); err == nil {
			continue
		}
		if fi, err := own.Root().Lstat(name); err == nil {
			return errors.Join(own.Check(name, fi, want), fmt.Errorf("%s cannot be removed", filepath.Join(own.Path(), name)))
		}
	}
	return nil
}

// remove ends listening, and removes what listenSocket created.
func (s *socket) remove() error {
	path := s.Addr().String()
	_ = s.Close()                        // an error means that it is closed
	defer func() { _ = s.own.Close() }() // if the removal is lost, it does no harm
	gone := func(root *os.Root, name string) error {
		if err := root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if s.inside {
		return gone(s.own.Root(), socketName)
	}
	err := errors.Join(os.Remove(path), os.Remove(filepath.Dir(path)))
	if known, rerr := address(s.own); rerr == nil && known != path {
		return err // it belongs to the daemon of another machine, which has taken the mirror
	}
	return errors.Join(err, gone(s.own.Root(), addressName))
}
