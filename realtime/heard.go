package realtime

import "time"

// maxUnsaid is how long a device's last word on what it has played is taken to be followed by more sound: devices tell it
// several times a second, and one that has fallen silent has lost its line or its sound.
const maxUnsaid = 500 * time.Millisecond

// device is what a client that plays the sound has told of it.
type device struct {
	told bool
	at   time.Duration // how much of the answer had been played …
	when time.Time     // … at this moment
}

// position returns how much has been played by now.
func (d device) position(now time.Time) time.Duration {
	return d.at + min(max(now.Sub(d.when), 0), maxUnsaid)
}

// tell takes the device's word that so much has been played. It cannot have played what it was not sent, nor take back what
// it has played.
func (p *playback) tell(at time.Duration, now time.Time) {
	at = min(at, p.duration(p.sent))
	if p.device.told && at < p.device.at {
		return
	}
	p.device = device{told: true, at: at, when: now}
}

// played takes a device's word on how much of an answer was heard.
func (c *call) played(ev *played) {
	p := c.playing(ev.item)
	if p == nil {
		return // it has been heard to its end, or was cut
	}
	now := time.Now()
	p.tell(ev.at, now)
	if t := p.trace; ev.at > 0 && t != nil && t.heard == 0 {
		t.heard = max(now.Add(-ev.at).Sub(t.begin), 1)
	}
}

// playing returns the sound of an item while it is sent or heard, nil after that.
func (c *call) playing(item string) *playback {
	for _, r := range c.responses() {
		if r.item != nil && r.item.ID == item {
			return r.play
		}
	}
	if c.spoken != nil && c.spoken.item == item {
		return c.spoken
	}
	return nil
}
