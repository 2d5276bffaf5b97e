package hub

import (
	"slices"

	"github.com/tocsin-io/tocsin"
)

// Bounds of one frame: perFrame rules fit into it; at most atOnce additions of
// single hosts go to all devices at once, and a burst of up to burst hosts does
// so in several frames. What is more, or wide, goes by rings.
const (
	perFrame = 50_000
	atOnce   = 100
	burst    = 1000
)

type inFrame struct {
	tocsin.Change
	bulk bool
}

// inFrames cuts a change of one list: what lets somebody in goes first, and
// waits for nothing.
func inFrames(c tocsin.Change) (frames []inFrame) {
	wide := false
	var passes, blocks []tocsin.Rule
	for _, r := range c.Add {
		if r.Action == tocsin.Pass {
			passes = append(passes, r)
			continue
		}
		blocks = append(blocks, r)
		wide = wide || r.Prefix != tocsin.SourcePrefix(r.Prefix.Addr())
	}
	for len(passes)+len(c.Remove) > 0 {
		n, m := min(len(passes), perFrame), min(len(c.Remove), perFrame)
		frames = append(frames, inFrame{Change: tocsin.Change{Add: passes[:n], Remove: c.Remove[:m]}})
		passes, c.Remove = passes[n:], c.Remove[m:]
	}
	bulk, most := wide || len(blocks) > burst, atOnce
	if bulk {
		most = perFrame
	}
	for part := range slices.Chunk(blocks, most) {
		frames = append(frames, inFrame{tocsin.Change{Add: part}, bulk})
	}
	if n := len(frames); n > 1 && !frames[n-1].bulk && len(frames[n-1].Add)+len(frames[0].Add) <= atOnce && n == 2 {
		frames[0].Add = append(frames[0].Add, frames[1].Add...)
		frames = frames[:1] // the usual case: one frame for all of it
	}
	return frames
}
