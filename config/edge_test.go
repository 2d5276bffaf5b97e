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
