package guard

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestNoNumberComesTwice kills guards that have not written a snapshot yet, and
// loses what they remember: what the next one tells must not pass for a repeat.
func TestNoNumberComesTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var last uint64
		for i, loses := range []string{"", "", "", snapshotFile, bootFile, "all"} {
			r := start(t, dir, nil)
			if r.boot <= last {
				t.Errorf("start %d, without %q, has number %d, the one before had %d", i, loses, r.boot, last)
			}
			last = r.boot
			time.Sleep(time.Minute)
			killed := t.TempDir()
			if err := os.CopyFS(killed, os.DirFS(dir)); err != nil { // as a kill leaves it
				t.Fatal(err)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if dir = killed; loses == "all" {
				dir = t.TempDir()
			} else if loses != "" {
				_ = os.Remove(filepath.Join(dir, loses))
			}
		}
		if r := start(t, dir, nil); r.boot <= last {
			t.Errorf("a new folder begins with %d, the one before had %d", r.boot, last)
		}
	})
}
