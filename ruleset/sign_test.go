package ruleset_test

import (
	"crypto/ed25519"
	"time"

	"github.com/tocsin-io/tocsin/ruleset"
)

// A signer is an online key of a hub in tests.
type signer ed25519.PrivateKey

func newSigner(seed byte) signer {
	s := make([]byte, ed25519.SeedSize)
	s[0] = seed
	return signer(ed25519.NewKeyFromSeed(s))
}

func (s signer) public() ed25519.PublicKey {
	return ed25519.PrivateKey(s).Public().(ed25519.PublicKey)
}

func (s signer) ID() ruleset.KeyID { return ruleset.IDOf(s.public()) }

func (s signer) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(s), message), nil
}

// keys returns the key, good for 90 days around start.
func (s signer) keys() ruleset.Keys {
	return ruleset.Keys{{
		ID: s.ID(), Public: s.public(), From: start.AddDate(0, 0, -45), Until: start.Add(45 * 24 * time.Hour),
	}}
}

func seal(tb fataler, m ruleset.Message, s ruleset.Signer) ruleset.Sealed {
	tb.Helper()
	sealed, err := ruleset.Seal(m, s)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}
