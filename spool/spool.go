// Package spool keeps what a device tells until the hub has it, and sightings a day
// longer, for a hub that was restored from a backup and asks again. It promises
// order, bounds on memory and disk, and that whatever had to be thrown away is
// counted.
//
// It sends nothing: what the hub already has is the hub's to say, so nothing
// about that is written down here.
package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/durable"
)

// A kind is what a [Spool] has to know of what it keeps.
type kind[T any] struct {
	called string // for people
	id     func(*T) tocsin.ID
	end    func(*T) time.Time
	sync   bool // each is on the disk before the next
}

// Limits bound a [Spool]. Zero fields take the value of [DefaultLimits].
type Limits struct {
	Keep   time.Duration // how long a sighting is kept at least, while there is room
	Bytes  int64         // on the disk
	Recent int           // sightings kept in memory besides
}

// DefaultLimits suits a device with a small disk: 16 MiB hold some 60,000
// sightings.
func DefaultLimits() Limits { return Limits{Keep: 24 * time.Hour, Bytes: 16 << 20, Recent: 2000} }

// segments is how many files share the room: the oldest goes as a whole.
const segments = 4

// A Spool is a folder of sightings, or of something else that a device tells, in
// the order of their IDs. It is not safe for concurrent use.
type Spool[T any] struct {
	kind   kind[T]
	dir    string
	limits Limits
	files  []segment // oldest first; the last one is written to
	log    *durable.Log
	recent []T  // the newest, in memory
	whole  bool // recent holds everything there is
	last   tocsin.ID
	lost   uint64 // thrown away in this life because there was no room
	broken error  // why the disk does not keep what is added
}

type segment struct {
	number int
	first  time.Time // when it was begun
	count  uint64
	last   tocsin.ID // the newest in it
}

// Open opens a spool of sightings in dir, or makes one. Files that cannot be read
// are set aside, not deleted: warning tells.
func Open(dir string, limits Limits, now time.Time) (*Spool[tocsin.Sighting], string, error) {
	return open(dir, limits, DefaultLimits(), now, kind[tocsin.Sighting]{
		called: "sightings",
		id:     func(s *tocsin.Sighting) tocsin.ID { return s.ID },
		end:    func(s *tocsin.Sighting) time.Time { return s.Last },
	})
}

func open[T any](dir string, limits, def Limits, now time.Time, k kind[T]) (s *Spool[T], warning string, err error) {
	if limits.Keep <= 0 {
		limits.Keep = def.Keep
	}
	if limits.Bytes <= 0 {
		limits.Bytes = def.Bytes
	}
	if limits.Recent <= 0 {
		limits.Recent = def.Recent
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("spool: %w", err)
	}
	s = &Spool[T]{kind: k, dir: dir, limits: limits}
	names, err := filepath.Glob(filepath.Join(dir, "spool-*.log"))
	if err != nil {
		return nil, "", err
	}
	slices.Sort(names) // numbers have leading zeros
	var aside []string
	for _, name := range names {
		seg := segment{first: now}
		if _, err := fmt.Sscanf(filepath.Base(name), "spool-%d.log", &seg.number); err != nil {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			seg.first = info.ModTime() // at worst it is kept a little longer
		}
		err := s.read(name, func(batch []T) error { s.count(&seg, batch); s.remember(batch); return nil })
		if err != nil {
			if err := os.Rename(name, name+".unreadable"); err != nil {
				return nil, "", fmt.Errorf("spool: %w", err)
			}
			aside = append(aside, filepath.Base(name))
			continue
		}
		s.files = append(s.files, seg)
	}
	if len(aside) > 0 {
		warning = k.called + " kept for the hub cannot be read and are set aside: " + strings.Join(aside, ", ")
	}
	s.whole = len(s.recent) < limits.Recent
	return s, warning, nil
}

func (s *Spool[T]) path(number int) string {
	return filepath.Join(s.dir, fmt.Sprintf("spool-%012d.log", number))
}

// count notes that a batch is in a segment.
func (s *Spool[T]) count(g *segment, batch []T) {
	if n := len(batch); n > 0 {
		g.count += uint64(n)
		g.last = s.kind.id(&batch[n-1])
	}
}

// errEnough ends reading early.
var errEnough = errors.New("enough")

