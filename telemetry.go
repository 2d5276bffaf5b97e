package tocsin

import "time"

// A Stream is a kind of telemetry that a device reads of itself.
type Stream string

// The streams. The words are stored and travel.
const (
	LogStream  Stream = "log"   // log-ins, from logs
	FlowStream Stream = "flows" // outgoing connections
	HostStream Stream = "host"  // changes on the device itself
)

// Streams are all streams that there are.
var Streams = []Stream{LogStream, FlowStream, HostStream}

// A Span is a stretch of time: From belongs to it, To does not.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// A Gap is a span of which telemetry is missing, and why, as far as that is known.
type Gap struct {
	Span
	Reason Reason `json:"reason,omitempty"` // "" is nothing known: nobody read it
}

// MaxGaps bounds the gaps of one [Coverage].
const MaxGaps = 100

// A Coverage is what a device says that it read of one stream: everything from
// From until Until but for the gaps. Of what lies outside it says nothing.
type Coverage struct {
	Stream Stream    `json:"stream"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	Gaps   []Gap     `json:"gaps,omitempty"` // in order of time, at most [MaxGaps]
}
