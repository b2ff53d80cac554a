package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"mimicsync/store"
)

// connect opens a connection to the daemon of a mirror. The process at its socket must
// belong to a trusted user, see store.Folder: in a mirror that others can write to, anybody
// could listen there. The error is ErrNoDaemon if no process listens.
func connect(ctx context.Context, mirror string) (net.Conn, error) {
	own, err := store.OpenFolder(mirror)
	if err != nil {
		return nil, unlessForeign(err)
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	path, err := address(own)
	if err != nil {
		return nil, unlessForeign(err)
	}
	if path != "" {
		return connectOutside(ctx, own, path)
	}
	fi, err := own.Root().Lstat(socketName)
	if err != nil {
		return nil, unlessForeign(err)
	}
	if err := own.Check(socketName, fi, fs.ModeSocket); err != nil {
		return nil, err
	}
	return connectTo(ctx, own, own.Root(), filepath.Join(own.Path(), socketName))
}

// connectOutside connects to a socket that isn't in the mirror.
func connectOutside(ctx context.Context, own *store.Folder, path string) (net.Conn, error) {
	dir := filepath.Dir(path)
	if _, err := os.Lstat(dir); err != nil {
		return nil, unlessForeign(err)
	}
	if !private(dir, own) {
		return nil, fmt.Errorf("%w: the folder %s is not private", ErrNoDaemon, dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unlessForeign(err)
	}
	defer func() { _ = root.Close() }() // nothing was written in it
	return connectTo(ctx, own, root, path)
}

// connectTo connects to the socket in a folder, and checks whose process answers.
func connectTo(ctx context.Context, own *store.Folder, in *os.Root, path string) (net.Conn, error) {
	conn, err := dialIn(ctx, in, path)
	if err != nil {
		return nil, unlessForeign(err)
	}
	uid, err := peer(conn)
	if err == nil {
		err = own.CheckOwner(filepath.Base(path), uid)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the process at %s can't be trusted: %w", path, err), conn.Close())
	}
	return conn, nil
}

// unlessForeign turns an error into ErrNoDaemon: whatever the reason, the lock of the state
// shows the rest. It keeps an error that says that somebody else has put something there.
func unlessForeign(err error) error {
	if _, foreign := errors.AsType[*store.ForeignError](err); foreign {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoDaemon, err)
}
