package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxLetters bounds one pass over a folder: the next takes the rest.
const maxLetters = 1000

// ReadMaildir reads the letters that a mail server put into the folder "new" of
// a Maildir, oldest name first, and hands each to take, with the name of its
// file. What take accepts (nil) is moved to "cur", as seen; at the first error
// of take it stops, and that letter is handed over again next time, as is one
// that a crash came upon: its ID and its digest tell a repeat. A letter that
// cannot be read is handed over with an error, and kept as the others are.
func ReadMaildir(ctx context.Context, folder string, take func(file string, r Reply, err error) error) (taken int, err error) {
	entries, err := os.ReadDir(filepath.Join(folder, "new")) // sorted by name
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("mail: %s is no Maildir: it has no folder named new", folder)
	}
	if err != nil {
		return 0, fmt.Errorf("mail: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(folder, "cur"), 0o700); err != nil {
		return 0, fmt.Errorf("mail: %w", err)
	}
	for _, e := range entries {
		if ctx.Err() != nil || taken >= maxLetters {
			return taken, ctx.Err()
		}
		if !e.Type().IsRegular() {
			continue // a link could lead anywhere
		}
		r, err := readFile(filepath.Join(folder, "new", e.Name()))
		if err := take(e.Name(), r, err); err != nil {
			return taken, err
		}
		to := filepath.Join(folder, "cur", e.Name()+":2,S")
		if err := os.Rename(filepath.Join(folder, "new", e.Name()), to); err != nil {
			return taken, fmt.Errorf("mail: %w", err)
		}
		taken++
	}
	return taken, nil
}

func readFile(path string) (Reply, error) {
	f, err := os.Open(path)
	if err != nil {
		return Reply{}, fmt.Errorf("mail: %w", err)
	}
	defer f.Close()
	return ReadReply(f)
}
