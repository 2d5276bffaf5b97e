package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/config"
)

func TestPolicySettings(t *testing.T) {
	file, err := config.ParseHub([]byte("[policy]\nday_failures = 7\n[[notify]]\nname = \"x\"\nurl = \"https://x\"\nsecret_file = \"/x\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, s := range file.PolicySettings() {
		if s.Doc == "" || s.Kind == "" || !strings.HasPrefix(s.Key, "policy.") {
			t.Errorf("%+v", s)
		}
		values[s.Key] = s.Value
	}
	same, err := file.WithPolicy(values)
	if err != nil || same.Policy.Version() != file.Policy.Version() {
		t.Errorf("told and read again, the policy is another one: %v", err)
	}
	other, err := file.WithPolicy(map[string]string{
		"policy.fleet_block": " 2h ", "policy.shared": "192.0.2.1, 198.51.100.0/24 2001:db8::/64", "policy.fast_failures": "9",
	})
	if err != nil || other.Policy.Fleet != 2*time.Hour || len(other.Policy.Shared) != 3 || other.Policy.Fast.Count != 9 || other.Policy.Day.Count != 7 {
		t.Errorf("%v, %+v", err, other.Policy)
	}
	if file.Policy.Fleet == other.Policy.Fleet {
		t.Error("the file's was changed")
	}
	for _, tt := range []struct{ key, value, want string }{
		{"policy.day_failures", "many", "write a whole number"},
		{"policy.day_failures", "-1", "write a whole number"},
		{"policy.day_failures", "1\nweek_guesses = 1", "write a whole number"},
		{"policy.day_failures", "99999999999999999999", "write a whole number"},
		{"policy.day_failures", "9999999", "is not between"},
		{"policy.fleet_block", "soon", "write a time such as"},
		{"policy.fleet_block", "\"\n\x00\x7f", "write a time such as"},
		{"policy.shared", "nowhere", "is neither an address nor a prefix"},
		{"policy.shared", "0.0.0.0/0", "wider than /8"},
		{"hub.folder", "/", "is no setting of the policy"},
		{"policy.nothing", "1", "is no setting of the policy"},
	} {
		if _, err := file.WithPolicy(map[string]string{tt.key: tt.value}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s = %q: got %v, want %q", tt.key, tt.value, err, tt.want)
		}
	}
}

// TestPolicyInTheConsole holds the console to the words of the configuration, which it
// keeps beside the French ones.
func TestPolicyInTheConsole(t *testing.T) {
	page, err := os.ReadFile("../web/src/pages/settings/policy.ts")
	if err != nil {
		t.Fatal(err)
	}
	settings := config.DefaultHub().PolicySettings()
	for _, s := range settings {
		if want := fmt.Sprintf("'%s': ['%s', '", s.Key, strings.ReplaceAll(s.Doc, "'", "’")); !strings.Contains(string(page), want) {
			t.Errorf("policy.ts lacks %s…: say it there, and in French", want)
		}
	}
	if got := strings.Count(string(page), "'policy."); got != len(settings) {
		t.Errorf("policy.ts tells %d keys, there are %d", got, len(settings))
	}
}
