#!/bin/sh
# fuzz.sh BUDGET: run every fuzz target for BUDGET, which is a number of
# executions such as 2000x or a time such as 60s.
set -eu
budget=${1:?usage: fuzz.sh BUDGET, such as 2000x or 60s}
targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9]+' . | sed 's/:func / /' | sort)
echo "$targets" | while read -r file name; do
	echo "fuzz $(dirname "$file") $name $budget"
	go test "$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "$budget" >fuzz.out 2>&1 || {
		cat fuzz.out
		rm -f fuzz.out
		exit 1
	}
	rm -f fuzz.out
done
