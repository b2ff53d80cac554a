//go:build darwin || freebsd

package api

import (
	"context"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// solLocal is SOL_LOCAL of sys/un.h, the level of LOCAL_PEERCRED.
const solLocal = 0

// peer is the user whose process listens at the other end.
func peer(conn net.Conn) (uid int, err error) {
	err = control(conn, func(fd int) error {
		cred, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
		if err == nil {
			uid = int(cred.Uid)
		}
		return err
	})
	return uid, err
}

// dialIn connects to the socket in a folder whose name ends path.
func dialIn(ctx context.Context, _ *os.Root, path string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", path)
}
