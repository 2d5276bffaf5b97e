#!/bin/sh
# console.sh: build the console anew, and fail if web/dist is not what web/src
# gives. Needs Node 20.19 or later; without it, it says so and checks nothing,
# except under CI=true.
set -eu
cd "$(dirname "$0")/../web"

if ! command -v npm >/dev/null || ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; then
	echo "console.sh: web/dist is not checked: install nodejs (20.19 or later) and npm" >&2
	[ "${CI:-}" != true ]
	exit
fi

# What npm installed is used again for as long as the lock file stays the same.
if ! cmp -s package-lock.json node_modules/.tocsin-lock; then
	npm ci --silent --no-audit --no-fund
	cp package-lock.json node_modules/.tocsin-lock
fi
npm run --silent check
out=node_modules/.tocsin-dist
npx vite build --logLevel warn --outDir "$out" --emptyOutDir
if ! diff -rq dist "$out"; then
	echo "console.sh: web/dist is not what web/src gives: run npm run build in web, and commit web/dist" >&2
	exit 1
fi
