package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Loopback resolves addr, host:port, and rejects other machines: the generator
// sends as much as it can, which no other machine asked for.
func Loopback(addr string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", addr, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: port %q is not a number", addr, port)
	}
	ip, err := netip.ParseAddr(host)
	if host == "localhost" {
		ip, err = localhost()
	}
	if err != nil || !ip.IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("address %q is not on this machine: only loopback addresses are measured, for example 127.0.0.1:8079", addr)
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

func localhost() (netip.Addr, error) {
	ips, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip4", "localhost")
	if err != nil || len(ips) == 0 {
		return netip.Addr{}, fmt.Errorf("localhost does not resolve: %w", err)
	}
	return ips[0].Unmap(), nil
}
