package auth

import (
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	logservice "github.com/harness/log-service"
)

const (
	// failuresPerSecond and failuresAtOnce limit the tokens of one peer that turn
	// out not to be valid: each costs up to 2 ms of a processor, with eight RSA
	// keys. What has been verified before is not affected.
	failuresPerSecond, failuresAtOnce = 5, 50
	// rememberedPeers is the number of peers whose failures are counted.
	rememberedPeers = 4096
)

// failures counts tokens that are not valid, by the address of the peer.
type failures struct {
	peers *lru.Cache[netip.Addr, *rate.Limiter]
}

func newFailures() *failures {
	peers, _ := lru.New[netip.Addr, *rate.Limiter](rememberedPeers) // valid size: no error
	return &failures{peers}
}

// Peer returns the address by which a peer's failures are counted: that of its
// network for IPv6, where everybody has many. It is invalid, and not limited, if
// address has none, or if it is this machine's: then a proxy here sends what others
// sent to it.
func Peer(address string) netip.Addr {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Addr{}
	}
	ip := a.Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Addr{}
	}
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

// check returns an error if the peer has sent too many invalid tokens.
func (f *failures) check(peer netip.Addr, now time.Time) error {
	if !peer.IsValid() {
		return nil
	}
	if l, ok := f.peers.Get(peer); ok && l.TokensAt(now) < 1 {
		return &logservice.UnavailableError{Cause: errTooMany, RetryAfter: time.Second / failuresPerSecond}
	}
	return nil
}

var errTooMany = logservice.Errorf(logservice.ErrUnavailable, "too many invalid tokens from this address")

// count counts an invalid token.
func (f *failures) count(peer netip.Addr, now time.Time) {
	if !peer.IsValid() {
		return
	}
	l, ok := f.peers.Get(peer)
	if !ok {
		l = rate.NewLimiter(failuresPerSecond, failuresAtOnce)
		f.peers.Add(peer, l)
	}
	l.AllowN(now, 1)
}
