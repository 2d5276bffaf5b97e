#!/bin/sh
# demo-ssh.sh [FLAGS]: build the demo and show it with bin/tocsin, live as root and
# from a recording otherwise. Flags go to the demo (-help lists them).
set -eu
CGO_ENABLED=0 "${GO:-go}" build -o bin/demo-ssh ./demo/ssh
exec bin/demo-ssh "$@"
