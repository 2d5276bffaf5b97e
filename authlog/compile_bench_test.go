package authlog

import "testing"

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(All()...); err != nil {
			b.Fatal(err)
		}
	}
}
