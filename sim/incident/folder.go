package incident

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A folder is where an incident is written.
type folder struct {
	dir   string
	files []string // written, below dir
	made  []string // folders, as they were made
	bytes int64
}

// heading is how the readme of an incident starts: only a folder with one is
// ever cleared.
const heading = "# An invented incident\n"

const readme = "README.md"

// own are the names of everything that an incident consists of.
var own = []string{
	"devices", "flows", "devices.csv", "inventory.json", "networks.csv", "countries.csv", "trace.jsonl", TruthFile,
	readme, // the last to go, so that one that was left half removed is still known
}

// openFolder makes sure of an empty folder at dir; force takes one that is not.
func openFolder(dir string, force bool) (*folder, error) {
	f := &folder{dir: dir}
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, f.makeAll(dir)
	case err != nil:
		return nil, err
	case len(list) == 0:
		return f, nil
	case !force:
		return nil, fmt.Errorf("%s holds something already: name an empty folder, or replace an earlier incident with --force", dir)
	}
	return f, clearFolder(dir)
}

// clearFolder removes an earlier incident from dir. What is of somebody else
// stays, and must not be in the way.
func clearFolder(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, readme))
	earlier := err == nil && bytes.HasPrefix(text, []byte(heading))
	for _, name := range own {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if !earlier {
			return fmt.Errorf("%s is in the way, and %s is no earlier incident: name another folder", path, dir)
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// makeAll makes the folder at path with those above it, and remembers which were
// not there.
func (f *folder) makeAll(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if parent := filepath.Dir(path); parent != path {
		if err := f.makeAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	f.made = append(f.made, path)
	return nil
}

// file writes the file of that name; one that ends in .gz is packed.
func (f *folder) file(name string, fill func(*bufio.Writer) error) (err error) {
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := f.makeAll(filepath.Dir(path)); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	f.files = append(f.files, name)
	count := &counter{w: file}
	defer func() {
		err = errors.Join(err, file.Close())
		f.bytes += count.n
	}()
	if !strings.HasSuffix(name, ".gz") {
		return filled(count, fill)
	}
	pack := gzip.NewWriter(count)
	if err := filled(pack, fill); err != nil {
		return err
	}
	return pack.Close()
}

func filled(w io.Writer, fill func(*bufio.Writer) error) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if err := fill(out); err != nil {
		return err
	}
	return out.Flush()
}

// undo removes what was written. What cannot be removed stays: the first error
// is the one to tell.
func (f *folder) undo() {
	for _, name := range f.files {
		_ = os.Remove(filepath.Join(f.dir, filepath.FromSlash(name)))
	}
	for i := len(f.made) - 1; i >= 0; i-- {
		_ = os.Remove(f.made[i])
	}
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
