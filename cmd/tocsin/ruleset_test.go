package main

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
)

// TestRulesetScripts runs testdata/ruleset/*.txtar beside what a hub published:
// folders "old" and "new" of lists, "alien" of another hub, "trust" with the TUF
// files, and "trust.json" of a device. UPDATE=1 rewrites what cmp compares with.
func TestRulesetScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/ruleset",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			return publish(env.WorkDir)
		},
	})
}

// A shelf is a list with the snapshot it began with, and the frames since.
type shelf struct {
	signer ruleset.Signer
	list   *ruleset.List
	sealed []ruleset.Sealed
}

func (s *shelf) Since(context.Context, ruleset.Position) ([]ruleset.Sealed, error) {
	return s.sealed, nil
}

func (s *shelf) Heads(context.Context) ([]ruleset.Position, error) {
	return []ruleset.Position{s.list.Position()}, nil
}

func (s *shelf) Beat(context.Context, ruleset.Ref) (ruleset.Sealed, error) {
	return ruleset.Seal(s.list.Heartbeat(time.Now()), s.signer)
}

// add publishes one more frame.
func (s *shelf) add(c tocsin.Change) error {
	frame, next := s.list.Next(c, time.Now())
	sealed, err := ruleset.Seal(frame, s.signer)
	s.list, s.sealed = next, append(s.sealed, sealed)
	return err
}

func newShelf(signer ruleset.Signer) (*shelf, error) {
	ref := ruleset.Ref{Name: ruleset.Fleet, Class: ruleset.Long}
	s := &shelf{signer: signer, list: ruleset.New(ref, uint64(time.Now().Unix()))}
	_, s.list = s.list.Next(change(time.Hour, "203.0.113.7/32", "198.51.100.0/24"), time.Now())
	sealed, err := ruleset.Seal(s.list.Snapshot(time.Now()), signer)
	s.sealed = []ruleset.Sealed{sealed}
	return s, err
}

// change blocks prefixes for a time; 0 lifts the blocks.
func change(lasts time.Duration, prefixes ...string) (c tocsin.Change) {
	for _, p := range prefixes {
		r := tocsin.Rule{Prefix: netip.MustParsePrefix(p), Action: tocsin.Block, Until: time.Now().Add(lasts)}
		if lasts == 0 {
			c.Remove = append(c.Remove, r)
		} else {
			c.Add = append(c.Add, r)
		}
	}
	return c
}

func publish(dir string) error {
	for _, name := range []string{"alien", "hub"} {
		repository, err := keys.CreateRepository(filepath.Join(dir, name+"-keys"), time.Now())
		if err != nil {
			return err
		}
		signer, err := repository.Signer(time.Now())
		if err != nil {
			return err
		}
		s, err := newShelf(signer)
		if err != nil {
			return err
		}
		if name == "alien" {
			err = feed.Export(context.Background(), s, filepath.Join(dir, "alien"))
		} else if err = vouch(dir, repository); err == nil {
			err = s.publish(dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// publish writes the folders old and new.
func (s *shelf) publish(dir string) error {
	if err := feed.Export(context.Background(), s, filepath.Join(dir, "old")); err != nil {
		return err
	}
	for _, c := range []tocsin.Change{
		change(5*time.Hour, "203.0.113.7/32", "2001:db8:1::/64"),
		change(0, "198.51.100.0/24"),
	} {
		if err := s.add(c); err != nil {
			return err
		}
	}
	return feed.Export(context.Background(), s, filepath.Join(dir, "new"))
}

// vouch writes what tells the keys of the hub: to the world, and to a device.
func vouch(dir string, repository *keys.Repository) error {
	trust := filepath.Join(dir, "trust")
	if err := os.Mkdir(trust, 0o700); err != nil {
		return err
	}
	for name, b := range repository.Files() {
		if err := os.WriteFile(filepath.Join(trust, name), b, 0o600); err != nil {
			return err
		}
	}
	device, err := keys.Pin(dir, repository.Root())
	if err != nil {
		return err
	}
	return device.Update(repository.File, time.Now())
}
