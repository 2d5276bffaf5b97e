package authlog

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// corpus finds the sample lines of others beside the project, or "" where the
// project stands alone: then testdata has to do.
func corpus(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		found := filepath.Join(dir, "shared", "data", "service-logs")
		if _, err := os.Stat(found); err == nil {
			return found
		}
		if dir == filepath.Dir(dir) {
			return "testdata/service-logs"
		}
	}
}

// suspicious are the words of lines that tell a failure of a service we read.
var suspicious = map[string][]string{
	"ssh": {"Failed password for", "Invalid user", "not allowed because", "Unable to negotiate", "[preauth]",
		"banner exchange:", "refused connect", "Timeout before"},
	"dovecot":      {"auth failed", "unknown user", "pam_authenticate() failed"},
	"nginx":        {"was not found in", "password mismatch", `HTTP/1.1" 401`},
	"apache2":      {"AH01617", "AH01618"},
	"vsftpd":       {"FAIL LOGIN", "Permission denied."},
	"smb":          {"NT_STATUS_WRONG_PASSWORD", "NT_STATUS_NO_SUCH_USER"},
	"nextcloud":    {"Login failed:", `for action \"login\"`},
	"synology-dsm": {"authentication failure"},
}

// silent are lines that look like one and name no address, or nobody known.
var silent = []string{"totobad user", " 401 0 \"-\" \"-\"", "_U2FsdGVkX19", "- - [", "Close session"}

func TestCorpus(t *testing.T) {
	root := corpus(t)
	for folder, words := range suspicious {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.log"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no samples in %s: %v", folder, root, err)
		}
		for _, file := range files {
			checkCorpus(t, file, words)
		}
	}
}

func checkCorpus(t *testing.T, file string, words []string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	innocent := strings.HasSuffix(file, "-fp.log") || strings.HasSuffix(file, "-whitelist.log")
	in := bufio.NewScanner(f)
	for in.Scan() {
		line := in.Text()
		a, n := tellAll(line)
		want := !innocent && holdsAny(line, words) && !holdsAny(line, silent)
		if want && (n == 0 || a.Outcome == tocsin.Success) {
			t.Errorf("%s: %q: got %d × %v, want a failure or probe", filepath.Base(file), line, n, a.Outcome)
		}
		if innocent && n > 0 && a.Outcome != tocsin.Success {
			t.Errorf("%s: %q: got %v, want nothing", filepath.Base(file), line, a)
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
}

// tellAll reads one line as if nothing had been before.
func tellAll(line string) (a tocsin.Attempt, n int) {
	p := fresh()
	a, n = p.Parse([]byte(line), time.Date(2026, 1, 15, 21, 0, 0, 0, time.UTC))
	if late, ok := p.Overdue(far); ok {
		return late, n + 1
	}
	return a, n
}

func holdsAny(line string, words []string) bool {
	for _, w := range words {
		if strings.Contains(line, w) {
			return true
		}
	}
	return false
}
