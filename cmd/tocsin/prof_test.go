package main

import (
	"context"
	"io"
	"os"
	"testing"
)

func BenchmarkScanX(b *testing.B) {
	for _, mode := range []string{"json", "summary"} {
		b.Run(mode, func(b *testing.B) {
			args := []string{"scan", os.Getenv("SCANLOG")}
			if mode == "summary" {
				args = []string{"scan", "--summary", os.Getenv("SCANLOG")}
			}
			for b.Loop() {
				if Main(context.Background(), args, nil, io.Discard, io.Discard) != 0 {
					b.Fatal("failed")
				}
			}
		})
	}
}
