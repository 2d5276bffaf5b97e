package hub

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/store"
)

// Names in a hub's folder, and in a backup of it.
const (
	databaseFile = "tocsin.db"
	keysFolder   = "keys"
	restoredFile = "restored" // there until the first start after a restore

	restoringSuffix = ".restoring" // of a database while it is restored
)

// upkeep is what an operator needs besides.
type upkeep struct{ hub *Hub }

var _ api.Upkeep = (*upkeep)(nil)

// Status implements [api.Upkeep].
func (u *upkeep) Status(ctx context.Context) (s api.Status, err error) {
	h := u.hub
	s = api.Status{Version: h.deps.Version, Since: h.since, Networks: h.networks.info(), Unreplayed: h.ingester.missing()}
	s.Devices, s.Connected, s.Lagging, s.Owners = h.registry.counts()
	if s.Bytes, s.Events, err = h.deps.Store.Size(ctx); err != nil {
		return s, err
	}
	if err = h.decider.ask(ctx, func(time.Time) { s.Serial = h.decider.serial }); err != nil {
		return s, err
	}
	for p, rules := range h.publisher.heads() {
		s.Lists = append(s.Lists, api.ListHead{
			ListState: store.ListState{List: p.Ref.String(), Epoch: p.Epoch, Serial: p.Serial}, Rules: rules,
		})
	}
	slices.SortFunc(s.Lists, func(a, b api.ListHead) int { return strings.Compare(a.List, b.List) })
	s.Warnings = h.warnings()
	return s, nil
}

// Ready implements [api.Upkeep].
func (u *upkeep) Ready(ctx context.Context) error {
	if _, _, err := u.hub.deps.Store.Size(ctx); err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	return u.hub.decider.ask(ctx, func(time.Time) {})
}

// Networks implements [api.Upkeep].
func (u *upkeep) Networks(context.Context) (api.NetworkTable, error) {
	return u.hub.networks.info(), nil
}

// ImportNetworks implements [api.Upkeep].
func (u *upkeep) ImportNetworks(ctx context.Context, csv io.Reader, by string) (api.NetworkTable, error) {
	t, err := u.hub.networks.replace(ctx, csv, u.hub.deps.Now())
	if err == nil {
		u.hub.deps.Log.Info("table of networks imported", "user", by, "ranges", t.Ranges, "date", t.Date)
	}
	return t, err
}

// Backup implements [api.Upkeep]: a gzipped tar of the database as of one moment
// and of the keys.
func (u *upkeep) Backup(ctx context.Context, w io.Writer) (err error) {
	dir, err := os.MkdirTemp(u.hub.cfg.Folder, "backup-")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	copied := filepath.Join(dir, databaseFile)
	if err := u.hub.deps.Store.Backup(ctx, copied); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	if err := pack(t, copied, databaseFile); err != nil {
		return err
	}
	root := filepath.Join(u.hub.cfg.Folder, keysFolder)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(u.hub.cfg.Folder, path)
		if err != nil {
			return err
		}
		return pack(t, path, filepath.ToSlash(name))
	})
	return errors.Join(err, t.Close(), z.Close())
}

func pack(t *tar.Writer, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, info.Size())
	return err
}

// maxBackup bounds one file of a backup, in bytes.
const maxBackup = 1 << 40

// Restore unpacks a backup into a folder that holds no hub, and has the hub start
// a new epoch there: all guards follow it. The database comes to its name last:
// what broke off is no hub, and may be repeated.
func Restore(folder string, backup io.Reader) error {
	if _, err := os.Stat(filepath.Join(folder, databaseFile)); err == nil {
		return fmt.Errorf("%s holds a hub already: move it away, or name another folder", folder)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	z, err := gzip.NewReader(backup)
	if err != nil {
		return fmt.Errorf("not a backup of a hub: %w", err)
	}
	t := tar.NewReader(z)
	whole := false
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the backup is damaged: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) || h.Size > maxBackup ||
			h.Name != databaseFile && !strings.HasPrefix(h.Name, keysFolder+"/") {
			return fmt.Errorf("not a backup of a hub: it holds %q", h.Name)
		}
		whole = whole || h.Name == databaseFile
		path := filepath.Join(folder, filepath.FromSlash(h.Name))
		if h.Name == databaseFile {
			path += restoringSuffix
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		err = durable.WriteFile(path, 0o600, func(w io.Writer) error { _, err := io.Copy(w, t); return err })
		if err != nil {
			return fmt.Errorf("restore %s: %w", h.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, z); err != nil { // the checksum is at the end
		return fmt.Errorf("the backup is damaged: %w", err)
	}
	if !whole {
		return errors.New("not a backup of a hub: it holds no database")
	}
	err = durable.WriteFile(filepath.Join(folder, restoredFile), 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, "restored: the next start begins a new epoch\n")
		return err
	})
	path := filepath.Join(folder, databaseFile)
	if err == nil {
		err = os.Rename(path+restoringSuffix, path)
	}
	return err
}

// How often what is older than it must be is forgotten, and how much at once.
const (
	retainEvery = time.Hour
	retainSlice = 5000
)

// contactsKept is how long contacts are kept unless the configuration says so.
const contactsKept = 14 * 24 * time.Hour

// retain forgets what is older than it must be kept.
func (u *upkeep) retain(ctx context.Context) error {
	t := u.hub.deps.Clock.NewTicker(retainEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		u.forget(ctx, u.hub.deps.Now())
	}
}

func (u *upkeep) forget(ctx context.Context, now time.Time) {
	db, log := u.hub.deps.Store, u.hub.deps.Log
	contacts := u.hub.cfg.Contacts
	if contacts <= 0 {
		contacts = contactsKept
	}
	for _, old := range []struct {
		what   string
		before time.Time
		forget func(ctx context.Context, before time.Time, most int) (int, error)
	}{
		{"sightings", now.Add(-u.hub.cfg.Retain), db.Forget},
		{"clues", now.Add(-u.hub.cfg.Retain), db.ForgetClues},
		{"contacts", now.Add(-contacts), db.ForgetContacts},
	} {
		for {
			n, err := old.forget(ctx, old.before, retainSlice)
			if err != nil {
				log.Error("what is old is not forgotten: trying again in an hour", "what", old.what, "err", err)
			}
			if err != nil || n < retainSlice {
				break
			}
		}
	}
	if _, err := db.ForgetFrames(ctx, now.Add(-framesKept)); err != nil {
		log.Error("old frames not forgotten: trying again in an hour", "err", err)
	}
	if err := u.hub.registry.countClues(ctx); err != nil {
		log.Error("clues not counted: trying again in an hour", "err", err)
	}
}

// framesKept is how long a device may be away and still resume by deltas.
const framesKept = 24 * time.Hour

// of returns the devices of one owner that are not revoked, by ID.
func (r *registry) of(owner tocsin.OwnerID) (list []tocsin.DeviceID) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for id, d := range r.devices {
		if d.Owner == owner && d.Revoked.IsZero() {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}
