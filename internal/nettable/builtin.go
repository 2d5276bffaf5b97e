package nettable

import (
	_ "embed" // for the table that is built in
	"sync"
)

//go:generate ../../scripts/nettable.sh

//go:embed asn.zst
var builtIn []byte

// BuiltIn returns the table that is built in, decompressed once: 5 MiB.
var BuiltIn = sync.OnceValue(func() *Table {
	t, err := Open(builtIn)
	if err != nil {
		panic(err) // a test opens it
	}
	return t
})
