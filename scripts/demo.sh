#!/bin/sh
# demo.sh [FLAGS]: build the demo and show it with bin/tocsin, live as root and
# from a recording otherwise. Flags go to the demo (-help lists them).
set -eu
CGO_ENABLED=0 "${GO:-go}" build -o bin/demo ./demo
exec bin/demo "$@"
