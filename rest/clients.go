package rest

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"brenda/pipeline/fault"
)

// maxClients is how many clients are remembered. The one not seen for longest is forgotten, which gives it a
// full bucket.
const maxClients = 10_000

// clients gives every client a bucket of tokens.
type clients struct {
	rate    rate.Limit
	burst   int
	buckets *lru.Cache[string, *rate.Limiter]
}

func newClients(perSecond float64, burst int) *clients {
	buckets, err := lru.New[string, *rate.Limiter](maxClients)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &clients{rate: rate.Limit(perSecond), burst: max(burst, 1), buckets: buckets}
}

// take takes one token out of the bucket of who.
func (c *clients) take(who string, now time.Time) error {
	if c.rate <= 0 {
		return nil
	}
	bucket, ok := c.buckets.Get(who)
	if !ok {
		bucket = rate.NewLimiter(c.rate, c.burst)
		if before, found, _ := c.buckets.PeekOrAdd(who, bucket); found {
			bucket = before
		}
	}
	wanted := bucket.ReserveN(now, 1)
	wait := wanted.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	wanted.CancelAt(now)
	return &fault.Error{
		Kind: fault.RateLimited, Code: "rate_limited", RetryAfter: wait,
		Msg: "too many requests; wait a moment",
	}
}

// remote names the machine that a request comes from. One network of IPv6 counts as one machine.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap()
	if ip.Is6() && !ip.IsLoopback() {
		if net64, err := ip.WithZone("").Prefix(64); err == nil {
			return net64.String()
		}
	}
	return ip.String()
}
