// Package loopback says which hosts are this machine itself, whatever DNS says of them:
// the only ones to which secrets may travel without TLS, and from which no token is asked.
package loopback

import "net/netip"

// Is reports whether a host, without a port, is this machine: "localhost", or an address of
// 127.0.0.0/8 or ::1, also as an IPv4 address in IPv6. Other names are not, even if they
// resolve to it, because somebody else may change that.
func Is(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}
