//go:build !linux && !darwin && !freebsd

package api

import (
	"context"
	"net"
	"os"
)

// peer is unknown here: who may listen at the socket is for the rights of its folder to
// say.
func peer(net.Conn) (uid int, err error) { return -1, nil }

// dialIn connects to the socket in a folder that has the name at the end of path.
func dialIn(ctx context.Context, _ *os.Root, path string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", path)
}
