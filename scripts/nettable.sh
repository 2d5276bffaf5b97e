#!/bin/sh
# nettable.sh: fetch the newest address table from npm and pack it into
# internal/nettable/asn.zst, which is built in. Needs npm and Go.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
npm pack --silent @ip-location-db/asn >/dev/null
tar xzf ./*.tgz
cd "$root"
go test ./internal/nettable -count=1 -run TestBuiltIn -pack "$dir/package"
