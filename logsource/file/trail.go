package file

import (
	"os"
	"path/filepath"
	"strings"
)

// maxHops bounds the symbolic links that lead to a file, as the kernel does.
const maxHops = 40

// A spot is a name in a folder on which it depends what a path leads to. It is
// firm if it names a real folder, which does not change unnoticed.
type spot struct {
	folder, name string
	firm         bool
}

// trail returns every spot on the way that the absolute path leads: folders,
// symbolic links, and the last name, or the first one missing. Its folders exist
// (or did, a moment ago) and have no link in them.
func trail(path string) []spot {
	var spots []spot
	at, rest := "/", elements(path)
	for hops := 0; len(rest) > 0 && hops <= maxHops; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		full := filepath.Join(at, name)
		fi, err := os.Lstat(full)
		link := err == nil && fi.Mode()&os.ModeSymlink != 0
		spots = append(spots, spot{at, name, err == nil && !link && len(rest) > 0})
		if err != nil {
			break
		}
		if !link {
			at = full
			continue
		}
		hops++
		target, err := os.Readlink(full)
		if err != nil {
			break
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(elements(target), rest...)
	}
	return spots
}

// elements returns the names in path, without empty ones and dots.
func elements(path string) []string {
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}
