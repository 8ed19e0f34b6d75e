package notifier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// ErrURL: an account's webhook may not go there.
var ErrURL = errors.New("this address cannot have webhooks")

// CheckURL refuses what an account's own webhook must not be. Where a name
// leads to is checked when it is connected to, since that can change.
func CheckURL(text string, allowPrivate bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return fmt.Errorf("%w: write the whole address, such as https://app.example.com/hooks", ErrURL)
	case u.User != nil || u.Fragment != "":
		return fmt.Errorf("%w: leave out the user, the password and what follows #", ErrURL)
	case allowPrivate && (u.Scheme == "http" || u.Scheme == "https"):
		return nil
	case u.Scheme != "https":
		return fmt.Errorf("%w: it must begin with https://", ErrURL)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !public(ip) {
		return fmt.Errorf("%w: %s is in a private network", ErrURL, ip)
	}
	return nil
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// publicOnly connects to addresses of the public Internet only. It looks at the
// address that the connection goes to, after the name was resolved: a name that
// first leads here and then there gains nothing.
func publicOnly(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !public(to.Addr()) {
			return fmt.Errorf("%w: it leads to %s, in a private network", ErrURL, to.Addr())
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// private are ranges that netip does not name (RFC 6890 and its updates).
var private = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

func public(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return false
	}
	for _, p := range private {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
