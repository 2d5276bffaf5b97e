package main

import "testing"

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"0 passes": count(0, "pass"), "1 pass": count(1, "pass"), "2 blocks": count(2, "block"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
