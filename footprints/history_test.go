package footprints_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/tocsin-io/tocsin"
)

// TestHistories: whatever is written, removed and moved, and however often the
// guard starts anew meanwhile, what stands there in the end was told with its
// digest.
func TestHistories(t *testing.T) {
	names := []string{
		"etc/cron.d/a", "etc/crontab", "home/ann/.ssh/authorized_keys", "root/.ssh/authorized_keys",
		"etc/systemd/system/x.service.d/own.conf", "usr/local/etc/rc.d/a.sh",
	}
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			m := newMachine(t)
			m.start()
			content := map[string]string{}
			var told []tocsin.Clue
			for step := range 25 {
				name := names[rng.IntN(len(names))]
				switch text := fmt.Sprintf("step %d\n", step); rng.IntN(8) {
				case 0:
					m.check(os.RemoveAll(m.path(name)))
					delete(content, name)
				case 1:
					m.check(os.RemoveAll(m.path("root/.ssh")))
					delete(content, "root/.ssh/authorized_keys")
				case 2:
					m.stop()
					told = append(told, m.clues...)
					m.restart(func() { m.write(name, text) })
					content[name] = text
				default:
					m.write(name, text)
					content[name] = text
				}
			}
			last := m.sentinel()
			m.until(last, func() bool {
				for _, c := range m.clues {
					if c.Fact.String()+": "+c.Subject == last {
						return true
					}
				}
				return false
			})
			m.stop()
			told = append(told, m.clues...)
			digests := map[string]bool{}
			for _, c := range told {
				digests[fmt.Sprint(c.Subject, c.Digest)] = true
			}
			for name, text := range content {
				if !digests[fmt.Sprint("/"+name, sha256.Sum256([]byte(text)))] {
					t.Errorf("%s with %q was not told", name, text)
				}
			}
		})
	}
}
