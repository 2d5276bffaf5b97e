package journal

import "testing"

func TestLost(t *testing.T) {
	from := place{series: 7, seqnum: 100}
	file := func(series, first uint64) part { return part{id: series, head: header{headSeq: first}} }
	for _, tt := range []struct {
		name  string
		from  place
		parts []part
		want  bool
	}{
		{"a first start", place{}, []part{file(7, 500)}, false},
		{"nothing came since", from, nil, false},
		{"the file read last", from, []part{file(7, 1)}, false},
		{"the next one", from, []part{file(7, 101)}, false},
		{"a later one", from, []part{file(7, 102)}, true},
		{"a user's, beside the system's", from, []part{file(7, 150), file(7, 90)}, false},
		{"another journal", from, []part{file(8, 1)}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := lost(gap{from: tt.from}, tt.parts); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
