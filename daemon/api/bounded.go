package api

import (
	"net"
	"net/netip"
	"sync"
)

const (
	// maxConns limits the server's TCP connections, and maxFrom those from one other
	// machine. Further ones are closed at once: strangers must not use up the files and
	// memory that passes need, or the whole server.
	maxConns = 256
	maxFrom  = 64
	// maxHeaders limits the headers of a request.
	maxHeaders = 32 << 10
	// maxStreams limits the streams of events: each change is rendered for each of them.
	maxStreams = 32
)

// bounds counts the connections of all listeners of a server.
type bounds struct {
	mu   sync.Mutex
	open int
	from map[netip.Prefix]int // only those that have any
}

// bounded is a listener that keeps to bounds.
type bounded struct {
	net.Listener
	b *bounds
}

func (l bounded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := network(conn.RemoteAddr())
		if l.b.enter(from) {
			return &boundedConn{Conn: conn, leave: sync.OnceFunc(func() { l.b.leave(from) })}, nil
		}
		_ = conn.Close() // nothing was sent
	}
}

func (b *bounds) enter(from netip.Prefix) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	// A proxy on this machine, or a tunnel that ends here, stands for many.
	if b.open >= maxConns || b.from[from] >= maxFrom && !from.Addr().IsLoopback() {
		return false
	}
	b.open++
	b.from[from]++
	return true
}

func (b *bounds) leave(from netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	if b.from[from]--; b.from[from] == 0 {
		delete(b.from, from)
	}
}

// network is what counts as one machine: an address; for IPv6, the half that a machine
// can't choose.
func network(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the address is valid
	return p
}

type boundedConn struct {
	net.Conn
	leave func()
}

func (c *boundedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
