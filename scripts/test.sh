#!/bin/sh
# test.sh: all tests; then the packages with goroutines under the race detector
# where a C compiler is there; then each fuzz target for a short, fixed number
# of executions. Under CI=true a skipped test is a failure.
set -eu
out=$(mktemp)
trap 'rm -f "$out"' EXIT

set -- -count=1 -timeout 30m ./...
if ! go test -v "$@" >"$out" 2>&1; then
	grep -E '^(---|\s+---) FAIL|^FAIL|^panic|\.go:[0-9]+: |^ok' "$out" || tail -n 100 "$out"
	echo "tests failed; the whole output:"
	tail -n 400 "$out"
	exit 1
fi
grep -E '^(ok|FAIL)' "$out"
skipped=$(grep -cE '^\s*--- SKIP' "$out" || true)
passed=$(grep -cE '^\s*--- PASS' "$out" || true)
if [ "$skipped" != 0 ]; then
	echo "skipped, and why:"
	grep -E -A1 '^\s*--- SKIP' "$out" | grep -v '^--$'
	if [ "${CI:-}" = true ]; then
		echo "a skipped test fails CI"
		exit 1
	fi
fi
if command -v gcc >/dev/null; then
	echo "race detector:"
	CGO_ENABLED=1 go test -race -count=1 -timeout 20m $(cat scripts/race-packages)
else
	echo "race detector: skipped, it needs gcc (package gcc and libc6-dev)"
	[ "${CI:-}" != true ]
fi
scripts/fuzz.sh "${FUZZ:-2000x}"
echo "$passed passed, 0 failed, $skipped skipped"
