package tocsin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tocsin-io/tocsin"

// tiers lists every package once, lowest first; the numbers are those of
// ARCHITECTURE.md. A package imports only from rows above its own. Adding a
// package without a place here fails the test: where it belongs is a decision,
// not an accident.
var tiers = [][]string{
	{"."},               // 0 the words
	{"internal/logkey"}, // 0 plumbing
	{"internal/clock"},  // 0 what time it is, for a demo
	{"internal/inotify", "internal/nflog", "internal/power", "internal/run", "internal/sockcut", "internal/durable", "internal/testnet", "internal/testdisk"}, // 0
	{"internal/testjournal", "ledger"},                                                  // 0, and 1 pure: what operators did
	{"internal/window", "internal/accounts", "internal/nettable", "internal/addrspace"}, // 1 pure: bounded counts, names everybody knows, address → network, public or not
	{"authlog", "sighting", "blocklist", "ruleset", "firewall", "logsource", "store"},   // 1 pure
	{"contact", "compromise", "takedown"},                                               // 1 pure: flows summed up; label and assess; cases and their clock
	{"controller"},                                                                      // 1 pure: rank
	{"overview", "table"},                                                               // 1 pure: what happened, by the minute; rows filtered, sorted, cut
	{"authlog/logmix", "controller/fleettrace"},                                         // 1 made-up logs and fleets for benchmarks
	{"detect", "quorum", "campaign"},                                                    // 2 pure: one device; witnesses; who acts together
	{"bulletin", "dossier", "stix"},                                                     // 2 what people are told; evidence texts and X-ARF; export
	{"watch", "fleet"},                                                                  // 3 pure: one device, and all of them, composed
	{"replay", "trial", "firewall/firewalltest", "store/storetest"},                     // 4 a trace through both; conformance suites
	{"replay/tracemix"},                                                                 // 4 made-up traces for tests and benchmarks
	{"firewall/nft", "firewall/iptables", "firewall/memory"},                            // 5 adapters
	{"logsource/file", "logsource/journal", "logsource/stdin", "hostfacts"},             // 5 adapters
	{"store/sqlite", "keys", "spool"},                                                   // 5 adapters
	{"flows/zeek", "flows/conntrack", "footprints"},                                     // 5 adapters: what devices open, and what is changed on them
	{"rdap", "mail", "notify"},                                                          // 5 adapters: whom to write to, letters, messages
	{"feed/fanout", "signin"},                                                           // 6 bytes to many connections; who signs in
	{"live"},                                                                            // 6 what happens, to many consoles
	{"web"},                                                                             // 6 the console's pages, embedded
	{"docs"},                                                                            // 6 the documentation, as pages
	{"operator", "api", "feed"},                                                         // 6 protocols: the control socket, the hub's API, signed frames
	{"api/apitest"},                                                                     // 6 what happened, in memory, for tests
	{"config", "sim", "sim/incident", "sim/play", "sim/postbox", "uplink"}, // 7
	{"guard", "hub", "incident", "console"},                                // 8
	{"bench", "demo", "demo/ssh"},                                          // 9
	{"cmd/tocsin"},                                                         // 10
}

// pure packages take time as a value, and import from the standard library
// only what pureStd lists: no clock, no files, no sockets, no log.
var (
	pure = []string{
		".", "internal/window", "internal/accounts", "internal/nettable", "internal/addrspace", "ledger", "authlog", "sighting", "blocklist",
		"ruleset", "firewall", "logsource", "store", "contact", "compromise", "takedown", "controller", "overview", "table", "detect", "quorum", "campaign",
		"bulletin", "watch", "fleet", "replay", "trial",
	}
	pureStd = []string{
		"bytes", "cmp", "container/heap", "context", "embed", "crypto/ed25519", "crypto/hmac", "crypto/sha256",
		"encoding/base64", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt",
		"hash/maphash", "io", "iter", "maps", "math", "math/bits", "net/netip", "slices", "sort",
		"strconv", "strings", "sync", "time", "unicode", "unicode/utf8", "unsafe",
		"github.com/klauspost/compress/zstd", // bytes to bytes: snapshots and packed tables
	}
)

// Budgets: nobody gets lost in a small file.
const (
	maxFileLines = 500
	maxFuncLines = 80
)

func TestHouseRules(t *testing.T) {
	tier := map[string]int{}
	for i, pkgs := range tiers {
		for _, p := range pkgs {
			tier[p] = i
		}
	}
	docs := map[string]int{}
	walk(t, func(file string, fset *token.FileSet, f *ast.File) {
		dir := path.Dir(file)
		own, ok := tier[dir]
		if !ok {
			t.Errorf("%s: package has no tier", dir)
		}
		docs[dir] += 0
		if f.Doc != nil {
			docs[dir]++
		}
		for _, im := range f.Imports {
			checkImport(t, tier, own, file, im)
		}
		if slices.Contains(pure, dir) && readsClock(f) {
			t.Errorf("%s is pure and calls time.Now: take the time as a value", file)
		}
		checkSize(t, file, fset, f)
	})
	for dir, n := range docs {
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", dir, n)
		}
	}
}

func checkImport(t *testing.T, tier map[string]int, own int, file string, im *ast.ImportSpec) {
	p, err := strconv.Unquote(im.Path.Value)
	if err != nil {
		t.Fatal(err)
	}
	dir := path.Dir(file)
	if p != module && !strings.HasPrefix(p, module+"/") {
		if slices.Contains(pure, dir) && !slices.Contains(pureStd, p) {
			t.Errorf("%s is pure and imports %s", file, p)
		}
		return
	}
	to := strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
	if to == "" {
		to = "."
	}
	if at, ok := tier[to]; ok && at >= own {
		t.Errorf("%s imports %s: not a lower tier", file, to)
	}
}

func checkSize(t *testing.T, file string, fset *token.FileSet, f *ast.File) {
	if n := fset.File(f.Pos()).LineCount(); n > maxFileLines {
		t.Errorf("%s has %d lines, limit %d: split it", file, n, maxFileLines)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, limit %d", file, fn.Name.Name, n, maxFuncLines)
			}
		}
	}
}

func readsClock(f *ast.File) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			pkg, ok := sel.X.(*ast.Ident)
			found = found || ok && pkg.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since")
		}
		return true
	})
	return found
}

// walk visits every non-test Go file of the module.
func walk(t *testing.T, visit func(file string, fset *token.FileSet, f *ast.File)) {
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." {
			own, err := filepath.Glob(filepath.Join(p, "go.mod"))
			if err != nil {
				return err
			}
			if len(own) > 0 || d.Name() == "testdata" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(p), fset, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
