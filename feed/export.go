package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/ruleset"
)

// The names of an export, below a folder named as the list. Frames are in a
// folder for each epoch.
const (
	headFile     = "head"
	snapshotFile = "snapshot"
	beatFile     = "beat"
	frameSuffix  = ".frame"
)

// A head tells which files there are.
type head struct {
	Epoch    uint64 `json:"epoch"`
	Serial   uint64 `json:"serial"`   // of the newest frame
	Snapshot uint64 `json:"snapshot"` // serial of the snapshot; frames begin after it
	Beat     bool   `json:"beat"`
}

// A Beater is a [Library] that has heartbeats. Without them, devices that follow
// an export show that something may be held back from them.
type Beater interface {
	// Beat signs a heartbeat of a list as it stands now.
	Beat(ctx context.Context, r ruleset.Ref) (ruleset.Sealed, error)
}

// Export writes lists into a folder that any web server can serve: for each its
// head, its snapshot, the frames after it, and its heartbeat. What is there stays
// readable meanwhile: the head comes last, and frames that it no longer names go
// at the next export. Without lists, those that bind every owner are exported: an
// owner's list tells who attacks him, and belongs behind a log-in.
func Export(ctx context.Context, lib Library, dir string, lists ...ruleset.Ref) error {
	if len(lists) == 0 {
		lists = []ruleset.Ref{{Name: ruleset.Fleet, Class: ruleset.Short}, {Name: ruleset.Fleet, Class: ruleset.Long}}
	}
	heads, err := lib.Heads(ctx)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for _, h := range heads {
		if !slices.Contains(lists, h.Ref) {
			continue
		}
		if err := exportList(ctx, lib, filepath.Join(dir, filepath.FromSlash(h.Ref.String())), h.Ref); err != nil {
			return fmt.Errorf("export %s: %w", h.Ref, err)
		}
	}
	return nil
}

func exportList(ctx context.Context, lib Library, dir string, ref ruleset.Ref) error {
	sealed, err := lib.Since(ctx, ruleset.Position{Ref: ref})
	if err != nil || len(sealed) == 0 {
		return err
	}
	old, err := readHead(dir)
	if err != nil {
		return err
	}
	var h head
	for n, s := range sealed {
		i, err := ruleset.Peek(s)
		if err != nil {
			return err
		}
		name := snapshotFile
		if n > 0 || i.Kind != ruleset.Snapshot {
			name = filepath.Join(strconv.FormatUint(i.Position.Epoch, 10), strconv.FormatUint(i.Position.Serial, 10)+frameSuffix)
		} else {
			h.Snapshot = i.Position.Serial
		}
		h.Epoch, h.Serial = i.Position.Epoch, i.Position.Serial
		if err := write(filepath.Join(dir, name), s, n == 0); err != nil {
			return err
		}
	}
	if b, ok := lib.(Beater); ok {
		s, err := b.Beat(ctx, ref)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dir, beatFile), s, true); err != nil {
			return err
		}
		h.Beat = true
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(dir, headFile), text, true); err != nil {
		return err
	}
	return prune(dir, old)
}

// write puts a file there; a frame that is there already never changes.
func write(path string, b []byte, again bool) error {
	if _, err := os.Stat(path); err == nil && !again {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

func readHead(dir string) (h head, err error) {
	b, err := os.ReadFile(filepath.Join(dir, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(b, &h)
}

// prune removes the frames that the head before did not name any more either.
func prune(dir string, old head) error {
	frames, err := filepath.Glob(filepath.Join(dir, "*", "*"+frameSuffix))
	if err != nil {
		return err
	}
	for _, f := range frames {
		epoch, err := strconv.ParseUint(filepath.Base(filepath.Dir(f)), 10, 64)
		if err != nil {
			continue // not ours
		}
		serial, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(f), frameSuffix), 10, 64)
		if err != nil {
			continue // not ours
		}
		if epoch < old.Epoch || epoch == old.Epoch && serial <= old.Snapshot {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	return nil
}
