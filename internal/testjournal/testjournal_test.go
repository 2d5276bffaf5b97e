package testjournal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/internal/testjournal"
)

func TestStart(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *testjournal.Journal{
		"volatile": func(t testing.TB) *testjournal.Journal { return testjournal.Start(t) }, "persistent": testjournal.StartPersistent,
	} {
		t.Run(name, func(t *testing.T) {
			j := start(t)
			j.Run("logger", "-t", "inside", "by the private /dev/log")
			j.Send("outside", 65534, "by its socket")
			j.Fields("MESSAGE", "by its own protocol", "SYSLOG_IDENTIFIER", "native")
			j.Sync()
			if _, err := os.Stat(filepath.Join(j.Dir, "system.journal")); err != nil {
				t.Error(err)
			}
			got := j.Export()
			for _, want := range []string{"by the private /dev/log", "by its socket", "by its own protocol"} {
				if !strings.Contains(got, "MESSAGE="+want+"\n") {
					t.Errorf("journal lacks %q", want)
				}
			}
		})
	}
}
