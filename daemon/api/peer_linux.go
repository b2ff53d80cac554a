package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// peer is the user whose process listens at the other end.
func peer(conn net.Conn) (uid int, err error) {
	err = control(conn, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			uid = int(cred.Uid)
		}
		return err
	})
	return uid, err
}

// dialIn connects to the socket in a folder whose name ends path. It gives the kernel the
// socket itself, so that no link is followed that replaced it meanwhile; without /proc, its
// path.
func dialIn(ctx context.Context, in *os.Root, path string) (net.Conn, error) {
	f, err := in.OpenFile(filepath.Base(path), unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it wasn't even opened
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return nil, &fs.PathError{Op: "connect", Path: path, Err: errors.New("it isn't a socket")}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if errors.Is(err, fs.ErrNotExist) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return conn, err
}