// read calls take for each batch of a file, until that returns an error.
func (s *Spool[T]) read(path string, take func([]T) error) error {
	log, err := durable.OpenLog(path, func(record []byte) error {
		var batch []T
		if err := json.Unmarshal(record, &batch); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		return take(batch)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	if err != nil {
		return err
	}
	return log.Close()
}

// perRecord is how many sightings one record holds: far below what a record may.
const perRecord = 500

// Add keeps a batch, whose IDs follow those before. It cannot fail: on a full
// disk the newest stay in memory, and [Spool.Broken] says why.
func (s *Spool[T]) Add(batch []T, now time.Time) {
	for part := range slices.Chunk(batch, perRecord) {
		s.remember(part)
		s.broken = s.write(part, now)
		if s.broken != nil {
			s.whole = false
		}
	}
}

func (s *Spool[T]) remember(batch []T) {
	if len(batch) == 0 {
		return
	}
	s.last = s.kind.id(&batch[len(batch)-1])
	s.recent = append(s.recent, batch...)
	if over := len(s.recent) - s.limits.Recent; over > 0 {
		s.recent = slices.Delete(s.recent, 0, over)
		s.whole = false
	}
}

func (s *Spool[T]) write(batch []T, now time.Time) error {
	if err := s.turn(now); err != nil {
		return err
	}
	record, err := json.Marshal(batch)
	if err != nil {
		return err
	}
	if err := s.log.Append(record, s.kind.sync); err != nil {
		return err
	}
	s.count(&s.files[len(s.files)-1], batch)
	return nil
}

// turn makes ready to write: it goes on with the last file, or begins a new one
// where that is full or old, and throws away what there is no room for.
func (s *Spool[T]) turn(now time.Time) error {
	if n := len(s.files); s.log == nil && n > 0 {
		if err := s.open(s.files[n-1].number); err != nil {
			return err
		}
	}
	if s.log != nil {
		full := s.log.Size() >= s.limits.Bytes/segments
		old := now.Sub(s.files[len(s.files)-1].first) > s.limits.Keep/(segments-1)
		if !full && !old {
			return nil
		}
		err := s.log.Close()
		if s.log = nil; err != nil {
			return err
		}
	}
	for len(s.files) >= segments {
		if now.Sub(s.files[0].first) < s.limits.Keep {
			s.lost += s.files[0].count
		}
		if err := s.drop(); err != nil {
			return err
		}
	}
	next := segment{number: 1, first: now}
	if len(s.files) > 0 {
		next.number = s.files[len(s.files)-1].number + 1
	}
	if err := s.open(next.number); err != nil {
		return err
	}
	s.files = append(s.files, next)
	return nil
}

func (s *Spool[T]) open(number int) (err error) {
	s.log, err = durable.OpenLog(s.path(number), func([]byte) error { return nil })
	return err
}

// drop removes the oldest file.
func (s *Spool[T]) drop() error {
	err := os.Remove(s.path(s.files[0].number))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.files = s.files[1:]
	return nil
}

// Trim removes the files of which everything is older than the limit.
func (s *Spool[T]) Trim(now time.Time) error {
	for len(s.files) > 1 && now.Sub(s.files[1].first) > s.limits.Keep {
		if err := s.drop(); err != nil {
			return err
		}
	}
	return nil
}

// After returns the oldest sightings above id, at most so many, in order. Where
// what followed id is gone, it begins with the oldest there is.
func (s *Spool[T]) After(id tocsin.ID, most int) ([]T, error) {
	if !above(s.last, id) {
		return nil, nil
	}
	if s.whole || len(s.recent) > 0 && !above(s.kind.id(&s.recent[0]), id) {
		return s.cut(s.recent, id, most), nil
	}
	var found []T
	for _, seg := range s.files {
		if len(found) >= most {
			break
		}
		if !above(seg.last, id) {
			continue
		}
		// Reading costs up to a whole file, which is rare: a hub that was away or restored.
		err := s.read(s.path(seg.number), func(batch []T) error {
			if found = append(found, s.cut(batch, id, most-len(found))...); len(found) >= most {
				return errEnough
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(found) == 0 { // a full disk: what memory has is all there is
		return s.cut(s.recent, id, most), nil
	}
	return found, nil
}

func (s *Spool[T]) cut(list []T, id tocsin.ID, most int) []T {
	i := slices.IndexFunc(list, func(one T) bool { return above(s.kind.id(&one), id) })
	if i < 0 {
		return nil
	}
	return slices.Clone(list[i:min(len(list), i+most)])
}

// above reports whether a is newer than b, of one device.
func above(a, b tocsin.ID) bool {
	return a.Boot > b.Boot || a.Boot == b.Boot && a.Counter > b.Counter
}

// Since returns the newest sightings that end at t or later, at most the last
// two files of them: what a guard that was killed told before it reads its logs
// again.
func (s *Spool[T]) Since(t time.Time) (list []T, err error) {
	for _, seg := range s.files[max(0, len(s.files)-2):] {
		err := s.read(s.path(seg.number), func(batch []T) error {
			for _, one := range batch {
				if !s.kind.end(&one).Before(t) {
					list = append(list, one)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Last returns the newest ID ever added that is still known.
func (s *Spool[T]) Last() tocsin.ID { return s.last }

// Lost returns how many sightings were thrown away before their time since the
// spool was opened, because there was no room.
func (s *Spool[T]) Lost() uint64 { return s.lost }

// Broken returns why the newest sightings are in memory only, or nil.
func (s *Spool[T]) Broken() error { return s.broken }

// Close closes the spool and brings it to the disk. What is added afterwards, by
// a guard that stops later than the line, is kept, too.
func (s *Spool[T]) Close() error {
	if s.log == nil {
		return nil
	}
	err := errors.Join(s.log.Sync(), s.log.Close())
	s.log = nil
	return err
}
