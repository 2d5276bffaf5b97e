package config

import (
	"strings"
	"testing"
)

// TestLogWrittenAsATable takes one pair of brackets for two.
func TestLogWrittenAsATable(t *testing.T) {
	_, err := Parse([]byte("[log]\npath = \"/var/log/auth.log\"\n"))
	if err == nil || !strings.Contains(err.Error(), "line 1") || !strings.Contains(err.Error(), "[[log]]") {
		t.Errorf("got %v", err)
	}
}

// TestProxiesThatAreEverybody would switch every block off.
func TestProxiesThatAreEverybody(t *testing.T) {
	_, err := Parse([]byte("[never_block]\nproxies = [\"0.0.0.0/0\"]\n"))
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v", err)
	}
}

func TestPortsThatAreNone(t *testing.T) {
	for ports, want := range map[string]string{
		"7443": "write a list", "[7443, 65536]": `"65536" is not`, "[0]": `"0" is not`, "[-1]": `"-1" is not`, `["https"]`: `"https" is not`,
		"[" + strings.Repeat("80, ", 17) + "]": "17 ports, at most 16",
	} {
		_, err := Parse([]byte("[firewall]\nspare_ports = " + ports + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 2: firewall.spare_ports: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", ports, err, want)
		}
	}
}
