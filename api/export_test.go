package api

import (
	"time"

	"github.com/tocsin-io/tocsin"
)

// DecodeBatch is what the fuzzer feeds.
func DecodeBatch(body []byte, from tocsin.DeviceID) (time.Time, []tocsin.Sighting, error) {
	b, err := decodeBatch(body, from)
	return b.sent, b.sightings, err
}
