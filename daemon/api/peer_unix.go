//go:build linux || darwin || freebsd

package api

import (
	"errors"
	"net"
)

// control makes a call on the descriptor of a connection.
func control(conn net.Conn, call func(fd int) error) error {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("it isn't a Unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = call(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}
