package campaign

// Bounds of what is remembered of one service.
const (
	maxCalm     = 1000 // windows that a model is fitted on
	maxWindows  = 10   // that one sighting can fill: no device's word alone makes an epoch for ever
	witnesses   = 16   // distinct sources that are counted while failures rise
	maxServices = 255
	calmAfter   = 20 // windows without an alarm that end an epoch
)

// A change watches the failures at one service, of the whole fleet together.
type change struct {
	model  Model
	fitted uint32 // when
	sum    CUSUM

	attempts, failures int    // of the open window
	opened             uint32 // when it was
	rise               uint32 // start of the window after the last one with a sum of zero

	calm    []uint16 // failures in whole windows without an alarm, the newest last
	pending []uint16 // the same, of windows since failures rose: calm or not, nobody knows yet

	epoch   bool
	start   uint32 // of the epoch: where the rise began that led to the alarm
	alarmed uint32
	quiet   int // windows since the last alarm

	campaign *campaign // that an alarm opened, or nil

	failing  [witnesses]uint64 // sources that failed since the rise, some of them
	nFailing int
}

func (t *Tracker) newChange(now uint32) *change {
	return &change{model: t.policy.Benign, fitted: now, sum: CUSUM{Drift: t.policy.Drift, Alarm: t.policy.Alarm}, rise: now, opened: now}
}

// add takes what one sighting tells into windows, and reports whether failures
// rose beyond what people make. A sum that is larger than a window is spread
// over several, failures and successes in the same proportion.
func (t *Tracker) add(c *change, source uint64, failures, successes uint32, now uint32) (alarm bool) {
	size := t.policy.Window
	total := min(int(min(uint64(failures)+uint64(successes), 1<<31-1)), maxWindows*size)
	failed := int(uint64(failures) * uint64(total) / (uint64(failures) + uint64(successes)))
	if failures > 0 {
		c.saw(source)
	}
	for total > 0 {
		if c.attempts == 0 {
			c.opened = now
			if !c.sum.Rising() {
				c.rise = now
			}
		}
		n := min(total, size-c.attempts)
		f := failed * n / total
		c.attempts += n
		c.failures += f
		total, failed = total-n, failed-f
		alarm = t.close(c, now) || alarm
	}
	return alarm
}

// close judges the open window, if it is full or old enough.
func (t *Tracker) close(c *change, now uint32) bool {
	full := c.attempts >= t.policy.Window
	if !full && (c.attempts < t.policy.Least || now-c.opened < span(t.policy.Longest)) {
		return false
	}
	score := c.model.Score(c.failures, c.attempts)
	alarm := c.sum.Step(score)
	if full && !c.epoch {
		c.pending = append(c.pending, uint16(c.failures))
		if len(c.pending) > maxCalm {
			c.pending = c.pending[1:]
		}
	}
	c.attempts, c.failures, c.opened = 0, 0, now
	switch {
	case alarm:
		if !c.epoch {
			c.epoch, c.start = true, c.rise
		}
		c.alarmed, c.quiet = now, 0
		c.pending = c.pending[:0]
		return true
	case c.epoch:
		if c.quiet++; c.quiet >= calmAfter && !c.sum.Rising() {
			c.epoch = false
		}
	}
	if !c.sum.Rising() {
		c.calmed(t, now)
	}
	return false
}

// calmed takes the windows up to now for people's, and fits the model if it is
// time to.
func (c *change) calmed(t *Tracker, now uint32) {
	c.nFailing, c.rise = 0, now
	c.calm = append(c.calm, c.pending...)
	c.pending = c.pending[:0]
	if len(c.calm) > maxCalm {
		c.calm = append(c.calm[:0], c.calm[len(c.calm)-maxCalm:]...)
	}
	first := c.model == t.policy.Benign
	if len(c.calm) < t.policy.Calm || !first && now-c.fitted < span(t.policy.Refit) {
		return
	}
	if m, ok := Fit(c.calm, t.policy.Window); ok {
		c.model, c.fitted = m, now
	}
}

// saw counts distinct sources that failed, up to a few.
func (c *change) saw(source uint64) {
	for _, have := range c.failing[:c.nFailing] {
		if have == source {
			return
		}
	}
	if c.nFailing < witnesses {
		c.failing[c.nFailing] = source
		c.nFailing++
	}
}
