package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// A store keeps the boxes in one file.
type store struct{ folder string }

func (s store) path() string { return filepath.Join(s.folder, "notify.json") }

// saveEvery is how long changes are gathered before they are stored: a crash
// costs no more.
const saveEvery = time.Second

// keep stores the boxes whenever they changed, at most once in saveEvery.
func (n *Notifier) keep(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.dirty:
		}
		pause.Reset(saveEvery)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		if err := n.save(); err != nil {
			n.log.Warn("messages that wait are in memory only", logkey.Path, n.store.path(), logkey.Err, err)
		}
	}
}

func (n *Notifier) save() error {
	if n.store.folder == "" {
		return nil
	}
	n.mu.Lock()
	boxes := map[string]*box{}
	for _, l := range n.line {
		boxes[l.Name] = &l.box
	}
	raw, err := json.Marshal(boxes)
	n.mu.Unlock()
	if err != nil {
		return err
	}
	return durable.WriteFile(n.store.path(), 0o600, func(w io.Writer) error { _, err := w.Write(raw); return err })
}

// load reads the boxes back. A file that cannot be read is set aside, not
// deleted. The box of a recipient that is gone is forgotten.
func (n *Notifier) load() error {
	if n.store.folder == "" {
		return nil
	}
	if err := os.MkdirAll(n.store.folder, 0o700); err != nil {
		return err
	}
	raw, err := os.ReadFile(n.store.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	boxes := map[string]box{}
	if err := json.Unmarshal(raw, &boxes); err != nil {
		n.log.Warn("messages that waited cannot be read and are set aside", logkey.Path, n.store.path()+".unreadable", logkey.Err, err)
		return os.Rename(n.store.path(), n.store.path()+".unreadable")
	}
	for _, l := range n.line {
		l.box = boxes[l.Name]
		maps.DeleteFunc(l.box.Lanes, func(_ Kind, l *lane) bool { return l == nil })
	}
	return nil
}
