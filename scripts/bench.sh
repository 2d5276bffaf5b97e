#!/bin/sh
# bench.sh [FLAGS]: measure what docs/perf.md promises, beside fail2ban, sshguard
# and grep, and write it there. Takes about nine minutes; needs root for what
# runs in network namespaces, and says what it leaves out without.
set -eu
cd "$(dirname "$0")/.."
CGO_ENABLED=0 go build -o bin/bench ./bench
exec bin/bench "$@"
