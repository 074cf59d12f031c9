package proc

import "time"

// Policy says how often a child that dies is started again. Zero fields mean the defaults.
type Policy struct {
	BackoffMin time.Duration // the pause after the first crash; default 1 s
	BackoffMax time.Duration // the longest pause, doubled up to; default 60 s
	Healthy    time.Duration // ready for this long, and earlier crashes are forgiven; default 60 s
	Crashes    int           // this many crashes within Window open the breaker; default 5
	Window     time.Duration // default 2 min
	Retry      time.Duration // how long an open breaker waits before one more try; default 1 min
}

func (p Policy) withDefaults() Policy {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&p.BackoffMin, time.Second)
	def(&p.BackoffMax, time.Minute)
	def(&p.Healthy, time.Minute)
	def(&p.Window, 2*time.Minute)
	def(&p.Retry, time.Minute)
	if p.Crashes <= 0 {
		p.Crashes = 5
	}
	return p
}

// breaker decides what follows a crash. It is pure: the caller brings the clock.
type breaker struct {
	policy  Policy
	crashes []time.Time // within the window, oldest first
	backoff time.Duration
	open    bool
}

// crashed records a crash at now of a child that was ready for up, and returns how long to wait before
// the next start and whether the breaker is open, so that calls should fail at once meanwhile.
func (b *breaker) crashed(now time.Time, up time.Duration) (time.Duration, bool) {
	if up >= b.policy.Healthy {
		b.reset()
	}
	b.crashes = append(b.crashes, now)
	for len(b.crashes) > 0 && now.Sub(b.crashes[0]) > b.policy.Window {
		b.crashes = b.crashes[1:]
	}
	if b.open || len(b.crashes) >= b.policy.Crashes {
		b.open = true // a failure while half open opens it again
		b.crashes, b.backoff = b.crashes[:0], 0
		return b.policy.Retry, true
	}
	b.backoff = min(max(2*b.backoff, b.policy.BackoffMin), b.policy.BackoffMax)
	return b.backoff, false
}

// recovered closes the breaker: the child became ready after all.
func (b *breaker) recovered() { b.open = false }

func (b *breaker) reset() {
	b.open = false
	b.crashes, b.backoff = b.crashes[:0], 0
}
